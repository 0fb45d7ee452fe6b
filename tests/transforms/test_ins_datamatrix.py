"""The INS datamatrix read: what the writer wrote, and what scanners make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import ParseError
from transforms.ins_datamatrix import Scanned, payload, read
from transforms.report import Ins, Moment, Patient

RUTH = (
    "IS010000000000000000000000S1279035121518989S21.2.250.1.213.1.4.10S3RUTH ISABELLE\x1dS4FICTIVE\x1d"
    "S5FS628-03-1979S751215"
)
SAID = Scanned("279035121518989", "1.2.250.1.213.1.4.10", "RUTH ISABELLE", "FICTIVE", "F", "1979-03-28", "51215")


@pytest.mark.parametrize(
    "text",
    [
        RUTH,
        f"]d1{RUTH}",
        f"]d2\x1d{RUTH}\r\n",
        f"\x1d{RUTH}\x1d",
        RUTH.replace("\x1d", ""),
        RUTH.replace("S5F", "S5F\x1d"),
        RUTH.replace("4.10S3", "4.10\x1dS3"),
    ],
)
def test_a_symbol_is_read_whatever_the_scanner_adds(text: str) -> None:
    assert read(text) == SAID


def test_the_birth_place_may_lack() -> None:
    assert read(RUTH.removesuffix("S751215")).birth_place == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "IS01",
        RUTH[:-1],
        RUTH.replace("IS01", "IS02"),
        RUTH.replace("S1279", "S127"),
        RUTH.replace("S4FICTIVE\x1d", ""),
        RUTH.replace("S5F", "S5X"),
        RUTH.replace("28-03-1979", "1979-03-28"),
        RUTH + "S8",
        RUTH.replace("\x1d", "").replace("RUTH", "S4"),
        RUTH.replace("RUTH", "R" * 100),
    ],
)
def test_what_is_no_ins_datamatrix_is_refused_without_its_content(text: str) -> None:
    with pytest.raises(ParseError) as refusal:
        read(text)
    assert "FICTIVE" not in str(refusal.value)
    assert "FICTIVE" not in repr(SAID)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=130)


@given(
    family=names,
    given=names,
    sex=st.sampled_from("MF"),
    oid=st.sampled_from(["1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9", "1.2.250.1.213.1.4.10"]),
    place=st.sampled_from(["", "51215", "2A004", "99100"]),
    date=st.dates(),
)
def test_what_is_written_is_read_again(family: str, given: str, sex: str, oid: str, place: str, date: object) -> None:
    day = str(date)
    patient = Patient(family, "", given, sex, Moment(day.replace("-", "")), birth_place=place)
    text = payload(patient, Ins("279035121518989", oid))
    try:
        made = read(text)
    except ParseError:
        assert "S3\x1d" in text or "S4\x1d" in text  # a name of which nothing is left
        return
    assert (made.ins, made.oid, made.sex, made.birth_date, made.birth_place) == (
        "279035121518989", oid, sex, day, place
    )  # fmt: skip
    separated = made.given + ("\x1d" if len(made.given) < 100 else "") + "S4" + made.family
    assert f"S3{separated}" in text


@given(st.text())
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(ParseError):
        read(text)
