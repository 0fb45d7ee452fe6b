"""The lossless, lazy reader and editor of HL7 v2 text."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from channels.errors import ConfigError, MessageError, ParseError
from transforms import er7
from transforms.escapes import Separators, escape, unescape
from transforms.hl7v2 import FORMAT
from transforms.paths import parse_path

ADT = (
    b"MSH|^~\\&|GAP|CH-TEST|PFI|CH-TEST|20260310083015||ADT^A01^ADT_A01|GAP000101|P|2.5^FRA^2.11||||||UNICODE UTF-8\r"
    b"EVN||20260310083015\r"
    b"PID|1||700123^^^CH-TEST&990000001&M^PI~29006^^^INS&1.2.250.1.213.1.4.10&ISO^INS||MODELE^ALIX\\S\\B||19900615|F\r"
    b'PV1|1|I|3120^12^1||""||\r'
    b"ZBE|M0001^GAP\r"
    b"ZFP\r"
    b"OBX|1|CE|MASQUE_PS^x||N\r"
    b"OBX|2|CE|DESTDMP^x||Y^^yes~Z\r"
)


@pytest.mark.parametrize(
    "path, value",
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-9.2", "A01"),
        ("MSH-12.3", "2.11"),
        ("MSH-99", ""),
        ("PID-3.1", "700123"),
        ("PID-3[2].1", "29006"),
        ("PID-3[2].4.2", "1.2.250.1.213.1.4.10"),
        ("PID-3[2].4", "INS&1.2.250.1.213.1.4.10&ISO"),
        ("PID-3[3].1", ""),
        ("PID-5.2", "ALIX^B"),
        ("PID-5", "MODELE^ALIX\\S\\B"),
        ("PID-7", "19900615"),
        ("PID-7.1", "19900615"),
        ("PID-7.2", ""),
        ("PID-7.1.2", ""),
        ("PID-8[2]", ""),
        ("PV1-5", '""'),
        ("PV1-40", ""),
        ("ZFP-1", ""),
        ("NK1-1", ""),
        ("OBX-3.1", "MASQUE_PS"),
        ("OBX[2]-3.1", "DESTDMP"),
        ("OBX[3]-3.1", ""),
        ("OBX[DESTDMP]-5.1", "Y"),
        ("OBX[DESTDMP]-5[2]", "Z"),
        ("OBX[ABSENT]-5.1", ""),
    ],
)
def test_a_value_is_read_at_its_place(path: str, value: str) -> None:
    assert er7.parse(ADT).get(path) == value
    parsed = er7.parse(ADT)
    assert len(parsed.segments) == 8
    assert parsed.get(path) == value


def test_values_lists_every_repetition_of_every_segment() -> None:
    parsed = er7.parse(ADT)
    assert parsed.values("PID-3.5") == ["PI", "INS"]
    assert parsed.values("PID-3[2].5") == ["INS"]
    assert parsed.values("OBX-5.1") == ["N", "Y", "Z"]
    assert parsed.values("OBX[2]-5.1") == ["Y", "Z"]
    assert parsed.values("PID-40") == []


def test_a_segment_gives_fields_and_repetitions_as_written() -> None:
    pid = er7.parse(ADT).first("PID")
    assert pid is not None
    assert pid[5] == "MODELE^ALIX\\S\\B"
    assert pid[99] == ""
    assert pid.get("5.2") == "ALIX^B"
    assert len(pid.repetitions(3)) == 2
    assert pid.repetitions(2) == []
    assert er7.parse(ADT).segments[0].repetitions(2) == ["^~\\&"]


def test_raw_and_put_carry_structure_from_one_place_to_another() -> None:
    parsed = er7.parse(ADT)
    assert parsed.raw("PID-3[2].4") == "INS&1.2.250.1.213.1.4.10&ISO"
    assert parsed.raw("PID-5.2") == "ALIX\\S\\B"
    assert parsed.raw("PID-3[2].4.2") == "1.2.250.1.213.1.4.10"
    assert parsed.raw("NK1-2") == ""
    parsed.put("PV1-3.4", parsed.raw("PID-3[2].4"))
    assert parsed.get("PV1-3.4.2") == "1.2.250.1.213.1.4.10"


@pytest.mark.parametrize(
    "path, value, line",
    [
        ("PV1-3.1", "99", b"PV1|1|I|99^12^1||"),
        ("PV1-3.2.2", "b", b"PV1|1|I|3120^12&b^1||"),
        ("PV1-3.5", "O", b"PV1|1|I|3120^12^1^^O||"),
        ("PV1-3", "a^b", b"PV1|1|I|a^b||"),
        ("PV1-3", "a|b", b"PV1|1|I|a\\F\\b||"),
        ("PV1-3[2].2", "x", b"PV1|1|I|3120^12^1~^x||"),
        ("PV1-5", "", b"PV1|1|I|3120^12^1||||"),
        ("PV1-9", "z", b'PV1|1|I|3120^12^1||""||||z\r'),
    ],
)
def test_a_value_is_written_at_its_place_and_nothing_else_changes(path: str, value: str, line: bytes) -> None:
    parsed = er7.parse(ADT)
    parsed.set(path, value)
    out = parsed.encode()
    assert line in out
    before, after = ADT.split(b"\r"), out.split(b"\r")
    assert [one for number, one in enumerate(after) if number != 3] == [
        one for number, one in enumerate(before) if number != 3
    ]


def test_a_header_field_is_written_but_not_the_delimiters() -> None:
    parsed = er7.parse(ADT)
    parsed.set("MSH-5", "SGL")
    assert parsed.encode() == ADT.replace(b"|PFI|", b"|SGL|")
    for path in ("MSH-1", "MSH-2"):
        with pytest.raises(MessageError):
            parsed.set(path, "#")


@pytest.mark.parametrize("path", ["PID", "NK1-2", "OBX[9]-5", "OBX[ABSENT]-5"])
def test_writing_where_there_is_nothing_is_an_error_with_its_place(path: str) -> None:
    with pytest.raises(MessageError) as caught:
        er7.parse(ADT).set(path, "x")
    assert caught.value.place == path


def test_a_change_of_an_already_found_segment_is_not_lost_when_all_are_read_later() -> None:
    parsed = er7.parse(ADT)
    first = parsed.first("PV1")
    assert first is not None
    first[2] = "O"
    assert parsed.all("PV1")[0] is first
    assert b"PV1|1|O|" in parsed.encode()


def test_delete_takes_segments_repetitions_or_values_away() -> None:
    parsed = er7.parse(ADT)
    assert parsed.delete("ZFP") == 1
    assert parsed.delete("PID-3[2]") == 1
    assert parsed.delete("PID-3[5]") == 0
    assert parsed.delete("PV1-3.2") == 1
    assert parsed.delete("EVN-2") == 1
    assert parsed.delete("NK1") == 0
    assert parsed.delete("NK1-2") == 0
    out = parsed.encode()
    assert b"ZFP" not in out
    assert b"|700123^^^CH-TEST&990000001&M^PI||" in out
    assert b"PV1|1|I|3120^^1||" in out
    assert b"\rEVN||\r" in out


def test_insert_puts_a_segment_where_it_is_said() -> None:
    parsed = er7.parse(ADT)
    assert parsed.insert(1, "SFT|Vaguemestre|1").get("1") == "Vaguemestre"
    parsed.insert(9, "ZZZ|end")
    parsed.set("SFT-2", "2")
    lines = parsed.encode().split(b"\r")
    assert lines[1] == b"SFT|Vaguemestre|2"
    assert lines[-2] == b"ZZZ|end"
    assert lines[2:-2] == ADT.split(b"\r")[1:-1]
    for text in ("zz", "ZZZ|a\rPID|b", "ZZZZ|a", ""):
        with pytest.raises(MessageError):
            parsed.insert(1, text)


def test_a_segment_is_added_after_one_without_terminator() -> None:
    parsed = er7.parse(b"MSH|^~\\&|A\rPID|1")
    parsed.insert(2, "PV1|1")
    assert parsed.encode() == b"MSH|^~\\&|A\rPID|1\rPV1|1\r"
    parsed = er7.parse(b"MSH|^~\\&|A\r\nPID|1\r\nPV1|1")
    parsed.delete("PID")
    assert parsed.encode() == b"MSH|^~\\&|A\r\nPV1|1"


def test_a_character_that_the_charset_lacks_is_refused_with_its_segment() -> None:
    parsed = er7.parse(ADT.replace(b"UNICODE UTF-8", b"8859/1"))
    parsed.set("PID-5.1", "œuvre €")
    with pytest.raises(MessageError) as caught:
        parsed.encode()
    assert caught.value.place == "PID"
    assert caught.value.condition == "102"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r", b"\r \t"])
def test_any_line_end_is_read_and_kept(end: bytes) -> None:
    body = ADT.replace(b"\r", end)
    parsed = er7.parse(body)
    assert [segment.id for segment in parsed.segments] == ["MSH", "EVN", "PID", "PV1", "ZBE", "ZFP", "OBX", "OBX"]
    assert er7.parse(body).get("OBX[DESTDMP]-5.1") == "Y"
    assert parsed.get("ZBE-1.1") == "M0001"
    parsed.set("PV1-2", "O")
    assert parsed.encode() == body.replace(b"|I|", b"|O|")


def test_a_line_without_a_segment_id_continues_the_one_before() -> None:
    body = b"MSH|^~\\&|A\rNTE|1||first line\rsecond line|x\r\rPID|1\r"
    parsed = er7.parse(body)
    assert [segment.id for segment in parsed.segments] == ["MSH", "NTE", "PID"]
    assert parsed.get("NTE-3") == "first line\rsecond line"
    assert er7.parse(body).first("NTE").get("4") == "x"  # type: ignore[union-attr]  # it has one
    parsed.set("NTE-1", "2")
    assert parsed.encode() == body.replace(b"NTE|1", b"NTE|2")


def test_ids_in_lower_case_and_after_blanks_are_matched_and_kept_as_written() -> None:
    body = b"MSH|^~\\&|A\r  pid|1||7\r\x0bPV1|1\r"
    parsed = er7.parse(body)
    assert parsed.get("PID-3") == "7"
    assert [segment.id for segment in parsed.segments] == ["MSH", "PID", "PV1"]
    parsed.set("PID-3", "8")
    assert parsed.encode() == body.replace(b"7", b"8")


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"\r\n", b" \t", b"\x0b", b"\xef\xbb\xbf \n"])
def test_what_stands_before_the_header_is_kept(prefix: bytes) -> None:
    parsed = er7.parse(prefix + ADT)
    assert parsed.header.control_id == "GAP000101"
    assert parsed.get("PID-3.1") == "700123"
    parsed.set("PID-3.1", "700124")
    assert parsed.encode() == prefix + ADT.replace(b"700123", b"700124")


@pytest.mark.parametrize(
    "line, kind",
    [
        ("ADT^A01^ADT_A01", "ADT^A01"),
        ("adt^a01", "ADT^A01"),
        ("ADT^ADT^A28", "ADT^A28"),
        ("ORU_R01", "ORU^R01"),
        ("MDM^T02^MDM^T02^MDM_T02", "MDM^T02"),
        ("ORU", "ORU"),
        ("ACK^^ACK", "ACK"),
        ("", ""),
    ],
)
def test_the_kind_is_read_from_any_shape_of_msh_9(line: str, kind: str) -> None:
    assert er7.peek(f"MSH|^~\\&|A|B|||||{line}|1\r".encode()).kind == kind


def test_a_short_header_has_empty_values() -> None:
    header = er7.peek(b"MSH|^~\\&|A")
    assert (header.kind, header.control_id, header.sender, header.field(30)) == ("", "", "A|", "")
    assert er7.peek(b"MSH|^~\\&|A^1~X|B&2\r").sender == "A|B&2"
    assert er7.peek(b"MSH|^|A^1|B^2\r").component(4, 2) == "2"
    assert er7.peek(b"MSH|^|A^1|B^2\r").component(4, 3) == ""


@pytest.mark.parametrize(
    "body, place",
    [
        (b"", "MSH"),
        (b"PID|1", "MSH"),
        (b"MSH", "MSH-1"),
        (b"MSHA^~\\&|x", "MSH-1"),
        (b"MSH\x00^~\\&", "MSH-1"),
        (b"MSH ^~\\& x", "MSH-1"),
        ("MSH§^~\\&§x".encode(), "MSH-1"),
        (b"MSH|", "MSH-2"),
        (b"MSH|^^\\&|x", "MSH-2"),
        (b"MSH|a~\\&|x", "MSH-2"),
        (b"MSH|^~\\\x01|x", "MSH-2"),
        (b"MSH||x", "MSH-2"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error_with_its_place(body: bytes, place: str) -> None:
    with pytest.raises(ParseError) as caught:
        er7.peek(body)
    assert caught.value.place == place


@pytest.mark.parametrize(
    "declared, separators",
    [
        ("^~\\&", Separators("|", "^", "~", "\\", "&")),
        ("^~\\&#", Separators("|", "^", "~", "\\", "&")),
        ("^~\\\\&", Separators("|", "^", "~", "\\", "&")),
        ("^~\\&amp;", Separators("|", "^", "~", "\\", "&")),
        ("^~\\}", Separators("|", "^", "~", "\\", "}")),
        ('^~\\"', Separators("|", "^", "~", "\\", '"')),
        ("!@%*", Separators("|", "!", "@", "%", "*")),
        ("^~}", Separators("|", "^", "~", "}", "")),
        ("^", Separators("|", "^", "", "", "")),
        ("^\u02dc\\&", Separators("|", "^", "\u02dc", "\\", "&")),
    ],
)
def test_msh_2_is_read_as_its_author_meant(declared: str, separators: Separators) -> None:
    assert er7.peek(f"MSH|{declared}|A|B\r".encode()).separators == separators


def test_what_can_be_guessed_of_an_unreadable_header_is_kept_for_its_answer() -> None:
    assert er7.salvage(b"PID|1") is None
    header = er7.salvage(b"MSH|^^\\&|GAP|CH|PFI|CH|2026||ADT^A01|42|P|2.5\r")
    assert header is not None
    assert (header.control_id, header.sender, header.kind) == ("42", "GAP|CH", "ADT^A01")
    header = er7.salvage(b"MSHA^~\\&AGAPA")
    assert header is not None
    assert (header.control_id, header.separators.field) == ("", "|")


def test_a_message_has_what_its_header_tells_and_reads_it_once() -> None:
    message = er7.message(ADT, 12.5, attributes={"peer": "127.0.0.1"})
    assert (message.kind, message.control_id, message.sender) == ("ADT^A01", "GAP000101", "GAP|CH-TEST")
    assert (message.charset, message.received, message.attributes) == ("utf-8", 12.5, {"peer": "127.0.0.1"})
    assert message.view(er7.header_of) is er7.read(message).header
    assert er7.read(message) is er7.read(message)
    other = message.with_body(ADT.replace(b"GAP000101", b"GAP000102"))
    assert er7.read(other).header.control_id == "GAP000102"


def test_a_field_of_a_large_segment_is_cut_out_without_reading_the_rest() -> None:
    data = b"QUJD" * 500_000
    body = ADT + b"OBX|3|ED|PDF^x||^application^pdf^Base64^" + data + b"||||||F\r"
    parsed = er7.parse(body)
    large = parsed.all("OBX")[2]
    assert (large[0], large[2], large[3], large[11], large[30]) == ("OBX", "ED", "PDF^x", "F", "")
    assert large._fields is None
    assert parsed.get("OBX[PDF]-5.4") == "Base64"
    assert large._fields is None
    large[11] = "C"
    assert parsed.encode() == body.replace(b"||||||F\r", b"||||||C\r")


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_a_large_message_is_read_as_a_small_one(end: bytes) -> None:
    body = (ADT + b"OBX|3|ED|PDF^x||^^^Base64^" + b"QUJD" * 50_000 + b"\rZZ9|last\r").replace(b"\r", end)
    assert er7.is_regular(body, "|") is (end == b"\r")
    assert er7.mentions(body, b"ZZ9", b"MRG")
    assert not er7.mentions(body, b"MRG", b"MSH")
    assert er7.parse(body).get("PID-3.1") == "700123"
    assert er7.parse(body).get("ZZ9-1") == "last"
    assert er7.parse(body).first("NK1") is None
    changed = er7.parse(body)
    changed.set("ZZ9-1", "first")
    assert changed.encode() == body.replace(b"last", b"first")


@pytest.mark.parametrize("line", [b"zzz|1", b" ZZZ|1", b"text", b"ZZZZ|1", b"9ZZ|1"])
def test_a_large_message_with_an_odd_line_is_not_regular(line: bytes) -> None:
    body = ADT + b"NTE|1||" + b"x" * 100_000 + b"\r" + line + b"\rZZ9|1\r"
    assert not er7.is_regular(body, "|")
    assert er7.parse(body).get("ZZ9-1") == "1"
    assert er7.is_regular(body, "|", 50)


def test_a_message_with_few_delimiters_uses_what_it_has() -> None:
    parsed = er7.parse(b"MSH|^|A\rPID|1||7^8\r")
    assert parsed.get("PID-3.2") == "8"
    assert parsed.get("PID-3.1.1") == "7"
    assert parsed.get("PID-3.1.2") == ""
    parsed.set("PID-3.2", "9")
    for path in ("PID-3[2].1", "PID-3.1.2"):
        with pytest.raises(MessageError):
            parsed.set(path, "x")
    with pytest.raises(ParseError):
        parsed.set("PID-5", "a|b")
    assert parsed.encode() == b"MSH|^|A\rPID|1||7^9\r"


USUAL = Separators("|", "^", "~", "\\", "&")


@pytest.mark.parametrize(
    "written, meant",
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("\\X0D0A\\", "\r\n"),
        ("\\Xe9\\", "é"),
        ("\\.br\\", "\n"),
        ("C:\\temp\\x", "C:\\temp\\x"),
        ("\\H\\bold\\N\\", "\\H\\bold\\N\\"),
        ("\\P\\", "\\P\\"),
        ("\\Zxx\\ \\.sp 2\\ \\", "\\Zxx\\ \\.sp 2\\ \\"),
        ("\\X0\\", "\\X0\\"),
        ("\\E\\F\\E\\", "\\F\\"),
    ],
)
def test_escape_sequences_are_read_and_unknown_ones_kept(written: str, meant: str) -> None:
    assert unescape(written, USUAL, "iso8859-1") == meant


def test_hex_that_does_not_decode_is_read_as_windows_text() -> None:
    assert unescape("\\XE9\\", USUAL, "utf-8") == "é"


def test_a_sequence_for_a_role_that_is_not_declared_is_kept() -> None:
    assert unescape("a\\T\\b", USUAL._replace(subcomponent="")) == "a\\T\\b"
    assert unescape("a\\T\\b", USUAL._replace(escape="")) == "a\\T\\b"


def test_delimiters_in_a_value_are_escaped() -> None:
    assert escape("a|b^c~d\\e&f\r\n", USUAL) == "a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f\\X0D\\\\X0A\\"
    assert escape("plain", USUAL._replace(escape="")) == "plain"


@pytest.mark.parametrize(
    "path", ["", "pid-3", "PID-0", "PID-3[0]", "PID[0]-3", "PID-3.0", "PID[X]-3", "PID-3.1.2.3", "P-1"]
)
def test_what_is_no_place_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigError):
        parse_path(path)


def test_a_message_that_was_read_leaves_memory_when_its_last_user_does() -> None:
    message = er7.message(b"MSH|^~\\&|A|B|C|D|20260310||ADT^A40^ADT_A39|1|P|2.5\rPID|1||700123\rMRG|700124\r")
    gc.collect()
    gc.disable()
    try:
        FORMAT.index(message, ("patient",))
        parsed = er7.parse(message.body)
        parsed.set("PID-3.1", "700125")
        assert parsed.segments
        parsed.encode()
        del message, parsed
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_official_examples_pass_unaltered(shared: Path) -> None:
    files = [path for path in sorted((shared / "ans" / "hl7v2-examples").glob("*/*")) if path.is_file()]
    assert len(files) >= 30
    for path in files:
        body = path.read_bytes()
        parsed = er7.parse(body)
        assert parsed.encode() == body
        for segment in parsed.segments:
            segment[1] = segment[1]
        assert parsed.encode() == body, path.name
        parsed.insert(len(parsed.segments), "ZZZ|1")
        parsed.delete("ZZZ")
        assert parsed.encode() == body, path.name


def test_a_segment_without_fields_is_the_first_of_its_id_also_when_one_with_fields_follows() -> None:
    body = b"MSH|^~\\&|GAP|CH|PFI|CH|||ADT|1|P|2.5\rEVN\rEVN|A01\r"
    found = er7.parse(body).first("EVN")
    assert found is not None
    assert found.fields == ["EVN"]
    assert er7.parse(body).get("EVN-1") == ""
