"""A site's own tables: the LOINC release and the French value set."""

from __future__ import annotations

import csv
import io
import resource
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from channels.errors import ChannelFileError
from loinc.releases import FrenchTerm, read_alignment, read_release, read_value_set, with_french
from loinc.sheets import Workbook
from loinc.terms import Term, check_digit, shipped, write_terms

RELEASE = [
    "LOINC_NUM",
    "COMPONENT",
    "PROPERTY",
    "TIME_ASPCT",
    "SYSTEM",
    "SCALE_TYP",
    "METHOD_TYP",
    "CLASS",
    "STATUS",
    "CLASSTYPE",
    "ORDER_OBS",
    "LONG_COMMON_NAME",
    "EXAMPLE_UCUM_UNITS",
    "COMMON_TEST_RANK",
]
HEMOGLOBIN = ["718-7", "Hemoglobin", "MCnc", "Pt", "Bld", "Qn", "", "HEM/BC", "ACTIVE", "1", "Both", "Hemoglobin [Mass/volume] in Blood", "g/dL;g/L", "6"]  # fmt: skip
FASTING = ["40193-5", "Glucose^pre-meal", "SCnc", "Pt", "Ser/Plas", "Qn", "", "CHEM", "ACTIVE", "1", "Both", "Glucose [Moles/volume] in Serum or Plasma --pre-meal", "mmol/L", "0"]  # fmt: skip
WEIGHT = ["29463-7", "Body weight", "Mass", "Pt", "^Patient", "Qn", "", "BDYWGT.ATOM", "ACTIVE", "2", "Observation", "Body weight", "kg", "1"]  # fmt: skip


def release(rows: Sequence[Sequence[str]], header: Sequence[str] = RELEASE) -> io.StringIO:
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    return io.StringIO(stream.getvalue())


def workbook(path: Path, sheets: dict[str, list[list[str]]]) -> Path:
    """An XLSX file with shared strings, as spreadsheets write it; empty cells are left out."""
    strings: list[str] = []
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(path, "w") as archive:
        for number, rows in enumerate(sheets.values(), 1):
            lines = []
            for row, cells in enumerate(rows, 1):
                written = []
                for column, cell in enumerate(cells):
                    if cell:
                        strings.append(cell)
                        written.append(f'<c r="{chr(65 + column)}{row}" t="s"><v>{len(strings) - 1}</v></c>')
                lines.append(f'<row r="{row}">{"".join(written)}</row>')
            archive.writestr(f"xl/worksheets/sheet{number}.xml", f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData></worksheet>')  # fmt: skip
        names = "".join(
            f'<sheet name="{escape(name)}" sheetId="{at}" r:id="rId{at}"/>' for at, name in enumerate(sheets, 1)
        )
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{links}"><sheets>{names}</sheets></workbook>')  # fmt: skip
        targets = "".join(f'<Relationship Id="rId{at}" Target="worksheets/sheet{at}.xml"/>' for at in range(1, len(sheets) + 1))  # fmt: skip
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{targets}</Relationships>',
        )
        items = "".join(f"<si><t>{escape(text)}</t></si>" for text in strings)
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{items}</sst>')
    return path


def test_the_laboratory_terms_of_a_release_are_read_with_their_axes() -> None:
    found = list(read_release(release([HEMOGLOBIN, WEIGHT, FASTING]), "Loinc.csv"))
    assert [term.code for term in found] == ["718-7", "40193-5"]
    assert found[0] == Term("718-7", HEMOGLOBIN[11], "Hemoglobin", "MCnc", "Pt", "Bld", "Qn", "", "", ("g/dL", "g/L"), "ACTIVE", "Both", 6)  # fmt: skip
    assert (found[1].component, found[1].challenge) == ("Glucose", "pre-meal")


def test_a_file_that_is_no_release_says_which_columns_are_missing() -> None:
    with pytest.raises(ChannelFileError, match="no column COMPONENT"):
        list(read_release(io.StringIO("LOINC_NUM,NAME\n"), "Loinc.csv"))


def test_a_damaged_code_is_shown_at_its_line() -> None:
    damaged = ["718-8", *HEMOGLOBIN[1:]]
    with pytest.raises(ChannelFileError, match=r"^Loinc\.csv:3:1: "):
        list(read_release(release([FASTING, damaged]), "Loinc.csv"))


