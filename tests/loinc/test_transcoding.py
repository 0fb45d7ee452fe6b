"""The transcoding table: found by what a message tells, dated, and with a history of who decided."""

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given

from channels.errors import ConfigErrors
from loinc.catalogue import Catalogue, Entry, Key
from loinc.history import appended, changes_between, read_history
from loinc.laboratory_units import CannotConvert, conversion, fold_unit, ucum_of
from loinc.learn import Seen, Traffic
from loinc.report import coverage, page
from loinc.transcoding import Ambiguous, Row, Transcoding
from loinc.worklist import decided, items, open_items
from mappings import TRANSCODING, Tables
from tests.loinc.laboratory_rows import TRANSCODINGS
from transforms.measures import ucum_of as spelled

TODAY = date(2026, 11, 25)


def row(loinc: str = "2951-2", status: str = "checked", **more: str) -> Row:
    return replace(Row(local_code="NA", loinc=loinc, status=status), **more)  # type: ignore[arg-type]  # its own fields


@given(TRANSCODINGS)
def test_the_file_loses_nothing_and_does_not_depend_on_the_order(table: Transcoding) -> None:
    assert Transcoding.read(table.text()) == table
    assert Transcoding(reversed(list(table))).text() == table.text()


def test_only_what_somebody_checked_is_found() -> None:
    for status in ("proposed", "refused"):
        assert Transcoding([row(status=status)]).find("NA", TODAY) is None
    found = Transcoding([row()]).find("NA", TODAY)
    assert found is not None
    assert found.loinc == "2951-2"
    assert Transcoding([row("", "without_loinc")]).find("NA", TODAY) is not None


@pytest.mark.parametrize(
    "since,until,held",
    [
        ("", "", True),
        ("2026-11-25", "", True),
        ("2026-11-26", "", False),
        ("", "2026-11-25", True),
        ("", "2026-11-24", False),
    ],
)
def test_a_row_holds_from_its_first_day_to_its_last(since: str, until: str, held: bool) -> None:
    assert (Transcoding([row(since=since, until=until)]).find("NA", TODAY) is not None) is held


def test_the_row_with_most_conditions_that_are_met_is_found() -> None:
    table = Transcoding(
        [row("2951-2"), row("2955-3", specimen="Urine"), row("2956-1", specimen="Urine", unit="mmol/24h")]
    )

    def code(*specimens: str, unit: str = "") -> str:
        found = table.find("NA", TODAY, specimens=specimens, units=[unit])
        return found.loinc if found else ""

    assert code() == code("Sérum") == "2951-2"
    assert code("U", "urine") == "2955-3"
    assert code("URINE", unit="mmol / 24h") == "2956-1"


def test_two_rows_that_disagree_are_ambiguous_and_two_that_agree_are_not() -> None:
    rows = [row("2951-2", specimen="Sérum"), row("2955-3", unit="mmol/L")]
    with pytest.raises(Ambiguous):
        Transcoding(rows).find("NA", TODAY, specimens=["Sérum"], units=["mmol/l"])
    same = [row("2951-2", specimen="Sérum"), row("2951-2", unit="mmol/L")]
    assert Transcoding(same).find("NA", TODAY, specimens=["Sérum"], units=["mmol/l"])


def test_as_a_code_table_it_gives_the_code_that_needs_no_condition() -> None:
    assert Transcoding([row()]).translate("NA") == "2951-2"
    assert Transcoding([row("2951-2", unit="a"), row("2955-3", unit="b")]).translate("NA") is None
    assert Transcoding().translate("NA") is None


def test_the_faults_of_the_file_of_a_site_are_those_of_the_site(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "loinc").mkdir()
    (folder / TRANSCODING).write_text("local_code;loinc;status\nNA;2951-3;checked\nK;2823-3;checked\n", "utf-8")
    (fault,) = Tables(folder / "mappings").faults
    assert (fault.file, fault.line) == ("loinc/transcoding.csv", 2)
    (folder / TRANSCODING).write_text("local_code;loinc;status\nK;2823-3;checked\n", "utf-8")
    assert Tables(folder / "mappings").table(TRANSCODING).translate("K") == "2823-3"
    assert len(Tables(None).table(TRANSCODING)) == 0


