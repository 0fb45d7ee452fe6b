"""A report becomes a CR-Bio 2024.01: valid, the same every time, narrative and entries saying the same."""

import contextlib
import os
import re
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from channels.errors import ConfigError, MessageError
from tests.transforms.laboratory import COPY, MESSAGES, Validate, context, edited, fixture, validator
from transforms import er7
from transforms.cda import cr_bio, write
from transforms.measures import listed, ucum_of
from transforms.oru import read_report
from transforms.tables import table
from transforms.validation import validate

GOLDEN = Path(__file__).resolve().parent / "golden" / "cda.cr_bio"
NS = {"c": "urn:hl7-org:v3", "lab": "urn:oid:1.3.6.1.4.1.19376.1.3.2", "sdtc": "urn:hl7-org:sdtc"}
XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"
NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))
SAME = [("OBX", 2, "NM")]

CASES: dict[str, list[tuple[str, int, str]]] = {
    "number": [*SAME, ("OBX", 5, "12.0")],
    "decimal comma": [*SAME, ("OBX", 5, "12,50")],
    "plus sign": [*SAME, ("OBX", 5, "+4.50")],
    "no leading zero": [*SAME, ("OBX", 5, ".5")],
    "negative": [*SAME, ("OBX", 5, "-0.50")],
    "words in NM": [*SAME, ("OBX", 5, "Négatif")],
    "comparison in NM": [*SAME, ("OBX", 5, "< 0,5")],
    "ambiguous comma": [*SAME, ("OBX", 5, "1,234")],
    "no unit": [*SAME, ("OBX", 5, "2.0"), ("OBX", 6, "")],
    "INR": [*SAME, ("OBX", 5, "2.0"), ("OBX", 6, "INR")],
    "eGFR": [*SAME, ("OBX", 5, "90"), ("OBX", 6, "mL/min/1,73m²"), ("OBX", 7, ">= 60")],
    "two values": [*SAME, ("OBX", 5, "12.0~13.0")],
    "SN without unit": [("OBX", 6, "")],
    "SN with the unit of eGFR": [("OBX", 5, ">^90"), ("OBX", 6, "mL/min/1,73m²")],
    "ratio": [("OBX", 5, "^1^:^160"), ("OBX", 6, "titre"), ("OBX", 7, "")],
    "ratio with unit": [("OBX", 5, "^1^:^160"), ("OBX", 6, "g/L"), ("OBX", 7, "")],
    "decimal ratio": [("OBX", 5, "^1.5^:^2"), ("OBX", 6, ""), ("OBX", 7, "")],
    "interval": [("OBX", 5, "^10^-^20")],
    "plus": [("OBX", 5, "^3^+"), ("OBX", 6, "")],
    "words": [("OBX", 2, "ST"), ("OBX", 5, "Négatif \\T\\ <clair> \"'"), ("OBX", 6, "")],
    "text": [("OBX", 2, "TX"), ("OBX", 5, "Ligne 1~Ligne 2\\.br\\Ligne 3"), ("OBX", 6, "")],
    "local answer": [("OBX", 2, "CE"), ("OBX", 5, "POS^Positif^L"), ("OBX", 6, "")],
    "SNOMED CT answer": [("OBX", 2, "CWE"), ("OBX", 5, "260385009^Négatif^SCT^NEG^Négatif^L"), ("OBX", 6, "")],
    "two texts": [("OBX", 2, "ST"), ("OBX", 5, "Rares bacilles~Nombreux cocci"), ("OBX", 6, ""), ("OBX", 7, "")],
    "birth place that is no code": [("PID", 32, "PROV"), ("PID", 11, "^^PARIS^^^^BDL^^75")],
    "two dates": [("OBX", 2, "DT"), ("OBX", 5, "20260310~20260311"), ("OBX", 6, ""), ("OBX", 7, ""), ("OBX", 8, "")],
    "two answers": [("OBX", 2, "CWE"), ("OBX", 5, "A^Un^L~B^Deux^L"), ("OBX", 6, "")],
    "answer in words": [("OBX", 2, "CWE"), ("OBX", 5, "^Présence"), ("OBX", 6, "")],
    "answer of an HL7 table": [("OBX", 2, "CWE"), ("OBX", 5, "POS^Positif^HL70078"), ("OBX", 6, "")],
    "time": [("OBX", 2, "TS"), ("OBX", 5, "202603100715"), ("OBX", 6, "")],
    "date": [("OBX", 2, "DT"), ("OBX", 5, "20260310"), ("OBX", 6, "")],
    "local code only": [("OBX", 3, "CRP^Protéine C^L")],
    "name only": [("OBX", 3, "^Protéine C")],
    "order without label": [("OBR", 4, "CRP")],
    "provisional": [("OBX", 11, "P"), ("OBR", 25, "P")],
    "corrected": [("OBX", 11, "C"), ("OBR", 25, "C")],
    "given up": [("OBX", 11, "X"), ("OBX", 5, ""), ("OBR", 25, "X")],
    "given up, and why": [("OBX", 11, "X"), ("OBX", 2, "TX"), ("OBX", 5, "Hémolyse"), ("OBX", 6, "")],
    "awaited": [("OBX", 11, "I"), ("OBX", 5, ""), ("OBR", 25, "I")],
    "flags": [("OBX", 8, "H~U~ZZ")],
    "flag below": [("OBX", 8, "<")],
    "range in words": [("OBX", 7, "inférieur à 5 chez l'adulte")],
    "range in lines": [("OBX", 7, "H: < 5\\.br\\F: < 4")],
    "negative range": [("OBX", 7, "-2.5 - 2.5")],
    "subcontractor": [("OBX", 15, "LABX^Laboratoire X^L")],
    "other validator": [("OBX", 16, "801000000066^AUTRE^JO^^^DR^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS")],
    "validator without number": [("OBX", 16, "TECH1^TECHNICIEN^JO")],
    "device": [("OBX", 18, "XN-1^SYSMEX^1.2.3.4^ISO")],
    "sub-id": [("OBX", 4, "1")],
    "no specimen segment": [("SPM", 0, "")],
    "specimen in OBR": [("SPM", 0, ""), ("OBR", 15, "SER&Sérum&HL70070")],
    "local specimen": [("SPM", 4, "TUBEJ^Tube jaune^L")],
    "specimen in words": [("SPM", 4, "^Sérum")],
    "specimen without number": [("SPM", 2, "")],
    "long sampling": [("SPM", 17, "20260310071500^20260310072000")],
    "nonconformity": [("SPM", 21, "HEM^Hémolysé^L")],
    "specimen site": [("SPM", 8, "368208006^Bras gauche^SCT")],
    "local specimen site": [("SPM", 8, "BG^Bras gauche^L")],
    "identity not validated": [("PID", 32, "PROV")],
    "name in use only": [("PID", 32, "PROV"), ("PID", 5, "MODELE^ALIX^^^^^D")],
    "sex unknown": [("PID", 32, "PROV"), ("PID", 8, "U")],
    "year of birth": [("PID", 32, "PROV"), ("PID", 7, "1990")],
    "no address": [("PID", 11, "^^^^^^BDL^^75056"), ("PID", 13, "")],
    "no birth place": [("PID", 11, ""), ("PID", 32, "PROV")],
    "odd telephone": [("PID", 13, "^PRN^PH^^^^^^^^^01 40 00 00 00 poste 4~0140000000~0140000000")],
    "dead": [("PID", 29, "202603091200"), ("PID", 30, "Y")],
    "alive": [("PID", 30, "N")],
    "no visit": [("PV1", 0, "")],
    "general practitioner": [
        ("PV1", 0, "PV1|1|E\rROL|1|UC|ODRP|801000000041^TRAITANT^LOU^^^M.^^^X&1.2.250.1.71.4.2.1&ISO")
    ],
    "visit with an end": [("PV1", 45, "20260311")],
    "visit without dates": [("PV1", 44, ""), ("PV1", 45, "202603121000"), ("SPM", 17, ""), ("OBR", 7, "")],
    "two panels, one without results": [("SPM", 0, "OBR|2||LAB-2^SGL|GLY^Glycémie^L|||||||||||||||||||||O")],
    "cancelled panel": [("SPM", 0, "OBR|2||LAB-2^SGL|GLY^Glycémie^L|||||||||||||||||||||X")],
    "different times": [("SPM", 0, "OBX|2|NM|K^Potassium^L||4.10|mmol/L|||||F|||20260310081500")],
    "outpatient": [("PV1", 2, "O")],
    "session": [("PV1", 2, "R")],
    "class unknown": [("PV1", 2, "U")],
    "instant visit": [("PV1", 45, "20260310060000")],
    "no ORC": [("ORC", 0, "")],
    "no prescriber": [("ORC", 12, ""), ("OBR", 16, "")],
    "prescriber without number": [("ORC", 12, ""), ("OBR", 16, "MED1^MEDICO^CAMILLE^^^Dr")],
    "collector without number": [("OBR", 10, "^PIQUE^ROBIN")],
    "no number of the laboratory": [("ORC", 3, ""), ("OBR", 3, ""), ("SPM", 2, "")],
    "recipient without number": [("OBR", 28, "^COLLEGUE^ANDREA^^^Prof. Dr.")],
    "no biologist": [("OBR", 32, "")],
    "biologist of the message": [("OBR", 32, "801000000074&NOUVEAU&PAUL&&&&&&X&1.2.250.1.71.4.2.1&ISO")],
    "copies": [("OBR", 28, "801000000025^PRATI^SACHA^^^^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS~^COLLEGUE^ANDREA")],
    "clinical information": [("OBR", 13, "Fièvre depuis 3 jours")],
    "no discipline": [("OBR", 24, "")],
    "summer": [("MSH", 7, "20260710111000")],
    "zone given": [("MSH", 7, "20260310101000+0000")],
    "no MSH-7": [("MSH", 7, "")],
    "hour only": [("OBX", 19, "2026031010")],
    "fraction of a second": [("OBX", 19, "20260310103000.123")],
}


