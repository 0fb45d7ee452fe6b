"""Dates of HL7 v2 keep their precision and get the zone of their own day."""

from zoneinfo import ZoneInfo

import pytest

from channels.errors import ParseError
from transforms.moments import instant, moment
from transforms.report import Moment

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    "text, digits, zone, assumed",
    [
        ("2026", "2026", "", False),
        ("202603", "202603", "", False),
        ("20260310", "20260310", "", False),
        ("2026031007", "2026031007", "+0100", True),
        ("202603100715", "202603100715", "+0100", True),
        ("20260710071500", "20260710071500", "+0200", True),
        ("20260329040000", "20260329040000", "+0200", True),
        ("20260310071500.123", "20260310071500.123", "+0100", True),
        ("20260310061500+0000", "20260310061500", "+0000", False),
        ("20260310061500Z", "20260310061500", "+0000", False),
        ("2015-11-25", "20151125", "", False),
        ("2015-11-25T12:31:10+01:00", "20151125123110", "+0100", False),
        ("25/11/2015", "20151125", "", False),
        ("25/11/2015 12:31", "201511251231", "+0100", True),
        (" 20260310 ", "20260310", "", False),
    ],
)
def test_a_date_keeps_its_precision(text: str, digits: str, zone: str, assumed: bool) -> None:
    assert moment(text, PARIS, "OBR-7") == Moment(digits, zone, assumed, "OBR-7")


def test_overseas_time_is_the_sites() -> None:
    found = moment("20260710071500", ZoneInfo("Indian/Reunion"), "OBR-7")
    assert found is not None
    assert found.zone == "+0400"


@pytest.mark.parametrize("text", ["", '""', "00000000", "0000"])
def test_no_date_is_none(text: str) -> None:
    assert moment(text, PARIS, "OBR-7") is None


@pytest.mark.parametrize(
    "text",
    ["20260231", "20261301", "2026031024", "202603100760", "hier", "2026-13-01", "260310", "2026031", "20260310.5"],
)
def test_a_date_that_does_not_exist_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        moment(text, PARIS, "OBX[3]-14")
    assert (caught.value.place, caught.value.condition) == ("OBX[3]-14", "102")
    assert text not in str(caught.value)


def test_moments_are_ordered_across_zones() -> None:
    noon_in_paris, noon_utc = Moment("20260310120000", "+0100"), Moment("20260310120000", "+0000")
    assert instant(noon_in_paris) < instant(noon_utc) < instant(Moment("20260311"))


@pytest.mark.parametrize(
    "digits, shown",
    [
        ("2026", "2026"),
        ("202603", "03/2026"),
        ("20260310", "10/03/2026"),
        ("2026031007", "10/03/2026 à 07 h"),
        ("20260310071500", "10/03/2026 à 07:15"),
        ("20260310071530", "10/03/2026 à 07:15:30"),
    ],
)
def test_a_date_is_shown_as_in_french(digits: str, shown: str) -> None:
    assert Moment(digits).french() == shown