@pytest.mark.parametrize(
    "cells,problem",
    [
        ("2951-2;checked;2026-02-30;", "a day is written"),
        ("2951-2;checked;2026-02-02;2026-01-01", "before"),
        ("2951-2;bof;;", "status"),
    ],
)
def test_a_fault_of_a_row_is_told_at_its_line(cells: str, problem: str) -> None:
    with pytest.raises(ConfigErrors, match=problem):
        Transcoding.read(f"local_code;loinc;status;since;until\nNA;{cells}\n")


def test_days_of_spreadsheets_are_read() -> None:
    table = Transcoding.read("local_code;loinc;status;since;until\nNA;2951-2;vérifié;01/02/2026;2026-12-31 00:00:00\n")
    (found,) = table
    assert (found.since, found.until) == ("2026-02-01", "2026-12-31")


# decisions


def test_a_decision_ends_the_older_one_the_day_before() -> None:
    old = row("2947-0", date="2025-01-01")
    table = decided(Transcoding([old]), [row(date="2026-11-25")], TODAY)
    assert [(one.loinc, one.since, one.until) for one in table] == [
        ("2947-0", "", "2026-11-24"),
        ("2951-2", "2026-11-25", ""),
    ]
    assert decided(table, [row(date="2026-11-25")], TODAY) == table, "the same again changes nothing"


def test_a_decision_of_the_same_day_is_replaced_and_proposals_give_way() -> None:
    table = Transcoding([row("2947-0", date="2026-11-25"), row("2955-3", "proposed"), row("2956-1", "refused")])
    after = decided(table, [row(date="2026-11-25")], TODAY)
    assert [(one.loinc, one.status, one.since) for one in after] == [
        ("2951-2", "checked", ""),
        ("2956-1", "refused", ""),
    ]


def test_a_decision_for_one_specimen_leaves_the_others_alone() -> None:
    table = Transcoding([row("2955-3", specimen="Urine")])
    assert len(decided(table, [row(specimen="Sérum")], TODAY)) == 2


def test_the_history_only_grows_and_says_who_what_when_and_why() -> None:
    when = datetime(2026, 11, 25, 10, tzinfo=UTC)
    one, two = (
        Transcoding([row("2947-0", "proposed")]),
        Transcoding([row("2947-0", evidence="relecture", comment="ok")]),
    )
    first = appended("", changes_between(Transcoding(), one, "assistant", when, "score"))
    second = appended(first, changes_between(one, two, "Anne", when))
    third = appended(second, changes_between(two, Transcoding(), "Anne", when, "erreur"))
    assert third.startswith(second)
    assert second.startswith(first)
    assert [(one.author, one.action, one.before, one.after, one.evidence) for one in read_history(third)] == [
        ("assistant", "add", "", "2947-0 proposed", "score"),
        ("Anne", "change", "2947-0 proposed", "2947-0 checked comment=ok", "relecture"),
        ("Anne", "remove", "2947-0 checked comment=ok", "", "erreur"),
    ]
    assert appended(third, []) == third


def test_a_conflict_is_a_settled_row_that_another_decision_would_change() -> None:
    table = Transcoding([row()])
    for new in (row(status="refused"), row("2947-0"), row(status="proposed")):
        assert table.difference(table.with_rows([new])).conflicts
    for new in (
        row("2947-0", specimen="Urine"),
        row("2947-0", "proposed"),
        row(comment="x"),
        row("2947-0", since="2027-01-01"),
    ):
        later = Transcoding([row(until="2026-12-31")])
        assert not later.difference(later.with_rows([new])).conflicts or new.comment == "x"


# units


@pytest.mark.parametrize(
    "written,code",
    [
        ("G/L", "10*9/L"),
        ("T/L", "10*12/L"),
        ("g/l", "g/L"),
        ("µmol/l", "umol/L"),
        ("mUI/L", "m[IU]/L"),
        ("mmol/L", "mmol/L"),
        ("pmol/mL", "pmol/mL"),
        ("nkat/L", "nkat/L"),
        ("/champ", "/[HPF]"),
        ("°C", "Cel"),
        ("pH", "[pH]"),
        ("", ""),
        ("parasanges", ""),
        ("Wb/L", ""),
        ("mcd/L", ""),
        ("ug/(24.h)", "ug/(24.h)"),
        ("  g/L ", "g/L"),
    ],
)
def test_units_of_laboratories_become_ucum_and_units_of_physicists_do_not(written: str, code: str) -> None:
    assert ucum_of(written, spelled) == code