def document(*changes: tuple[str, int, str], name: str = "oru_crp", **laboratory: Any) -> etree._Element:
    body = write(read_report(edited(name, *changes), context(**laboratory)), COPY)
    return etree.fromstring(body)


def texts(element: etree._Element, path: str) -> list[str]:
    found = element.xpath(path, namespaces=NS)
    assert isinstance(found, list)
    return [str(one) for one in found]


def written(path: Path, body: bytes) -> bytes:
    """The golden file; written anew when asked by the environment variable GOLDEN=write."""
    if os.environ.get("GOLDEN") == "write":
        path.write_bytes(body)
    return path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_document_is_the_golden_one_and_the_same_twice(name: str) -> None:
    body = write(read_report(fixture(name), context()), COPY)
    assert body == write(read_report(fixture(name), context()), COPY)
    assert body == written(GOLDEN / f"{name}.out.cda", body)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("domain", ["test", "production"])
def test_references_resolve_and_identifiers_are_unique(name: str, domain: str) -> None:
    root = etree.fromstring(write(read_report(fixture(name), context(domain)), COPY))
    structure(root)


def structure(root: etree._Element) -> None:
    """What no official layer checks, and what the most fragile rules ask."""
    identifiers = texts(root, "//@ID")
    assert len(set(identifiers)) == len(identifiers)
    references = texts(root, "//c:reference/@value")
    assert {one.removeprefix("#") for one in references} <= set(identifiers)
    assert set(texts(root, "//@referencedObject")) <= set(identifiers)
    assert "1.2.250.1.213.1.1.1.55" in texts(root, "/c:ClinicalDocument/c:templateId/@root")
    shown = {str(one.get("ID")): "".join(map(str, one.itertext())) for one in root.iter("{urn:hl7-org:v3}content")}
    for code in root.xpath("//c:observation[c:templateId/@root='1.2.250.1.213.1.1.3.80']/c:code", namespaces=NS):
        (reference,) = texts(code, "c:originalText/c:reference/@value")
        assert shown[reference[1:]].strip()
    for time in texts(root, "//c:low/@value | //c:effectiveTime/@value | //c:time/@value | //c:time/c:high/@value"):
        if re.fullmatch(r"\d{9,}.*", time):
            assert re.fullmatch(r"\d{10,14}(\.\d+)?[+-]\d{4}", time)


