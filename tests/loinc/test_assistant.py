"""The assistant: what it proposes, why, how sure, and when it abstains."""

from __future__ import annotations

from functools import cache

import pytest

from loinc.assistant.calibrate import THRESHOLD
from loinc.assistant.evidence import Analysis, is_french
from loinc.assistant.explain import VERDICTS
from loinc.assistant.lexicon import Lexicon, data_rows, lexicon
from loinc.assistant.normalise import words
from loinc.assistant.official import learned, unfold
from loinc.assistant.suggest import Assistant, Suggestion, assistant
from loinc.assistant.usual import usual_weights
from loinc.terms import Term, Terms, shipped

FRENCH = [Analysis("c", "Numération des hématies", "Sang", "T/L"), Analysis("d", "Natrémie", "Sérum", "mmol/L")]
ENGLISH = [Analysis("c", "Blood Urea", "Blood"), Analysis("d", "White Blood Cells", "Blood")]


@cache
def first(label: str, specimen: str = "", unit: str = "", technique: str = "") -> Suggestion:
    """The suggestion for a line of a French catalogue."""
    return list(assistant().suggest([*FRENCH, Analysis("x", label, specimen, unit, technique)]))[-1]


def code(*line: str) -> str:
    return first(*line).candidates[0].loinc


@pytest.mark.parametrize(
    "line, loinc",
    [
        (("Natrémie", "Sérum", "mmol/L"), "2951-2"),
        (("NATREMIE", "SERUM", "mmol/l"), "2951-2"),
        (("Créatinine", "Sérum", "µmol/L"), "14682-9"),
        (("Créatinine", "Sérum", "mg/L"), "2160-0"),
        (("Créatinine", "Urine", "mmol/L"), "14683-7"),
        (("TGO", "Sérum", "UI/L"), "1920-8"),
        (("GGT", "Sérum", "U/L"), "2324-2"),
        (("TSHus", "Sérum", "mUI/L"), "3016-3"),
        (("VGM", "Sang", "fL", "Comptage automate"), "787-2"),
        (("PNN", "Sang", "G/L"), "26499-4"),
        (("PNN", "Sang", "%"), "26511-6"),
        (("TP", "Plasma citraté", "%"), "5894-1"),
        (("Ac anti-HBs", "Sérum", "UI/L"), "16935-9"),
        (("Antigène HBs", "Sérum"), "5196-1"),
        (("Glycémie à jeun", "Plasma", "mmol/L"), "40193-5"),
        (("Vancomycine résiduelle", "Sérum", "mg/L"), "4092-3"),
    ],
)
def test_common_analyses_get_the_code_that_is_meant(line: tuple[str, ...], loinc: str) -> None:
    assert code(*line) == loinc


@pytest.mark.parametrize(
    "label, specimen, unit, loinc",
    [
        ("Hémogloibne", "Sang", "g/dL", "718-7"),
        ("GAMMA GLUTAMYLTRANSF", "Sérum", "UI/L", "2324-2"),
        ("Phosph. alcal.", "Sérum", "UI/L", "6768-6"),
        ("BILI TOT", "Sérum", "µmol/L", "14631-6"),
        ("PLQT", "Sang", "G/L", "777-3"),
    ],
)
def test_labels_cut_short_or_misspelt_are_read(label: str, specimen: str, unit: str, loinc: str) -> None:
    assert code(label, specimen, unit) == loinc


@pytest.mark.parametrize(
    "label, specimen, loinc",
    [
        ("WBC", "Blood", "6690-2"),
        ("BUN", "Blood", "3094-0"),
        ("Alkaline Phosphatase", "Blood", "6768-6"),
        ("Bilirubin, Direct", "Blood", "1968-7"),
        ("pCO2", "Arterial blood", "2019-8"),
        ("Creatinine, Urine", "Urine", "2161-8"),
        ("HBsAg", "Serum", "5196-1"),
    ],
)
def test_english_items_without_units_are_read(label: str, specimen: str, loinc: str) -> None:
    found = list(assistant().suggest([*ENGLISH, Analysis("x", label, specimen)]))[-1]
    assert found.candidates[0].loinc == loinc


def test_the_unit_chooses_between_mass_amount_and_rate() -> None:
    codes = [code("Calcium", "Urine de 24h", unit) for unit in ("mmol/24h", "mg/24h", "mmol/L")]
    assert codes == ["14637-3", "6874-2", "25362-5"]


def test_free_is_not_total_and_igg_is_not_igm() -> None:
    assert code("T4 libre", "Sérum", "pmol/L") == "14920-3"
    assert code("T4 totale", "Sérum", "µg/dL") == "3026-2"
    assert code("Toxoplasmose IgM", "Sérum") != code("Toxoplasmose IgG", "Sérum")


