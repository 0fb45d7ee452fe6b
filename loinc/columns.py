"""What the columns of a catalogue or of a transcoding table are called: in our files, in exports, in the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from loinc.assistant.normalise import fold

__all__ = ["FRENCH", "recognised"]

FRENCH: Mapping[str, str] = {
    "local_code": "Code analyse",
    "label": "Libellé",
    "short_label": "Libellé court",
    "specimen": "Milieu",
    "unit": "Unité",
    "technique": "Technique",
    "analyser": "Automate",
    "value_type": "Type de résultat",
    "decimals": "Décimales",
    "range": "Valeurs de référence",
    "section": "Chapitre",
    "sub_section": "Sous-chapitre",
    "nabm": "Code NABM",
    "frequency": "Fréquence",
    "active": "Actif",
    "if_specimen": "Condition milieu",
    "if_unit": "Condition unité",
    "if_technique": "Condition technique",
    "loinc": "Code LOINC",
    "loinc_name": "Libellé LOINC",
    "status": "Statut",
    "relationship": "Équivalence",
    "ucum": "Unité UCUM",
    "molar_mass": "Masse molaire de",
    "since": "Valable depuis",
    "until": "Valable jusqu'au",
    "author": "Auteur",
    "date": "Date",
    "evidence": "Justification",
    "comment": "Commentaire",
}
"""Field -> title of its column in exports; no two are the same.

``specimen``, ``unit`` and ``technique`` describe the analysis; ``if_…`` are the conditions of a row of the transcoding.
"""

_SYNONYMS: Mapping[str, str] = {
    "local_code": "code|code local|code examen|code test|code labo|code laboratoire|code sgl|code silx|"
    "code parametre|code interne|code resultat|local code|test code|mnemonique|identifiant|"
    "code_local|local",
    "label": "libelle analyse|libelle long|libelle examen|libelle local|libelle interne|libelle test|"
    "designation|nom|intitule|analyse|examen|description|name|local label|libelle complet|parametre",
    "short_label": "abrege|abreviation|libelle abrege|short name|libelle reduit",
    "specimen": "nature|nature prelevement|nature du prelevement|prelevement|type prelevement|"
    "type de prelevement|echantillon|type echantillon|type d'echantillon|materiel|milieu biologique|"
    "nature echantillon|sample|fluid|matrice|specimen type",
    "unit": "unites|unite de mesure|unite 1|unite principale|units|uom",
    "technique": "methode|method|technique analytique|principe|procede|methode analytique",
    "analyser": "analyseur|appareil|instrument|machine|analyzer|poste",
    "value_type": "type|type resultat|format|format resultat|type valeur|type de valeur|nature resultat|result type",
    "decimals": "nb decimales|nombre de decimales|nombre decimales|precision|dec",
    "range": "normes|norme|valeurs usuelles|intervalle de reference|reference range|bornes|vr",
    "section": "famille|discipline|secteur|rubrique|category|specialite|departement",
    "sub_section": "sous famille|sous rubrique|sous discipline|sub section|sous chapitre",
    "nabm": "nabm|cotation|code b|acte|code acte|acte nabm",
    "frequency": "volume|nombre|nb|nb resultats|nombre de resultats|nombre par an|volume annuel|occurrences|"
    "count|activite|nombre realise|frequence annuelle",
    "active": "en service|valide|utilise|etat analyse",
    "loinc": "loinc code|loinc num|code loinc retenu",
    "loinc_name": "loinc label|libelle du code loinc|long common name",
    "status": "etat|statut transcodage|validation|etat transcodage",
    "relationship": "relation|equivalence|type de relation",
    "ucum": "unite envoyee|unite cible|unite loinc|unite transcodee|ucum unit",
    "molar_mass": "masse molaire|analyte|molar mass|molar mass of",
    "since": "debut|date debut|date de debut|valide du|valid from|debut de validite",
    "until": "fin|date fin|date de fin|valide jusqu'au|valid until|fin de validite",
    "author": "valide par|transcodeur|auteur transcodage|operateur|biologiste",
    "date": "date validation|date de validation|date transcodage|le",
    "evidence": "preuve|raison|motif|argument",
    "comment": "commentaires|remarque|remarques|note|observation|observations",
}
"""Field -> other names of its column, without accents, in small letters."""


@cache
def _fields() -> dict[str, str]:
    found: dict[str, str] = {}
    for field, title in FRENCH.items():
        for name in (field, field.replace("_", " "), title, *_SYNONYMS.get(field, "").split("|")):
            found.setdefault(_key(name), field)
    return found


def _key(name: str) -> str:
    return " ".join(fold(name).replace("_", " ").replace("-", " ").replace(".", " ").split()).strip(" :")


def recognised(columns: Iterable[str], chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Field -> the column that holds it.

    chosen: field -> name of the column, as the site says; it wins. Of several columns that may hold a field, the first.
    """
    names = [column for column in columns if column]
    found: dict[str, str] = {}
    for field, column in (chosen or {}).items():
        match = next((name for name in names if _key(name) == _key(column)), None)
        if match:
            found[field] = match
    for name in names:
        field = _fields().get(_key(name), "")
        if field and field not in found and name not in found.values():
            found[field] = name
    return found