@pytest.mark.timeout(300)
def test_every_document_is_valid_under_the_official_rules_in_both_domains(shared: Path, tmp_path: Path) -> None:
    validate: Validate = validator(shared, tmp_path)
    documents = {}
    for domain in ("test", "production"):
        for name in NAMES:
            documents[f"{name}-{domain}"] = write(read_report(fixture(name), context(domain)), COPY)
    nir = "290067505600227^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.8&ISO^INS"
    message = edited("oru_multi", ("PID", 3, f"700123^^^CH^PI~{nir}"))
    documents["ins-production"] = write(read_report(message, context("production")), COPY)
    for name, changes in CASES.items():
        documents[name.replace(" ", "_")] = write(read_report(edited("oru_crp", *changes), context()), COPY)
    kept = edited("oru_crp", ("OBX", 6, "bouteilles/L"))
    documents["unknown-unit"] = write(read_report(kept, context(unknown_unit="text")), COPY)
    enclosed = edited("oru_with_pdf", ("OBX[2]", 15, "LABX"))
    documents["other-laboratory"] = write(read_report(enclosed, context()), COPY)
    assert b"1.2.250.1.213.1.4.8" in documents["ins-production"]
    assert validate(documents) == []


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_a_sound_structure_and_breaks_no_rule_of_ours(name: str) -> None:
    body = write(read_report(edited("oru_crp", *CASES[name]), context()), COPY)
    structure(etree.fromstring(body))
    assert validate(body, None, "test").errors == ()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("number", '<value xsi:type="PQ" value="12.0" unit="mg/L"/>'),
        ("decimal comma", '<value xsi:type="PQ" value="12.50" unit="mg/L"/>'),
        ("no unit", '<value xsi:type="REAL" value="2.0"/>'),
        ("INR", '<value xsi:type="REAL" value="2.0"/>'),
        ("comparison in NM", '<value xsi:type="IVL_PQ"><high value="0.5" unit="mg/L" inclusive="false"/></value>'),
        ("words in NM", '<value xsi:type="ST">Négatif</value>'),
        ("ambiguous comma", '<value xsi:type="ST">1,234</value>'),
        (
            "eGFR",
            '<translation value="90" code="mL/min/{1.73_m2}" codeSystem="2.16.840.1.113883.6.8" codeSystemName="UCUM">',
        ),
        (
            "ratio",
            '<numerator xsi:type="INT" value="1"/><denominator xsi:type="INT" value="160"/></value>',
        ),
        ("interval", '<value xsi:type="IVL_PQ"><low value="10" unit="mg/L"/><high value="20" unit="mg/L"/></value>'),
        ("time", '<value xsi:type="TS" value="202603100715+0100"/>'),
        ("time", ">10/03/2026 à 07:15</content>"),
        ("date", ">10/03/2026</content>"),
        ("SNOMED CT answer", '<value xsi:type="CD" code="260385009" displayName="Négatif"'),
        (
            "local answer",
            '<value xsi:type="CD"><originalText><reference value="#v1"/></originalText><translation code="POS"',
        ),
        ("name only", '<code nullFlavor="NA"><originalText><reference value="#r1"/></originalText></code>'),
        ("given up", '<statusCode code="aborted"/>'),
        (
            "local specimen",
            '<code nullFlavor="OTH"><originalText><reference value="#s1"/></originalText><translation code="TUBEJ"',
        ),
        ("nonconformity", "<text><paragraph>Sérum n° 26031000453 : Hémolysé</paragraph></text>"),
        ("range in words", "<text>inférieur à 5 chez l'adulte</text>"),
        ("provisional", '<lab:statusCode code="active"/>'),
        ("corrected", "Résultat corrigé."),
        ("given up, and why", "Examen non réalisé : Hémolyse"),
        ("awaited", "Résultat en attente."),
        ("odd telephone", '<telecom value="tel:0140000000poste4" use="H"/>'),
        ("outpatient", '<code code="EXTERNE"'),
        ("general practitioner", '<participant typeCode="INF"><functionCode code="PCP" displayName="Médecin traitant"'),
        ("two panels, one without results", "<paragraph>Résultats en attente</paragraph>"),
        ("cancelled panel", "<paragraph>Examen annulé</paragraph>"),
        ("different times", "<br/>Le 10/03/2026 à 08:15"),
        ("long sampling", "prélevé du 10/03/2026 à 07:15 au 10/03/2026 à 07:20"),
        ("specimen site", "site : Bras gauche"),
        ("summer", '<effectiveTime value="20260710111000+0200"/>'),
    ],
)
def test_each_case_is_written_as_the_specification_says(name: str, expected: str) -> None:
    body = write(read_report(edited("oru_crp", *CASES[name]), context()), COPY).decode()
    assert expected in body