def test_units_compare_without_blanks_and_case_counts() -> None:
    assert fold_unit("µmol / l") == fold_unit("umol/L")
    assert fold_unit("mU/L") != fold_unit("MU/L")


@pytest.mark.parametrize(
    "source,target,analyte",
    [
        ("meq/L", "mmol/L", ""),
        ("mosm/kg", "mmol/kg", ""),
        ("{Log_copies}/mL", "/mL", ""),
        ("ug{FEU}/L", "ug{DDU}/L", ""),
        ("[IU]/L", "U/L", ""),
        ("g/L", "mmol/L", ""),
        ("g/L", "mmol/L", "Unobtainium"),
        ("mmol/L", "g/L", "Urée"),
        ("x", "g/L", ""),
    ],
)
def test_a_conversion_that_could_be_wrong_is_refused(source: str, target: str, analyte: str) -> None:
    with pytest.raises(CannotConvert):
        conversion(source, target, analyte)


@pytest.mark.parametrize(
    "source,target,analyte",
    [
        ("{cells}/uL", "10*9/L", ""),
        ("{cell}/uL", "{cells}/mL", ""),
        ("ug/L", "ug{FEU}/L", ""),
        ("g/L", "mmol/L", "glucose"),
        ("U/L", "ukat/L", ""),
    ],
)
def test_a_conversion_that_cannot_be_wrong_is_made(source: str, target: str, analyte: str) -> None:
    assert conversion(source, target, analyte)(Fraction(1)) > 0


# what is left to do


CATALOGUE = Catalogue(
    [
        Entry(local_code="NA", label="Sodium", unit="mmol/L", section="Biochimie", frequency=10),
        Entry(local_code="K", label="<Potassium>", unit="mmol/L", section="Biochimie", frequency=30),
        Entry(local_code="PROT", specimen="Sérum", unit="g/L", section="Protéines"),
        Entry(local_code="PROT", specimen="Urine", unit="g/24h", section="Protéines"),
        Entry(local_code="OLD", active=False, frequency=99),
    ]
)


def traffic() -> Traffic:
    found = Traffic()
    for unit, count in (("g/L", 5), ("g/24h", 2)):
        for _ in range(count):
            found.add(Seen("PROT", "", "", unit, "", "", "NM", "", "", "2026-11-01"))
    return found


def test_the_worklist_has_what_nobody_decided_the_most_frequent_first() -> None:
    table = Transcoding([row(), row("2823-3", "proposed", local_code="K"), row("2823-4", "refused", local_code="K")])
    found = items(CATALOGUE, table, traffic(), TODAY)
    assert [(item.entry.local_code, item.volume, item.state) for item in found] == [
        ("K", 30, "proposed"),
        ("NA", 10, "checked"),
        ("PROT", 5, "open"),
        ("PROT", 2, "open"),
    ]
    assert [item.entry.local_code for item in open_items(found)] == ["K", "PROT", "PROT"]
    assert [item.entry.unit for item in open_items(found, "Protéines")] == ["g/L", "g/24h"]
    assert found[0].refused == {"2823-4"}
    assert items(CATALOGUE, Transcoding([row(until="2025-12-31")]), traffic(), TODAY)[1].state == "open"


def test_the_coverage_is_by_volume_and_by_chapter() -> None:
    whole, *chapters = coverage(items(CATALOGUE, Transcoding([row()]), traffic(), TODAY))
    assert whole.share("checked") == 10 / 47
    assert [(one.name, sum(one.results.values())) for one in chapters] == [("Biochimie", 40), ("Protéines", 7)]
    (empty,) = coverage([])
    assert empty.share("checked") is None


def test_the_page_escapes_what_it_shows_and_stands_alone() -> None:
    text = page("Labo <1>", items(CATALOGUE, Transcoding([row()]), traffic(), TODAY), [], TODAY)
    assert "&lt;Potassium&gt;" in text
    assert "<Potassium>" not in text
    assert "Labo &lt;1&gt;" in text
    assert "21,3 %" in text
    assert "http" not in text.replace("http://", "")
    assert Key("NA") == ("NA", "", "", "")