class _Generated(io.TextIOBase):
    """A release of many rows that is never whole in memory."""

    def __init__(self, rows: int) -> None:
        self._lines = self._all(rows)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # typeshed gives lines of text as bytes
        return self._lines

    @staticmethod
    def _all(rows: int) -> Iterator[str]:
        yield ",".join([*RELEASE, "RELATEDNAMES2"]) + "\n"
        terms = list(shipped())
        for number in range(1, rows + 1):
            term, stem = terms[number % len(terms)], str(number)
            cells = [f"{stem}-{check_digit(stem)}", term.component, term.property, term.time, term.system, term.scale]
            cells += [
                term.method,
                "CHEM",
                "ACTIVE",
                "1",
                "Both",
                term.name,
                ";".join(term.units),
                "0",
                "related; " * 40,
            ]
            stream = io.StringIO()
            csv.writer(stream, lineterminator="\n").writerow(cells)
            yield stream.getvalue()


def test_a_release_of_a_hundred_thousand_rows_is_imported_without_holding_it(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (tmp_path / "terms.csv").open("w", encoding="utf-8", newline="") as target:
        count = write_terms(read_release(_Generated(100_000), "Loinc.csv"), target)  # type: ignore[arg-type]  # lines are enough
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert count == 100_000
    assert grown < 50_000, "kB more than before"


VALUE_SET = [
    ["Jeu de valeurs du circuit de la biologie"],
    ["Code LOINC", "Libellé français de référence", "Composant anglais", "Composant français", "Synonymes", "Grandeur", "Temps", "Milieu biologique", "Échelle", "Technique", "Chapitre", "Colonne nouvelle"],
    ["718-7", "Hémoglobine [Masse/Volume] Sang ; Numérique", "Hemoglobin", "Hémoglobine", "Hb", "Masse/Volume", "Ponctuel", "Sang", "Numérique", "", "Hématologie"],
    ["note de bas de page"],
]  # fmt: skip


def test_the_french_value_set_is_read_by_its_headings(tmp_path: Path) -> None:
    path = workbook(tmp_path / "LOINCFR.xlsx", {"Lisez-moi": [["x"]], "1.Jeu de valeurs": VALUE_SET})
    assert list(read_value_set(path)) == [
        FrenchTerm("718-7", VALUE_SET[2][1], "Hémoglobine", "Hb", "Masse/Volume", "Ponctuel", "Sang", "Numérique", "", "Hématologie")
    ]  # fmt: skip


def test_unknown_headings_fall_back_on_the_published_order(tmp_path: Path) -> None:
    rows = [VALUE_SET[0], ["?"] * 11, *VALUE_SET[2:]]
    path = workbook(tmp_path / "v.xlsx", {"Jeu": rows})
    assert [(one.code, one.component, one.chapter) for one in read_value_set(path)] == [("718-7", "Hémoglobine", "Hématologie")]  # fmt: skip


def test_the_value_set_may_be_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("\ufeffCode LOINC;Libellé\n718-7;Hémoglobine\n", encoding="utf-8")
    assert [one.label for one in read_value_set(path)] == ["Hémoglobine"]


def test_a_file_without_codes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChannelFileError, match="no row has a LOINC code"):
        list(read_value_set(workbook(tmp_path / "v.xlsx", {"Jeu": [["a", "b"]]})))


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.xlsx"
    path.write_bytes(b"not a zip")
    with pytest.raises(ChannelFileError, match="not an XLSX workbook"):
        Workbook(path)


def test_the_alignment_with_acts_is_read(tmp_path: Path) -> None:
    rows = [
        ["Code NABM", "Libellé NABM", "Code LOINC", "Libellé LOINC"],
        ["1104", "HEMOGRAMME", "718-7", "Hémoglobine"],
    ]
    path = workbook(tmp_path / "v.xlsx", {"Jeu": VALUE_SET, "Alignement NABM-LOINC FR": rows})
    assert list(read_alignment(path)) == [("1104", "HEMOGRAMME", "718-7")]


def test_french_labels_join_the_terms_of_a_release(tmp_path: Path) -> None:
    path = workbook(tmp_path / "v.xlsx", {"Jeu": VALUE_SET})
    terms = list(with_french(read_release(release([HEMOGLOBIN, FASTING]), "Loinc.csv"), read_value_set(path)))
    assert [bool(term.french) for term in terms] == [True, False]


def test_empty_cells_keep_their_columns(tmp_path: Path) -> None:
    path = workbook(tmp_path / "v.xlsx", {"A": [["1", "", "3"], [], ["", "x"]]})
    with Workbook(path) as book:
        assert book.sheets == ["A"]
        assert list(book.rows("A")) == [["1", "", "3"], [], ["", "x"]]