def test_an_awaited_result_is_shown_but_has_no_entry() -> None:
    root = document(*CASES["awaited"])
    assert texts(root, "//c:observation[c:templateId/@root='1.2.250.1.213.1.1.3.80']") == []
    assert texts(root, "//c:content[@ID='r1']/text()") == ["CRP"]
    assert texts(root, "//c:act[@classCode='ACT'][c:entryRelationship]/c:statusCode/@code") == ["active"]


def test_without_a_qualified_identity_no_ins_is_anywhere() -> None:
    body = write(read_report(edited("oru_multi", ("PID", 32, "PROV")), context()), COPY)
    assert b"290067505600227" not in body
    assert b'extension="700123"' in body


def test_special_characters_are_the_same_on_both_sides() -> None:
    root = document(*CASES["words"])
    assert texts(root, "//c:content[@ID='v1']/text()") == ["Négatif & <clair> \"'"]
    assert texts(root, "//c:observation[c:templateId/@root='1.2.250.1.213.1.1.3.80']/c:value/text()") == [
        "Négatif & <clair> \"'"
    ]


def test_a_report_replaced_names_the_version_before() -> None:
    report = read_report(fixture("oru_crp"), context())
    before = report.version.id
    version = replace(report.version, id="A" * 8 + before[8:], number=2, replaces=before)
    root = etree.fromstring(write(replace(report, version=version), COPY))
    assert texts(root, "//c:relatedDocument[@typeCode='RPLC']/c:parentDocument/c:id/@root") == [before]
    assert texts(root, "//c:versionNumber/@value") == ["2"]


