"""Units, specimens, spelling, techniques and the file that the assistant reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import ChannelFileError
from loinc.assistant.evidence import Analysis
from loinc.assistant.methods import read_technique
from loinc.assistant.normalise import fold, words
from loinc.assistant.specimens import fits_of_specimen
from loinc.assistant.spelling import Speller, distance, skeleton
from loinc.assistant.table import read_analyses
from loinc.assistant.units import read_unit


@pytest.mark.parametrize(
    "unit, property_, time",
    [
        ("mmol/L", "SCnc", ""),
        ("µmol/l", "SCnc", ""),
        ("mEq/L", "SCnc", ""),
        ("g/L", "MCnc", ""),
        ("G/L", "NCnc", ""),
        ("Giga/L", "NCnc", ""),
        ("10^9/L", "NCnc", ""),
        ("10*12/L", "NCnc", ""),
        ("T/L", "NCnc", ""),
        ("/mm3", "NCnc", ""),
        ("K/uL", "NCnc", ""),
        ("copies/mL", "NCnc", ""),
        ("log copies/mL", "LnCnc", ""),
        ("UI/L", "ACnc", ""),
        ("U/L", "CCnc", ""),
        ("ng/mL/h", "CCnc", ""),
        ("%", "NFr", ""),
        ("/100 GB", "NFr", ""),
        ("g/24h", "MRat", "24H"),
        ("mmol/j", "SRat", "24H"),
        ("mL/min/1,73m²", "ArVRat", ""),
        ("mg/mmol", "Ratio", ""),
        ("mg/g créat", "MRto", ""),
        ("fL", "EntVol", ""),
        ("pg", "EntMass", ""),
        ("s", "Time", ""),
        ("mm/h", "Vel", ""),
        ("mmHg", "PPres", ""),
        ("mosm/kg", "Osmol", ""),
        ("titre", "Titr", ""),
        ("INR", "RelTime", ""),
        ("/champ", "Naric", ""),
        ("U/g Hb", "CCnt", ""),
        ("µg/L FEU", "MCnc", ""),
    ],
)
def test_a_unit_tells_the_property(unit: str, property_: str, time: str) -> None:
    evidence = read_unit(unit)
    assert evidence is not None
    assert evidence.properties[property_] == max(evidence.properties.values())
    assert evidence.time == time


def test_a_ratio_to_creatinine_says_against_what() -> None:
    evidence = read_unit("mg/g créat")
    assert evidence is not None
    assert evidence.denominator == "creatinine"


@pytest.mark.parametrize("unit", ["", "  ", "zorg", "foo/bar"])
def test_a_unit_that_is_not_known_tells_nothing(unit: str) -> None:
    assert read_unit(unit) is None


@given(st.text(max_size=20))
def test_any_text_may_be_a_unit_a_specimen_or_a_label(text: str) -> None:
    read_unit(text)
    fits, _ = fits_of_specimen(text)
    assert all(0 <= fit <= 1 for fit in fits.values())
    assert all(word == word.lower() for word in words(text))


@pytest.mark.parametrize(
    "text, system",
    [
        ("Sérum", "Ser"),
        ("Plasma citraté", "PPP"),
        ("Sang total EDTA", "Bld.whole"),
        ("Urines des 24 heures", "Urine"),
        ("L.C.R.", "CSF"),
        ("Liquide d'ascite", "Periton fld"),
        ("SER", "Ser"),
        ("Joint Fluid", "Synv fld"),
    ],
)
def test_a_specimen_tells_the_system(text: str, system: str) -> None:
    assert fits_of_specimen(text)[1] == system
    assert fits_of_specimen(text)[0][system] == 1.0


def test_serum_answers_for_serum_or_plasma_but_not_for_urine() -> None:
    fits, _ = fits_of_specimen("Sérum")
    assert fits["Ser/Plas"] == 1.0
    assert "Urine" not in fits


@pytest.mark.parametrize(
    "one, two, edits",
    [("abc", "abc", 0), ("abc", "acb", 1), ("abc", "abd", 1), ("abc", "ab", 1), ("abcd", "xyzt", 3)],
)
def test_the_distance_counts_edits_up_to_a_limit(one: str, two: str, edits: int) -> None:
    assert distance(one, two, 2) == edits


@pytest.mark.parametrize(
    "french, english",
    [
        ("vancomycine", "vancomycin"),
        ("lactique", "lactate"),
        ("theophylline", "theophylline"),
        ("cryoglobuline", "cryoglobulin"),
        ("vacuole", "vacuolated"),
        ("deshydrogenase", "dehydrogenase"),
        ("hepatique", "hepatic"),
    ],
)
def test_cognates_have_one_skeleton(french: str, english: str) -> None:
    assert skeleton(french) == skeleton(english)


def test_a_word_cut_short_finds_the_common_word() -> None:
    speller = Speller({"hemoglobin": 50.0, "hemoglobinuria": 1.0, "hemolysis": 2.0})
    assert [guess.word for guess in speller.guesses("hemoglob")] == ["hemoglobin", "hemoglobinuria"]
    assert speller.guesses("he") == ()
    assert speller.guesses("12") == ()


@pytest.mark.parametrize(
    "text, method",
    [("ELISA", "Immunoassay"), ("IFI", "Immunofluorescence"), ("PCR temps réel", "NAA with probe detection"),
     ("Comptage automate", "Automated count"), ("Western blot", "Immunoblot"), ("Bandelette réactive", "Test strip")],
)  # fmt: skip
def test_a_technique_agrees_with_a_method(text: str, method: str) -> None:
    technique = read_technique((text,))
    assert technique is not None
    assert technique.pattern is not None
    assert technique.pattern.search(method)


def test_a_technique_that_loinc_has_no_method_for_is_known_too() -> None:
    technique = read_technique(("Colorimétrie",))
    assert technique is not None
    assert technique.pattern is None
    assert read_technique(("Zorglub",)) is None


@pytest.mark.parametrize(
    "text, expected",
    [("T.S.H.", "tsh"), ("Œstradiol", "oestradiol"), ("β-HCG", "beta -hcg"), ("d'ascite", "ascite"), ("µg", "ug"), ("à jeun", "jeun")],
)  # fmt: skip
def test_text_is_folded(text: str, expected: str) -> None:
    assert fold(text) == expected


def test_digits_and_letters_are_apart_and_plurals_are_gone() -> None:
    assert words("Vitamine B12, leucocytes du virus") == ("vitamine", "b", "12", "leucocyte", "virus")


@pytest.mark.parametrize(
    "body",
    [
        "local_code,label,specimen,unit,technique\nNA,Natrémie,Sérum,mmol/L,ISE\n".encode(),
        "\ufefflocal_code;label;specimen;unit;technique\nNA;Natrémie;Sérum;mmol/L;ISE\n\n".encode(),
        "Code;Libellé;Milieu;Unité;Méthode;Prix\nNA;Natrémie;Sérum;mmol/L;ISE;3\n".encode("cp1252"),
        "label\ttechnique\tlocal_code\tunit\tspecimen\nNatrémie\tISE\tNA\tmmol/L\tSérum\n".encode(),
    ],
)
def test_a_catalogue_is_read_whatever_its_delimiter_and_charset(body: bytes) -> None:
    assert read_analyses(body, "c.csv") == [Analysis("NA", "Natrémie", "Sérum", "mmol/L", "ISE")]


def test_missing_columns_and_short_rows_are_empty() -> None:
    assert read_analyses(b"label;unit\nSodium\n;g/L\n", "c.csv") == [
        Analysis("", "Sodium"),
        Analysis("", "", "", "g/L"),
    ]


def test_a_file_without_labels_is_refused_at_its_header() -> None:
    with pytest.raises(ChannelFileError, match=r"^c\.csv:1:1: no column is called label"):
        read_analyses(b"code;unit\nNA;g/L\n", "c.csv")