def test_each_candidate_has_a_reason_an_axis_with_its_verdict() -> None:
    suggestion = first("Natrémie", "Sérum", "mmol/L", "ISE")
    for candidate in suggestion.candidates:
        assert list(candidate.reasons) == ["component", "property", "time", "system", "scale", "method"]
        assert {reason.partition(":")[0] for reason in candidate.reasons.values()} <= set(VERDICTS)
    assert suggestion.candidates[0].reasons["property"].startswith("matched: SCnc")
    assert suggestion.candidates[0].reasons["system"] == "matched: Ser/Plas, from specimen 'Sérum'"


def test_a_term_that_the_unit_contradicts_says_so() -> None:
    reasons = {
        one.loinc: one.reasons["property"] for one in first("Polynucléaires neutrophiles", "Sang", "%").candidates
    }
    assert reasons["26511-6"].startswith("matched")
    assert reasons["26499-4"].startswith("contradicted")


def test_what_is_sure_is_proposed_and_what_is_not_abstains() -> None:
    sure, unsure = first("Sodium", "Sérum", "mmol/L"), first("Bidule de Machin", "Sérum", "g/L")
    assert (sure.decision, unsure.decision) == ("propose", "abstain")
    assert sure.confidence >= THRESHOLD > unsure.confidence


def test_a_word_that_nobody_knows_lowers_the_confidence() -> None:
    assert first("Sodium zorglub", "Sérum", "mmol/L").confidence < first("Sodium", "Sérum", "mmol/L").confidence


@pytest.mark.parametrize("label", ["", " ", "???", "/", "%"])
def test_a_label_that_says_nothing_has_no_candidate_and_no_confidence(label: str) -> None:
    suggestion = first(label, "Sérum", "g/L")
    assert (suggestion.candidates, suggestion.confidence, suggestion.decision) == (
        [],
        0.0,
        "abstain",
    ) or not label.strip()


def test_the_same_catalogue_gives_the_same_answer() -> None:
    lines = [Analysis("1", "Hb", "Sang", "g/dL"), Analysis("2", "Cholesterol total", "Sérum", "g/L")]
    again = Assistant(shipped(), learned(lexicon(), shipped()))
    assert list(assistant().suggest(lines)) == list(again.suggest(lines))


def test_an_empty_unit_means_something_only_where_the_others_have_one() -> None:
    line = Analysis("x", "Toxoplasmose IgG", "Sérum")
    with_units = [Analysis("1", "Sodium", "Sérum", "mmol/L"), Analysis("2", "Fer", "Sérum", "µmol/L"), line]
    scale = shipped().get(list(assistant().suggest(with_units))[-1].candidates[0].loinc)
    assert scale is not None
    assert scale.scale == "Ord"


def test_official_names_are_taken_apart() -> None:
    french, hints = unfold(Analysis("", "Leucocytes [Nombre/Volume] Urine ; Numérique ; Comptage manuel"))
    assert (french.label, french.specimen, french.technique) == ("Leucocytes", "Urine", "Comptage manuel")
    assert ("prop", "NCnc") in hints
    axes, _ = unfold(Analysis("", "ABO et RHD groupage:Type:Ponctuel:Sang:Résultat nominal:"))
    assert (axes.label, axes.specimen) == ("ABO et RHD groupage", "Sang")
    english, hints = unfold(Analysis("", "Calcium [Moles/time] in 24 hour Urine"))
    assert (english.label, english.specimen) == ("Calcium", "Urine")
    assert hints == (("prop", "SRat"), ("time", "24H"))


def test_a_table_with_french_labels_teaches_its_words() -> None:
    term = Term("718-7", "Hemoglobin [Mass/volume] in Blood", "Hemoglobin", "MCnc", "Pt", "Bld", "Qn", "")
    terms = Terms([term._replace(french="Pigment respiratoire [Masse/Volume] Sang ; Numérique")])
    helper = Assistant(terms, learned(Lexicon({}, {}), terms))
    found = list(helper.suggest([Analysis("x", "Pigment respiratoire", "Sang", "g/dL")]))
    assert [one.loinc for one in found[0].candidates] == ["718-7"]


@pytest.mark.parametrize(
    "label, french",
    [
        ("Numération des hématies", True),
        ("White Blood Cells", False),
        ("Sodium", None),
        ("Créatinine", True),
        ("", None),
    ],
)
def test_the_language_of_a_label_is_told_or_left_open(label: str, french: bool | None) -> None:
    assert is_french(label) is french


def test_the_words_of_the_lexicon_are_those_of_loinc() -> None:
    known = {word for term in shipped() for word in words(term.component)}
    lost = {
        sense.component
        for senses in lexicon().senses.values()
        for sense in senses
        if sense.component and not known.intersection(words(sense.component))
    }
    assert len(lost) < 60, "analytes that the subset has not, and a release may have"


def test_most_rows_of_the_usual_analyses_are_in_the_table() -> None:
    rows = data_rows("usual.csv")
    components = {term.component.lower() for term in shipped()}
    absent = [one for row in rows for one in row["component"].lower().split("|") if one not in components]
    assert len(absent) < 8, absent
    assert len(usual_weights(shipped())) > 500