def test_the_pdf_that_the_laboratory_sent_is_the_copy() -> None:
    message = fixture("oru_with_pdf")
    found = cr_bio(message, context())
    assert found.format == "cda"
    root = etree.fromstring(found.body)
    sent = er7.read(message).get("OBX[2]-5.5")
    assert texts(root, "//c:observationMedia/c:value/text()") == [sent]


def test_a_missing_renderer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transforms.pdf", None)
    with pytest.raises(ConfigError, match=r"vaguemestre\[pdf\]"):
        cr_bio(fixture("oru_crp"), context())


def test_the_transform_runs_in_a_worker() -> None:
    assert getattr(cr_bio, "in_worker", False) is True


UNITS = [local for local, ucum in table("units").items() if ucum and listed(ucum_of(local))]
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**6, places=2).map(str)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=20,
)


@st.composite
def panels(draw: st.DrawFn) -> list[tuple[str, str, str, str, str, str]]:
    """Rows: kind, name, value, unit, range, flag."""
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        low, high = sorted((draw(NUMBERS), draw(NUMBERS)), key=Decimal)
        usual = draw(st.sampled_from([f"{low} - {high}", f"< {high}", f">= {low}", "", "selon l'âge"]))
        sign = draw(st.sampled_from(["", "", "", "<", ">", "<=", ">="]))
        flag = draw(st.sampled_from(["", "N", "H", "L", "HH", "LL"]))
        rows.append((sign, draw(WORDS), draw(NUMBERS), draw(st.sampled_from(UNITS)), usual, flag))
    return rows


