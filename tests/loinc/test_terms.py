"""The shipped subset, the axes read from names, and the compact table."""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path

import pytest

from channels.errors import ChannelFileError
from loinc.build import build
from loinc.names import Axes, read_name
from loinc.terms import Term, Terms, check_digit, is_code, read_terms, shipped, write_terms

SHARED = Path(__file__).parents[3] / "shared" / "terminology"


def test_every_shipped_code_has_its_check_digit_and_a_name() -> None:
    assert len(shipped()) == 17353
    assert all(is_code(term.code) and term.name for term in shipped())


@pytest.mark.parametrize("stem, digit", [("2951", 2), ("718", 7), ("10535", 3), ("3", 4), ("98979", 8)])
def test_the_check_digit_is_that_of_published_codes(stem: str, digit: int) -> None:
    assert check_digit(stem) == digit


@pytest.mark.parametrize(
    "text", ["2951-3", "2951", "2951-", "-2", "X1-2", "2951-2 ", "2951\u20112", "01/08/2026", "²951-2"]
)
def test_damaged_codes_are_refused(text: str) -> None:
    assert not is_code(text)


@pytest.mark.parametrize(
    "name, units, axes",
    [
        ("Hemoglobin [Mass/volume] in Blood", (), ("Hemoglobin", "MCnc", "Pt", "Bld", "Qn", "", "")),
        ("Calcium [Moles/time] in 24 hour Urine", (), ("Calcium", "SRat", "24H", "Urine", "Qn", "", "")),
        (
            "Vancomycin [Mass/volume] in Serum or Plasma --trough",
            (),
            ("Vancomycin", "MCnc", "Pt", "Ser/Plas", "Qn", "", "trough"),
        ),
        (
            "Neutrophils/100 leukocytes in Blood by Automated count",
            ("%",),
            ("Neutrophils/100 leukocytes", "NFr", "Pt", "Bld", "Qn", "Automated count", ""),
        ),
        ("pH of Arterial blood", ("[pH]",), ("pH", "LsCnc", "Pt", "BldA", "Qn", "", "")),
        ("MCV [Entitic volume] by Automated count", (), ("MCV", "EntVol", "Pt", "RBC", "Qn", "Automated count", "")),
        (
            "Bacteria identified in Urine by Culture",
            (),
            ("Bacteria identified", "Prid", "Pt", "Urine", "Nom", "Culture", ""),
        ),
        (
            "HIV 1 RNA [#/volume] (viral load) in Serum or Plasma by NAA with probe detection",
            (),
            ("HIV 1 RNA", "NCnc", "Pt", "Ser/Plas", "Qn", "NAA with probe detection", ""),
        ),
        ("Chloride [Moles/volume] in Urine collected for unspecified duration", (), ("Chloride", "SCnc", "XXX", "Urine", "Qn", "", "")),
        ("Amikacin [Susceptibility] by Disk diffusion (KB)", (), ("Amikacin", "Susc", "Pt", "Isolate", "OrdQn", "Disk diffusion (KB)", "")),
        ("Immunofixation for Serum or Plasma Narrative", (), ("Immunofixation", "", "Pt", "Ser/Plas", "Nar", "", "")),
    ],
)  # fmt: skip
def test_a_long_common_name_tells_its_axes(name: str, units: tuple[str, ...], axes: tuple[str, ...]) -> None:
    assert read_name(name, units) == Axes(*axes, False)  # type: ignore[call-arg,arg-type]  # seven texts


def test_a_deprecated_name_is_known_as_such() -> None:
    assert read_name("Deprecated Haptoglobin in Serum or Plasma").deprecated
    assert shipped().get("42243-6") is not None
    assert shipped().get("42243-6").status == "DEPRECATED"  # type: ignore[union-attr]  # the line before


def test_nearly_every_shipped_name_has_a_property_and_a_specimen() -> None:
    assert sum(not term.property for term in shipped()) < 0.015 * len(shipped())
    assert sum(not term.system for term in shipped()) < 0.01 * len(shipped())


def test_terms_are_found_by_axis() -> None:
    assert "718-7" in {term.code for term in shipped().where("component", "Hemoglobin")}
    assert shipped().where("system", "no such system") == []


def test_the_official_french_labels_come_with_their_terms() -> None:
    term = shipped().get("718-7")
    assert term is not None
    assert term.french == "Hémoglobine [Masse/Volume] Sang ; Numérique"


def test_a_table_written_and_read_is_the_same() -> None:
    terms = [term for number, term in enumerate(shipped()) if number % 97 == 0]
    terms.append(Term("718-7", 'a;b "c"', "A", "MCnc", "Pt", "Bld", "Qn", "", "x", ("g/L", "g/dL"), "TRIAL", "Both", 12, "é"))  # fmt: skip
    stream = io.StringIO()
    assert write_terms(terms, stream) == len(terms)
    assert list(read_terms(io.StringIO(stream.getvalue()), "t.csv")) == terms


def test_a_wrong_code_is_shown_at_its_line() -> None:
    with pytest.raises(ChannelFileError, match=r"^t\.csv:3:1: "):
        list(read_terms(io.StringIO("code;name;units\n718-7;A;\n718-8;B;\n"), "t.csv"))


def test_a_later_term_replaces_an_earlier_one() -> None:
    one = Term("718-7", "one", "A", "", "", "", "", "")
    assert [term.name for term in Terms([one, one._replace(name="two")])] == ["two"]


def test_the_notice_of_loinc_is_with_the_data() -> None:
    data = resources.files("loinc") / "data"
    notice = (data / "LOINC_short_license.txt").read_text(encoding="utf-8")
    assert "http://loinc.org/license" in notice
    assert "Regenstrief" in (data / "NOTICE.txt").read_text(encoding="utf-8")
    assert "Soda team @ Inria" in (data / "NOTICE.txt").read_text(encoding="utf-8")


def test_the_shipped_files_can_be_built_again(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("../shared/terminology is not there")
    assert build(SHARED, tmp_path) == {"terms.csv": 17353, "labels_fr.csv": 79, "nabm.csv": 781}
    for name in ("terms.csv", "labels_fr.csv", "nabm.csv"):
        assert (tmp_path / name).read_bytes() == (resources.files("loinc") / "data" / name).read_bytes()
