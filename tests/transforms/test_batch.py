"""A file of several messages is split without a byte changed."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import batch, er7

ONE = b"MSH|^~\\&|GAP|CHU|SGL|CHU|20261125||ADT^A01|1|P|2.5\rPID|1||000^^^CHU\r"
TWO = b"MSH|^~\\&|GAP|CHU|SGL|CHU|20261125||ADT^A03|2|P|2.5\rPID|1||000^^^CHU\r"
FHS, BHS = b"FHS|^~\\&|GAP|CHU\r", b"BHS|^~\\&|GAP|CHU|||20261125||||LOT7\r"


def problems(body: bytes) -> list[tuple[str, str]]:
    return [(finding.place, finding.problem) for finding in batch.read(body).findings]


@pytest.mark.parametrize(
    "body",
    [
        ONE,
        ONE.replace(b"\r", b"\n"),
        ONE.replace(b"\r", b"\r\n"),
        ONE.rstrip(b"\r"),
        b"\xef\xbb\xbf" + ONE,
        b"\r\n  " + ONE + b"\n\n",
        ONE + b"OBX|1|TX|||see MSH|^~\\& in the text\r",
        ONE + b"OBX|1|TX|||first line\nMSH-3 is a field\r",
        ONE + b"NTE|1||ends with blanks  ",
        b"",
        b"%PDF-1.7",
        b"<xml/>",
    ],
)
def test_one_message_is_the_body_itself(body: bytes) -> None:
    found = batch.read(body)
    assert found.messages == [body]
    assert found.findings == []


def test_a_batch_gives_its_messages_in_order_and_its_control_id() -> None:
    found = batch.read(FHS + BHS + ONE + TWO + b"BTS|2\rFTS|1\r")
    assert found.messages == [ONE, TWO]
    assert found.control_id == "LOT7"
    assert found.findings == []


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_line_ends_do_not_matter(end: bytes) -> None:
    body = (FHS + BHS + ONE + TWO + b"BTS\rFTS\r").replace(b"\r", end)
    assert batch.read(body).messages == [ONE.replace(b"\r", end), TWO.replace(b"\r", end)]
    assert problems(body) == []


def test_several_batches_in_one_file() -> None:
    assert problems(FHS + BHS + ONE + b"BTS|1\r" + BHS + TWO + ONE + b"BTS|2\rFTS|2") == []


def test_counts_that_do_not_match_are_found() -> None:
    assert problems(FHS + BHS + ONE + b"BTS|2\rFTS|7\r") == [
        ("BTS-1", "the count is not that of the messages"),
        ("FTS-1", "the count is not that of the batches"),
    ]
    assert problems(BHS + ONE + b"BTS|two\r") == [("BTS-1", "the count is not a number")]


def test_messages_without_an_envelope_are_an_implicit_batch() -> None:
    assert batch.split(ONE + b"\r\n  " + TWO) == [ONE + b"\r\n", TWO]
    assert problems(ONE + TWO) == [("MSH", "several messages without a batch header")]


def test_bytes_of_mllp_frames_are_not_part_of_the_messages() -> None:
    start, end = b"\x0b", b"\x1c\r"
    assert batch.split(start + ONE + end) == [ONE]
    assert batch.split(start + ONE + end + start + TWO + end) == [ONE, TWO]
    assert batch.split(start + ONE + start + TWO) == [ONE, TWO]
    assert batch.split(ONE + b"\x1c") == [ONE]


def test_text_outside_messages_is_a_piece_of_its_own() -> None:
    assert batch.split(b"hello\r" + ONE) == [b"hello\r", ONE]
    assert batch.split(BHS + ONE + b"BTS|1\rNTE|left behind\r") == [ONE, b"NTE|left behind\r"]
    assert problems(b"hello\r" + ONE) == [("", "text outside any message")]


def test_an_envelope_around_nothing_holds_no_message() -> None:
    assert batch.split(FHS + BHS + b"BTS|0\rFTS|1\r") == []


@given(st.lists(st.sampled_from([ONE, TWO, ONE.replace(b"|", b"!"), TWO + b"NTE|1||\xe9\xff\r"]), min_size=1))
def test_what_an_envelope_holds_is_what_was_put_in_it(messages: list[bytes]) -> None:
    when = datetime(2026, 11, 25, 2, tzinfo=ZoneInfo("Europe/Paris"))
    head = batch.header(batch.Parties("VAGUE|MESTRE", "CHU"), when, "7", answers="LOT7")
    found = batch.read(head + b"".join(messages) + batch.trailer(len(messages)))
    assert found.messages == messages
    assert found.findings == []
    assert found.control_id == "7"


def test_the_header_of_a_batch() -> None:
    when = datetime(2026, 11, 25, 2, tzinfo=ZoneInfo("Europe/Paris"))
    head = batch.header(batch.Parties("A|B", "CHU", "C", "D"), when, "7", answers="6")
    line = b"|^~\\&|A\\F\\B|CHU|C|D|20261125020000+0100||||7|6\r"
    assert head == b"FHS" + line + b"BHS" + line
    assert er7.peek(head).field(3) == "A\\F\\B"


@pytest.mark.parametrize("body, ended", [(b"a", b"a\r"), (b"a\r", b"a\r"), (b"a\r\n", b"a\r\n")])
def test_a_message_in_a_file_ends_its_last_segment(body: bytes, ended: bytes) -> None:
    assert batch.ended(body) == ended


@pytest.mark.parametrize("padding", [b"", b"A" * 70_000, b"MSHBTSFTS" * 8_000])
@pytest.mark.parametrize("more", [b"\rMSH|^~\\&|B\r", b"\n  MSH|^~\\&|B\r", b"\rBTS|1\r", b"\n\n\tFTS|1"])
def test_what_may_be_a_batch_is_never_taken_for_a_single_message(padding: bytes, more: bytes) -> None:
    assert not batch.is_single(b"MSH|^~\\&|A\rOBX|1|ED|x||" + padding + more)


@pytest.mark.parametrize("padding", [b"", b"A" * 70_000, b"MSHBTSFTS" * 8_000])
@pytest.mark.parametrize("more", [b"", b"\rZZZ|a\r\n"])
def test_a_single_message_is_told_at_once_also_when_its_document_spells_msh(padding: bytes, more: bytes) -> None:
    body = b"MSH|^~\\&|A\rOBX|1|ED|x||" + padding + more
    assert batch.is_single(body)
    assert batch.split(body) == [body]