def message_of(rows: list[tuple[str, str, str, str, str, str]]) -> bytes:
    separators = er7.Separators("|", "^", "~", "\\", "&")
    lines = [
        line for line in fixture("oru_crp").body.decode().split("\r") if line and not line.startswith(("OBX", "SPM"))
    ]
    for number, (sign, name, value, unit, usual, flag) in enumerate(rows, 1):
        label, measured = er7.escape(name, separators), er7.escape(unit, separators)
        kind, shown = ("SN", f"{sign}^{value}") if sign else ("NM", value)
        lines.append(f"OBX|{number}|{kind}|T{number}^{label}^L^2951-2^Sodium^LN||{shown}|{measured}|{usual}|{flag}|||F")
    return ("\r".join(lines) + "\r").encode()


@settings(max_examples=60)
@given(panels())
def test_narrative_and_entries_carry_exactly_the_strings_of_the_source(
    rows: list[tuple[str, str, str, str, str, str]],
) -> None:
    root = etree.fromstring(write(read_report(er7.message(message_of(rows)), context()), COPY))
    structure(root)
    cells = root.xpath("//c:tr[c:td/c:content[starts-with(@ID, 'r')]]", namespaces=NS)
    observations = root.xpath("//c:observation[c:templateId/@root='1.2.250.1.213.1.1.3.80']", namespaces=NS)
    assert isinstance(cells, list)
    assert isinstance(observations, list)
    assert len(cells) == len(observations) == len(rows)
    for row, tr, observation in zip(rows, cells, observations, strict=True):
        sign, name, value, unit, usual, flag = row
        name_cell, value_cell, unit_cell, range_cell, flag_cell = ("".join(map(str, td.itertext())) for td in tr)
        assert name_cell == (name.strip() or "Sodium")
        assert (value_cell, unit_cell, range_cell) == (f"{sign}{value}", unit, usual)
        assert flag_cell.endswith(f"({flag})") if flag else flag_cell == ""
        digits = observation.xpath("c:value/@value | c:value/c:low/@value | c:value/c:high/@value", namespaces=NS)
        units = observation.xpath("c:value/@unit | c:value/c:low/@unit | c:value/c:high/@unit", namespaces=NS)
        assert (digits, units) == ([value], [ucum_of(unit)])
        assert observation.xpath("c:interpretationCode/@code", namespaces=NS) == ([flag] if flag else [])
        bounds = observation.xpath("c:referenceRange//c:value/*/@value", namespaces=NS)
        assert bounds == re.findall(r"\d+\.\d+|\d+", usual)


@pytest.mark.timeout(120)
def test_random_panels_are_valid_under_the_official_rules(shared: Path, tmp_path: Path) -> None:
    """One document holds every unit that the table knows."""
    rows = [("", f"Test {number}", "1.50", unit, "1.00 - 2.00", "N") for number, unit in enumerate(UNITS)]
    body = write(read_report(er7.message(message_of(rows)), context()), COPY)
    every = [("<", unit, "2.5", unit, "< 3", "") for unit in UNITS]
    other = write(read_report(er7.message(message_of(every)), context()), COPY)
    assert validator(shared, tmp_path)({"units": body, "compared": other}) == []


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_byte_gives_a_document_or_a_refusal(data: Any) -> None:
    body = bytearray(fixture("oru_crp").body)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(body) - 1))
        body[position] = data.draw(st.sampled_from(list(b'|^~\\&\r\x00\xff<>"09AZ')))
    found = b""
    with contextlib.suppress(MessageError):  # a refusal; anything else is a defect
        found = write(read_report(er7.message(bytes(body)), context()), COPY)
    if found:
        structure(etree.fromstring(found))
