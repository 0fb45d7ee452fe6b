"""What holds for any message: nothing is lost by reading, by rewriting what was read, by escaping."""

from __future__ import annotations

import hl7
from hypothesis import given
from hypothesis import strategies as st

from transforms import er7
from transforms.charsets import codec_of
from transforms.escapes import Separators, escape, unescape
from transforms.paths import parse_path

SIGNS = [chr(code) for code in range(33, 127) if not chr(code).isalnum()]
DELIMITERS = st.lists(st.sampled_from(SIGNS), min_size=5, max_size=5, unique=True).map(lambda signs: Separators(*signs))
ENDS = st.sampled_from(["\r", "\n", "\r\n", "\r\r", "\r \t", "\n\x0b"])
IDS = st.sampled_from(["EVN", "PID", "PV1", "OBX", "OBX", "ZZ1", "pid", "NTE"])
CHARSETS = st.sampled_from(["UNICODE UTF-8", "8859/1", "8859/15", "", "ASCII", "unknown"])


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    signs = draw(DELIMITERS)
    field = signs.field
    line = [
        f"MSH{field}{''.join(signs[1:])}",
        "GAP",
        "CH",
        "PFI",
        "CH",
        "",
        "",
        "ADT",
        "1",
        "P",
        "2.5",
        "",
        "",
        "",
        "",
        "",
    ]
    return field.join([*line, draw(CHARSETS)]).encode()


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, Separators]:
    header = draw(headers())
    signs = er7.peek(header).separators
    text = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6)
    piece = st.one_of(text, st.sampled_from([*signs, '""', ""]))
    body = header.decode()
    for _ in range(draw(st.integers(0, 6))):
        fields = draw(st.lists(st.lists(piece, max_size=5).map("".join), max_size=6))
        body += draw(ENDS) + signs.field.join([draw(IDS), *fields])
    return (body + draw(st.sampled_from(["", "\r", "\n\n"]))).encode(), signs


def touch_everything(body: bytes) -> bytes:
    parsed = er7.parse(body)
    for segment in parsed.segments:
        first = 3 if segment.id in ("MSH", "FHS", "BHS") else 1
        for number in range(first, len(segment.fields)):
            segment[number] = segment[number]
        segment.changed = True
    return parsed.encode()


@given(headers(), st.sampled_from([b"\r", b"\n", b"\r\n"]), st.binary(max_size=400))
def test_any_bytes_after_a_header_come_back(header: bytes, end: bytes, rest: bytes) -> None:
    body = header + end + rest
    parsed = er7.parse(body)
    assert parsed.encode() == body
    assert touch_everything(body) == body
    parsed.insert(1, f"ZZZ{parsed.separators.field}1")
    parsed.delete("ZZZ[1]")
    for segment_id in ("EVN", "PID", "ZZ1", "NTE"):
        parsed.first(segment_id)


@given(messages())
def test_any_message_comes_back_and_its_first_segments_are_those_of_the_whole(made: tuple[bytes, Separators]) -> None:
    body, _ = made
    assert touch_everything(body) == body
    whole = er7.parse(body)
    assert whole.segments[0].id == "MSH"
    for segment_id in ("MSH", "PID", "PV1", "OBX", "ZZ1", "EVN", "NK1"):
        lazy = er7.parse(body).first(segment_id)
        eager = next((segment for segment in whole.segments if segment.id == segment_id), None)
        assert (lazy is None) == (eager is None)
        if lazy is not None and eager is not None:
            assert (lazy.start, lazy.end, lazy.fields) == (eager.start, eager.end, eager.fields)


@given(messages(), st.integers(1, 12))
def test_a_cut_field_is_the_split_one(made: tuple[bytes, Separators], number: int) -> None:
    for segment in er7.parse(made[0]).segments[1:]:
        cut = segment._cut(number)
        assert cut == (segment.fields[number] if number < len(segment.fields) else "")


TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


@given(TEXT, DELIMITERS)
def test_what_is_escaped_is_read_again(text: str, separators: Separators) -> None:
    if separators.escape == ".":  # a sequence would end where it begins
        return
    written = escape(text, separators)
    assert not set(written) & {separators.field, separators.component, separators.repetition, separators.subcomponent}
    assert unescape(written, separators) == text


@given(
    st.sampled_from(["PID-3.1", "PID-3[2].4.2", "PV1-3.1", "OBX[2]-5", "PID-40[3].2.1", "PV1-2"]),
    TEXT.filter(lambda t: "^" not in t),
)
def test_what_is_written_is_read_again_at_its_place(path: str, value: str) -> None:
    body = b"MSH|^~\\&|A|B|C|D|||ADT^A01|1|P|2.5||||||UNICODE UTF-8\rPID|1||7^^^X&Y~8\rPV1|1|I\rOBX|1\rOBX|2\r"
    parsed = er7.parse(body)
    parsed.set(path, value)
    assert parsed.get(path) == value
    again = er7.parse(parsed.encode())
    assert again.get(path) == value
    assert [segment.id for segment in again.segments] == ["MSH", "PID", "PV1", "OBX", "OBX"]


PLAIN = st.text(alphabet="abcXYZ019é", min_size=1, max_size=6)
COMPONENTS = st.lists(st.one_of(PLAIN, st.just("")), min_size=1, max_size=4).map("^".join)
FIELDS = st.lists(COMPONENTS, min_size=1, max_size=3).map("~".join)


@given(
    st.lists(
        st.tuples(st.sampled_from(["PID", "PV1", "OBX"]), st.lists(FIELDS, min_size=1, max_size=6)),
        min_size=1,
        max_size=5,
    )
)
def test_python_hl7_reads_the_same_values_in_plain_messages(rows: list[tuple[str, list[str]]]) -> None:
    text = "MSH|^~\\&|A|B|C|D|||ADT^A01|1|P|2.5||||||UNICODE UTF-8\r"
    text += "".join("|".join([segment_id, *fields]) + "\r" for segment_id, fields in rows)
    ours, theirs = er7.parse(text.encode()), hl7.parse(text)
    for segment, other in zip(ours.segments, theirs, strict=True):
        for number in range(1 if segment.id != "MSH" else 3, len(segment.fields)):
            assert segment[number] == str(other[number])
            for repetition, one in enumerate(segment.repetitions(number), 1):
                for component in range(1, len(one.split("^")) + 1):
                    path = parse_path(f"{segment.id}-{number}[{repetition}].{component}")
                    expected = other[number][repetition - 1]
                    assert segment.value(path) == str(expected[component - 1][0] if "^" in one else expected)


@given(st.binary(max_size=60), CHARSETS)
def test_a_codec_is_found_for_any_bytes_and_gives_them_back(body: bytes, declared: str) -> None:
    codec = codec_of(declared, body)
    assert body.decode(codec, "surrogateescape").encode(codec, "surrogateescape") == body
