"""Each value of a result message is in its document, or has the reason why not."""

import json
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from channels.errors import MessageError
from tests.transforms.laboratory import MESSAGES, context, edited, fixture
from tests.transforms.test_cda import CASES
from transforms import er7
from transforms.trace import Traced, trace
from transforms.trace_reasons import known_reason
from vaguemestre import example
from vaguemestre.cli import app

EXAMPLE = files(example)
NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))


def traced(name: str, *changes: tuple[str, int, str]) -> dict[str, Traced]:
    return {one.place: one for one in trace(edited(name, *changes), context())}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost(name: str) -> None:
    found = trace(fixture(name), context())
    assert [one.place for one in found if one.lost] == []
    assert len({one.place for one in found}) == len(found)


def test_nothing_of_the_example_of_init_is_lost() -> None:
    """Found by use: a file in an order of its own, and a price of the stay."""
    body = (EXAMPLE / "cases" / "oru_crp.hl7").read_bytes()
    found = {one.place: one for one in trace(er7.message(body), context())}
    assert [place for place, one in found.items() if one.lost] == []
    assert not found["OBR[2]-4.1"].paths
    assert found["OBR[1]-4.1"].paths


def test_a_letter_that_cannot_change_is_not_looked_for_in_the_document() -> None:
    """OBR-25 = F (final) is not the sex of the patient, who is F as well."""
    found = traced("oru_crp", ("PID", 8, "F"))
    assert not any("administrativeGenderCode" in path for path in found["OBR-25"].paths)
    assert any("administrativeGenderCode" in path for path in found["PID-8"].paths)


@pytest.mark.parametrize("name", ["oru_crp", "oru_nfs", "oru_ecbu"])
def test_every_clinical_field_is_carried(name: str) -> None:
    """The value, its unit, range and flag, the name of the test, comments: by a path, a reason is not enough."""
    for one in trace(fixture(name), context()):
        field = one.place.partition("-")[2].partition(".")[0]
        segment = one.place.partition("[")[0].partition("-")[0]
        if (segment, field) in {("OBX", "5"), ("OBX", "6"), ("OBX", "7"), ("OBX", "8"), ("NTE", "3"), ("PID", "7")}:
            assert one.paths, one.place


def test_a_value_is_in_the_narrative_and_in_the_entry() -> None:
    one = traced("oru_crp", ("OBX", 2, "NM"), ("OBX", 5, "12.0"))["OBX-5"]
    assert any("/text[1]/" in path for path in one.paths)
    assert any(path.endswith("/value[1]/@value") for path in one.paths)


def test_the_reason_of_the_reader_is_given() -> None:
    found = traced("oru_nfs", ("OBX[2]", 11, "D"))
    assert found["OBX[2]-5"] == Traced("OBX[2]-5", (), "deleted by the laboratory (OBX-11 = D)")


EXPLAINED = {
    "awaited": ("OBX-3.1", "OBX-17.1"),
    "validator without number": ("OBX-16.1",),
    "prescriber without number": ("OBR-16.1",),
    "device": ("OBX-18.4",),
    "identity not validated": ("PID-3[2].1",),
    "dead": ("PID-30",),
    "general practitioner": ("ROL-2", "ROL-4.9.1"),
    "two panels, one without results": ("OBR[2]-25",),
    "class unknown": ("PV1-2",),
    "recipient without number": ("OBR-28.6",),
}
"""Cases of ``test_cda``, and what they carry nowhere for a good reason."""


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_is_carried_nowhere_has_its_reason(name: str) -> None:
    found = traced("oru_crp", *CASES[name])
    assert [one.place for one in found.values() if one.lost] == []
    for place in EXPLAINED[name]:
        assert found[place].reason
        assert not found[place].paths


@pytest.mark.parametrize(
    "changes",
    [
        [("PID", 3, "700123^^^CH&1.2.3&ISO^PI~A1^^^CH&1.2.4&ISO^AN~2900675056002^^^X&1.2.250.1.213.1.4.8&ISO^NH")],
        [("OBR", 34, "TECH1&MARTIN&JO")],
        [("OBX", 15, "LABX^Laboratoire X & Fils^L")],
        [("PV1", 0, "PV1|1|E\rROL|1|UC|CP|9^CONSULTE^LOU")],
    ],
)
def test_numbers_and_names_that_a_report_does_not_take_have_their_reason(changes: list[tuple[str, int, str]]) -> None:
    found = traced("oru_crp", ("PID", 32, "PROV"), *changes)
    assert [one.place for one in found.values() if one.lost] == []


def test_a_field_that_nobody_named_is_lost() -> None:
    assert known_reason("OBX[3]-5") == ""
    assert known_reason("NTE-3") == ""
    assert known_reason("PV1-3.2")
    one = traced("oru_crp", ("OBX", 13, "accès réservé"))["OBX-13"]
    assert one.lost


def test_a_message_without_document_is_refused() -> None:
    with pytest.raises(MessageError):
        trace(edited("oru_crp", ("PID", 7, "")), context())


def test_a_file_in_the_message_is_traced_without_its_weight() -> None:
    found = traced("oru_with_pdf")
    assert found["OBX[2]-5.5"].paths


def test_the_command_shows_places_and_no_value() -> None:
    done = CliRunner().invoke(app, ["trace", str(MESSAGES / "oru_crp.hl7")])
    assert done.exit_code == 0, done.stderr
    assert "OBX-5" in done.stdout
    assert "290067505600227" not in done.stdout
    assert "MODELE" not in done.stdout
    listed = CliRunner().invoke(app, ["trace", str(MESSAGES / "oru_crp.hl7"), "--json", "--left-out"])
    rows = json.loads(listed.stdout)
    assert all(set(row) == {"place", "paths", "reason"} and row["reason"] and not row["paths"] for row in rows)


def test_the_command_fails_when_something_is_lost() -> None:
    body = edited("oru_crp", ("OBX", 13, "accès réservé")).body
    done = CliRunner().invoke(app, ["trace", "-"], input=body)
    assert done.exit_code == 1
    assert "OBX-13" in done.stderr
