"""One function builds acknowledgements, another reads them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import (
    Finding,
    MappingError,
    MessageError,
    ParseError,
    ProfileError,
    QueueFull,
    Refused,
    StoreError,
    Undelivered,
    UnsupportedError,
    VaguemestreError,
    WorkerError,
)
from channels.ports import Outcome
from transforms import er7
from transforms.ack import Answer, acknowledge, read_ack

PARIS = ZoneInfo("Europe/Paris")
NOON = 1_773_140_415.0  # 2026-03-10 11:00:15 UTC


def header(
    version: str = "2.5^FRA^2.11",
    accept: str = "",
    application: str = "",
    kind: str = "ADT^A01^ADT_A01",
    profile: str = "",
) -> er7.Header:
    fields = ["GAP", "CH-TEST", "PFI", "CH-PFI", "20260310083015", "", kind, "GAP000101", "P", version, "", ""]
    fields += [accept, application, "FRA", "UNICODE UTF-8", "FR", "", profile]
    return er7.peek(("MSH|^~\\&|" + "|".join(fields) + "\rPID|1||SECRET\r").encode())


def segments(answer: bytes) -> list[str]:
    assert answer.endswith(b"\r")
    return answer.decode("utf-8").split("\r")[:-1]


def test_a_stored_message_is_accepted_with_swapped_sender_and_receiver() -> None:
    answer = acknowledge(header(), Outcome(42, received=NOON), zone=PARIS)
    assert segments(answer) == [
        "MSH|^~\\&|PFI|CH-PFI|GAP|CH-TEST|20260310120015||ACK^A01^ACK|VM42|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8",
        "MSA|AA|GAP000101",
    ]


def test_the_answer_to_a_resend_is_the_same_bytes() -> None:
    first = acknowledge(header(), Outcome(42, received=NOON))
    again = acknowledge(header(), Outcome(42, duplicate=True, received=NOON))
    assert again == first


@pytest.mark.parametrize(
    "error, code",
    [
        (ParseError("cut", "PID"), "AE"),
        (ProfileError("missing", "PID-3"), "AE"),
        (MappingError("not in the table", "PV1-3.1"), "AE"),
        (MessageError("used before", "MSH-10", "205"), "AE"),
        (MessageError("locked", "", "206"), "AR"),
        (UnsupportedError("not taken here", "MSH-9"), "AR"),
        (UnsupportedError("not taken here", "MSH-12", "203"), "AR"),
        (MessageError("restored from the journal", "MSH-11", "202"), "AR"),
        (StoreError("disk"), "AR"),
        (QueueFull("full"), "AR"),
        (WorkerError("slow"), "AR"),
        (Undelivered("no answer"), "AR"),
        (Refused("no"), "AE"),
        (VaguemestreError("else"), "AE"),
    ],
)
def test_the_kind_of_error_decides_the_code(error: VaguemestreError, code: str) -> None:
    answer = acknowledge(header(), Outcome(7, error, received=NOON))
    assert segments(answer)[1] == f"MSA|{code}|GAP000101"
    assert read_ack(answer).code == code


def test_a_refusal_says_where_and_why_in_the_standard_s_codes_and_in_french() -> None:
    error = MappingError("no translation in table uf", "PID-3[2].4.2")
    answer = acknowledge(header(), Outcome(7, error, received=NOON))
    assert segments(answer)[2] == (
        "ERR||PID^1^3^2^4^2|103^Table value not found^HL70357|E|||no translation in table uf (trace 7)"
        "|Valeur absente de la table de codes : PID-3[2].4.2 (trace 7)"
    )
    assert hl7.parse(answer.decode()).segment("ERR")[2][0][3][0] == "2"


@pytest.mark.parametrize(
    "place, location",
    [
        ("", ""),
        ("MSH", "MSH^1"),
        ("PID-3", "PID^1^3"),
        ("PID-3.1", "PID^1^3^1^1"),
        ("OBX[3]-5", "OBX^3^5"),
        ("OBX[DESTDMP]-5.1", "OBX^^5^1^1"),
        ("/ClinicalDocument/id", ""),
    ],
)
def test_a_place_is_written_as_an_err_2(place: str, location: str) -> None:
    answer = acknowledge(header(), Outcome(7, ProfileError("missing", place), received=NOON))
    assert segments(answer)[2].split("|")[2] == location


def test_a_message_that_could_not_be_stored_is_to_be_sent_again() -> None:
    answer = segments(acknowledge(header(), Outcome(0, StoreError("no space"), received=NOON)))
    assert "VMT1773140415000000" in answer[0]
    assert answer[2].startswith("ERR|||207^Application error^HL70357|E||")
    assert answer[2].endswith("|Message non enregistré, à renvoyer plus tard")
    assert "no space" not in answer[2]


def test_an_application_code_goes_to_err_5_with_207() -> None:
    answer = acknowledge(header(profile="2.1^CISIS_CDA_HL7_V2"), Outcome(7, MessageError("differs", "PID-3[2]", "904")))
    fields = segments(answer)[2].split("|")
    assert fields[3] == "207^Application error^messageErrorCondition"
    assert fields[5] == "904^INS different from the document^applicationErrorCondition"


@pytest.mark.parametrize(
    "version, kind, event",
    [
        ("2.1", "ADT^A01", "ACK"),
        ("2.3", "ADT^A01", "ACK"),
        ("2.3.1", "ADT^A01", "ACK^A01"),
        ("2.4", "ADT^A01^ADT_A01", "ACK^A01"),
        ("2.5", "ADT^A01^ADT_A01", "ACK^A01^ACK"),
        ("2.6", "MDM^T10^MDM_T02", "ACK^T10^ACK"),
        ("", "ADT^A01", "ACK^A01^ACK"),
        ("x.y", "ORU", "ACK"),
    ],
)
def test_the_message_type_follows_the_version(version: str, kind: str, event: str) -> None:
    answer = segments(acknowledge(header(version, kind=kind), Outcome(1)))
    assert answer[0].split("|")[8] == event
    assert answer[0].split("|")[11] == (version or "2.5")


def test_up_to_2_4_the_place_is_in_err_1_and_the_text_in_msa_3() -> None:
    answer = segments(acknowledge(header("2.4"), Outcome(7, ProfileError("missing", "PID[2]-3.1"))))
    assert answer[1] == "MSA|AE|GAP000101|Champ obligatoire absent : PID[2]-3.1 (trace 7)"
    assert answer[2] == "ERR|PID^2^3^101&Required field missing&HL70357"


@pytest.mark.parametrize(
    "accept, application, yes, no",
    [
        ("", "", "AA", "AE"),
        ("AL", "", "CA", "CE"),
        ("AL", "NE", "CA", "CE"),
        ("AL", "AL", "CA", "CE"),
        ("ER", "NE", "", "CE"),
        ("SU", "NE", "CA", ""),
        ("NE", "NE", "", ""),
        ("NE", "AL", "AA", "AE"),
        ("", "AL", "AA", "AE"),
        ("NE", "ER", "", "AE"),
        ("", "SU", "AA", ""),
        ("odd", "", "CA", "CE"),
    ],
)
def test_msh_15_and_16_choose_the_mode_and_when_to_answer(accept: str, application: str, yes: str, no: str) -> None:
    asked = header(accept=accept, application=application)
    positive = acknowledge(asked, Outcome(1))
    negative = acknowledge(asked, Outcome(1, ProfileError("missing", "PID-3")))
    assert (read_ack(positive).code if positive else "") == yes
    assert (read_ack(negative).code if negative else "") == no


def test_a_source_may_force_a_mode() -> None:
    assert read_ack(acknowledge(header(accept="NE", application="NE"), Outcome(1), mode="original")).code == "AA"
    assert read_ack(acknowledge(header(), Outcome(1), mode="enhanced")).code == "CA"
    rejected = acknowledge(header(), Outcome(1, UnsupportedError("no", "MSH-9")), mode="enhanced")
    assert read_ack(rejected).code == "CR"


def test_the_application_answer_is_a_second_message_for_those_who_asked_both() -> None:
    assert read_ack(acknowledge(header(accept="AL", application="AL"), Outcome(1), mode="application")).code == "AA"
    for accept, application in [("AL", ""), ("AL", "NE"), ("NE", "AL"), ("", "")]:
        assert acknowledge(header(accept=accept, application=application), Outcome(1), mode="application") == b""


def test_203_may_be_answered_ae_as_the_ans_sample_does() -> None:
    error = UnsupportedError("version not taken", "MSH-12", "203")
    assert read_ack(acknowledge(header(), Outcome(1, error), unsupported="AE")).code == "AE"


def test_warnings_are_returned_only_when_asked() -> None:
    outcome = Outcome(1, findings=(Finding("MSH-10", "205", "used before"),))
    assert len(segments(acknowledge(header(), outcome))) == 2
    warned = segments(acknowledge(header(), outcome, warnings=True))
    assert warned[1] == "MSA|AA|GAP000101"
    assert warned[2].split("|")[4] == "W"


def test_the_answer_of_the_destination_is_passed_on_byte_for_byte() -> None:
    theirs = b"MSH|^~\\&|DPI|X|GAP|CH-TEST|20260310||ACK|1|P|2.5\rMSA|AE|GAP000101|their text\r"
    assert acknowledge(header(), Outcome(1, Refused("answered AE", theirs))) == theirs
    assert acknowledge(header(), Outcome(1, answer=theirs.replace(b"|AE|", b"|AA|"))) == theirs.replace(
        b"|AE|", b"|AA|"
    )


def test_an_answer_that_names_another_message_or_is_not_hl7_is_told_in_our_words() -> None:
    theirs = b"MSH|^~\\&|DPI|X|GAP|CH-TEST|20260310||ACK|1|P|2.5\rMSA|AR|OTHER|text\rERR||PID^1^3|101|E\r"
    told = acknowledge(header(), Outcome(1, Refused("answered AR", theirs)))
    assert read_ack(told) == Answer("AR", "GAP000101", (Finding("PID-3", "101", "Required field missing", "reject"),))
    assert b"text" not in told
    assert read_ack(acknowledge(header(), Outcome(1, answer=b'{"ok": true}'))).code == "AA"
    assert read_ack(acknowledge(header(), Outcome(1, Refused("400", b"<html>")))).code == "AE"
    assert read_ack(acknowledge(header(accept="AL"), Outcome(1, answer=theirs))).code == "CR"
    assert acknowledge(header(accept="SU"), Outcome(1, answer=theirs)) == b""


@pytest.mark.parametrize("delimiters", ["|^~\\&", "#$%*/", "|^~\\", "|^~", "|^", "|¤~\\&"])
def test_the_answer_uses_the_delimiters_of_the_message(delimiters: str) -> None:
    field, component = delimiters[0], delimiters[1]
    line = field.join(
        ["MSH" + field + delimiters[1:], "A", "B", "C", "D", "", "", f"ADT{component}A01", "9", "P", "2.5"]
    )
    received = er7.peek(line.encode("utf-8"))
    error = ProfileError("a | text ^ with ~ all \\ delimiters & more # $ % * /", "PID-3.1")
    parsed = er7.parse(acknowledge(received, Outcome(1, error, received=NOON)))
    assert [segment.id for segment in parsed.segments] == ["MSH", "MSA", "ERR"]
    assert parsed.get("MSA-2") == "9"
    assert parsed.separators == received.separators
    assert len(parsed.segments[2].fields) == 9


def test_a_message_whose_component_separator_is_missing_is_answered_with_codes_alone() -> None:
    received = er7.Header(["MSH", "", "A"], er7.Separators("|", "", "", "", ""), "utf-8")
    assert b"ERR||||101|E" not in acknowledge(received, Outcome(1, ProfileError("x", "PID-3")))
    assert b"\rERR|||101|E\r" in acknowledge(received, Outcome(1, ProfileError("x", "PID-3")))
    old = er7.Header(["MSH", *[""] * 10, "2.3"], er7.Separators("|", "", "", "", ""), "utf-8")
    assert b"\rERR|101\r" in acknowledge(old, Outcome(1, ProfileError("x", "PID-3")))


@pytest.mark.parametrize("charset, sentence", [("utf-8", "vérifié"), ("iso8859-15", "vérifié"), ("ascii", "verifie")])
def test_the_charset_of_the_answer_is_the_one_it_declares(charset: str, sentence: str) -> None:
    error = MessageError("vérifié", "PID-3", "102")
    answer = acknowledge(header(), Outcome(7, error), charset=charset)
    assert sentence.encode(charset) in answer
    declared = er7.peek(answer).field(18)
    assert declared == {"utf-8": "UNICODE UTF-8", "iso8859-15": "8859/15", "ascii": "UNICODE UTF-8"}[charset]


def test_bytes_that_do_not_decode_come_back_as_they_were() -> None:
    received = er7.peek(b"MSH|^~\\&|GAP|CH|P|C|||ADT^A01|caf\xe9|P|2.5||||||UNICODE UTF-8\r")
    assert b"MSA|AA|caf\xe9\r" in acknowledge(received, Outcome(1))
    assert b"MSA|AA|caf" in acknowledge(received, Outcome(1), charset="ascii")


@given(st.lists(st.text(alphabet=st.characters(blacklist_characters="|\r\n", codec="utf-8"), max_size=8), max_size=20))
def test_any_header_gets_a_readable_answer_that_names_its_message(fields: list[str]) -> None:
    received = er7.peek(("MSH|^~\\&|" + "|".join(fields)).encode("utf-8", "surrogateescape"))
    for error in (None, ProfileError("missing", "PID-3")):
        answer = acknowledge(received, Outcome(5, error, received=NOON), mode="original")
        assert answer.count(b"\rMSA|") == 1
        assert b"\n" not in answer
        assert read_ack(answer).code == ("AE" if error else "AA")
        assert er7.parse(answer, received.charset).first("MSA")[2] == received.control_id  # type: ignore[index]  # it has one


@pytest.mark.parametrize(
    "body, answer",
    [
        (b"MSH|^~\\&|A|B|C|D|2026||ACK^A01^ACK|1|P|2.5\rMSA|AA|9\r", Answer("AA", "9")),
        (b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|aa| 9 |text\r", Answer("AA", "9")),
        (b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\nMSA|CA|9\n", Answer("CA", "9")),
        (b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AA", Answer("AA", "")),
        (b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AE|9\r", Answer("AE", "9")),
        (b"MSH#$%*/#A#B#C#D#2026##ACK#1#P#2.5\rMSA#CR#9\r", Answer("CR", "9")),
        (b"\xef\xbb\xbfMSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5||||||8859/15\rMSA|AR|9|refus\xe9\r", Answer("AR", "9")),
        (
            b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AE|9\rERR||PID^2^3^2^4^1|103^x^y| E|||SECRET\rERR|||999|W\r",
            Answer(
                "AE",
                "9",
                (
                    Finding("PID[2]-3[2].4.1", "103", "Table value not found", "reject"),
                    Finding("", "207", "Application error", "warn"),
                ),
            ),
        ),
        (
            b"MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.3\rMSA|AE|9|text\rERR|PID^1^3^101&missing\r",
            Answer("AE", "9", (Finding("PID-3", "101", "Required field missing", "reject"),)),
        ),
    ],
)
def test_acknowledgements_of_all_shapes_are_read(body: bytes, answer: Answer) -> None:
    assert read_ack(body) == answer


@pytest.mark.parametrize(
    "body, place",
    [
        (b"", "MSH"),
        (b"OK", "MSH"),
        (b"MSH|^~\\&|A\rPID|1\r", "MSA"),
        (b"MSH|^~\\&|A\rMSA|OK|1\r", "MSA-1"),
        (b"MSH|^~\\&|A\rMSA||1\r", "MSA-1"),
    ],
)
def test_what_is_no_acknowledgement_is_a_parse_error(body: bytes, place: str) -> None:
    with pytest.raises(ParseError) as caught:
        read_ack(body)
    assert caught.value.place == place


def test_an_answer_knows_whether_it_is_a_yes_and_of_which_mode() -> None:
    assert Answer("AA", "").accepted
    assert Answer("CA", "").accepted
    assert not Answer("CR", "").accepted
    assert Answer("CE", "").commit
    assert not Answer("AE", "").commit


def test_the_official_acknowledgements_are_read(shared: object) -> None:
    from pathlib import Path

    folder = Path(str(shared)) / "ans" / "hl7v2-examples"
    found = [path for path in sorted(folder.glob("*/*")) if path.stem.endswith("ack")]
    assert found
    for path in found:
        answer = read_ack(path.read_bytes())
        assert answer.code in ("AA", "AE", "AR"), path.name
