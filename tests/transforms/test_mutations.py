"""Each class of damage to a CR-Bio is caught by the check that docs/fidelity.md names."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from channels.errors import MessageError
from tests.transforms.laboratory import COPY, context, edited, fixture
from transforms.cda import write
from transforms.cda.reader import read_document
from transforms.compare import compare
from transforms.oru import read_report
from transforms.report import Report
from transforms.validation import validate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fidelity.md"
NS = {"c": "urn:hl7-org:v3", "lab": "urn:oid:1.3.6.1.4.1.19376.1.3.2"}
C = "{urn:hl7-org:v3}"
Damage = Callable[[Any], object]


def one(root: Any, path: str) -> Any:
    found = root.xpath(path, namespaces=NS)
    assert found, path
    return found[0]


def sets(path: str, name: str, value: str) -> Damage:
    return lambda root: one(root, path).set(name, value)


def removes(path: str) -> Damage:
    def damage(root: Any) -> None:
        element = one(root, path)
        element.getparent().remove(element)

    return damage


def writes(path: str, text: str) -> Damage:
    def damage(root: Any) -> None:
        one(root, path).text = text

    return damage


def swaps(path: str, name: str) -> Damage:
    def damage(root: Any) -> None:
        first, second, *_ = root.xpath(path, namespaces=NS)
        first_value, second_value = first.get(name), second.get(name)
        first.set(name, second_value)
        second.set(name, first_value)

    return damage


def doubles(path: str) -> Damage:
    def damage(root: Any) -> None:
        element = one(root, path)
        element.addnext(etree.fromstring(etree.tostring(element)))

    return damage


RESULT = "//c:observation[c:code/c:originalText/c:reference/@value='#r1']"
GERM = "//c:organizer[@classCode='CLUSTER']//c:specimenPlayingEntity/c:code/c:originalText/c:reference"
TAKEN = "//c:procedure/c:effectiveTime/c:high"
OTHER = "PID|1||1^^^X^PI||B^C^C^^^^L||19800101|M\rOBX|1|NM|A^A^L||1||||||F"
COPY_OF = "//c:observationMedia/c:value"

# class of damage -> (document, what is done to it, the rule of ours that catches it)
OWN: dict[str, tuple[str, Damage, str]] = {
    "value of the entry": ("oru_nfs", sets(f"{RESULT}/c:value", "value", "6.66"), "narrative"),
    "value of the narrative": ("oru_nfs", writes("//c:content[@ID='v1']", "6.66"), "narrative"),
    "digit rounded": ("oru_nfs", sets(f"{RESULT}/c:value", "value", "11.2"), "narrative"),
    "values of two results swapped": ("oru_nfs", swaps("//c:observation/c:value[@value]", "value"), "narrative"),
    "value lost": ("oru_nfs", removes(f"{RESULT}/c:value"), "narrative"),
    "unit changed": ("oru_nfs", sets(f"{RESULT}/c:value", "unit", "10*12/L"), "narrative"),
    "unit lost": ("oru_nfs", lambda root: one(root, f"{RESULT}/c:value").attrib.pop("unit"), "narrative"),
    "flag changed": ("oru_nfs", sets(f"{RESULT}/c:interpretationCode", "code", "L"), "interpretation"),
    "flag lost": ("oru_nfs", removes(f"{RESULT}/c:interpretationCode"), "narrative"),
    "bound of the range": ("oru_nfs", sets(f"{RESULT}/c:referenceRange//c:low", "value", "3.00"), "narrative"),
    "bounds exchanged": (
        "oru_nfs",
        lambda root: [
            one(root, f"{RESULT}/c:referenceRange//c:{tag}").set("value", text)
            for tag, text in (("low", "10.00"), ("high", "4.00"))
        ],
        "usual-values",
    ),
    "range in another unit": ("oru_nfs", sets(f"{RESULT}/c:referenceRange//c:low", "unit", "g/L"), "usual-values"),
    "range lost": ("oru_nfs", removes(f"{RESULT}/c:referenceRange"), "narrative"),
    "status of a result": ("oru_nfs", sets(f"{RESULT}/c:statusCode", "code", "aborted"), "status"),
    "status of the report": ("oru_nfs", sets("//c:entry/c:act/c:statusCode", "code", "active"), "status"),
    "comment lost in the narrative": ("oru_nfs", removes("//c:content[@ID='n1']"), "reference"),
    "label lost": ("oru_nfs", removes("//c:content[@ID='r1']"), "reference"),
    "ID used twice": ("oru_nfs", sets("//c:content[@ID='r2']", "ID", "r1"), "reference"),
    "code of the test": ("oru_nfs", sets(f"{RESULT}/c:code", "code", "6690-3"), "loinc"),
    "template forgotten": (
        "oru_nfs", removes(f"{RESULT}/c:templateId[@root='1.2.250.1.213.1.1.3.80']"), "template",
    ),
    "model not declared": ("oru_nfs", removes("/c:ClinicalDocument/c:templateId[@extension]"), "model"),
    "second patient": ("oru_nfs", doubles("//c:recordTarget"), "patient"),
    "another number of the patient": (
        "oru_nfs",
        lambda root: one(root, "//c:patientRole/c:id[last()]").addnext(
            etree.fromstring(etree.tostring(one(root, "//c:patientRole/c:id[last()]")).replace(b"700123", b"700124"))
        ),
        "patient",
    ),
    "INS with a wrong key": ("oru_nfs", sets("//c:patientRole/c:id", "extension", "290067505600228"), "ins"),
    "INS of the other domain": ("oru_nfs", sets("//c:patientRole/c:id", "root", "1.2.250.1.213.1.4.8"), "ins"),
    "birth place": ("oru_nfs", writes("//c:county", "PARIS"), "ins"),
    "number of a professional": (
        "oru_nfs", sets("//c:legalAuthenticator//c:id", "extension", "8010000000588"), "national-number",
    ),
    "version without the one before": ("oru_nfs", sets("//c:versionNumber", "value", "2"), "version"),
    "image lost": ("oru_electrophorese", removes("//c:observationMedia[@ID='im4']/.."), "reference"),
    "previous result": (
        "oru_electrophorese", sets("//c:entryRelationship[@typeCode='REFR']//c:value", "value", "66.6"), "narrative",
    ),
    "date of a previous result": (
        "oru_electrophorese", removes("//c:entryRelationship[@typeCode='REFR']//c:effectiveTime"), "previous-result",
    ),
    "PDF cut short": ("oru_nfs", writes(COPY_OF, "JVBERi0xLjQK"), "file"),
    "PDF empty": ("oru_nfs", writes(COPY_OF, ""), "file"),
    "PDF not decodable": ("oru_nfs", writes(COPY_OF, "JVBERi0xLjQK*"), "file"),
}  # fmt: skip

# class of damage -> (document, what is done, name of the fact that the comparison of reports tells)
COMPARED: dict[str, tuple[str, Damage, str]] = {
    "comment lost on both sides": (
        "oru_nfs",
        lambda root: [removes("//c:tr[.//c:content[@ID='n1']] | //c:paragraph[c:content[@ID='n1']]")(root),
                      removes("//c:act[c:text/c:reference/@value='#n1']/..")(root)],
        "note",
    ),
    "specimens exchanged": (
        "oru_multi", swaps("//c:participantRole[@classCode='SPEC']/c:id", "extension"), "specimen",
    ),
    "isolate lost": ("oru_ecbu", removes("//c:organizer[@classCode='CLUSTER']/.."), "isolate"),
    "result lost on both sides": (
        "oru_nfs",
        lambda root: [removes("//c:tr[.//c:content[@ID='r2']]")(root),
                      removes("//c:observation[c:code/c:originalText/c:reference/@value='#r2']/..")(root)],
        "result",
    ),
    "antibiotic of another germ": (
        "oru_ecbu", swaps(GERM, "value"), "isolate",
    ),
    "time of sampling": ("oru_nfs", sets(TAKEN, "value", "20260310061500+0100"), "specimen"),
    "wrong patient": ("oru_nfs", writes("//c:patient/c:name/c:family", "AUTRE"), "patient"),
    "prescriber": ("oru_nfs", writes("//c:participant[@typeCode='REF']//c:family", "AUTRE"), "prescri"),
}  # fmt: skip

# class of damage in the message -> change, text of the refusal
REFUSED: dict[str, tuple[list[tuple[str, int, str]], str]] = {
    "two patients in a message": ([("OBX", 0, OTHER)], "patient"),
    "INS whose key fails": (
        [("PID", 3, "700123^^^CH^PI~290067505600228^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS")], "wrong key",
    ),
    "unknown status": ([("OBX", 11, "?")], "status"),
    "unknown unit": ([("OBX", 6, "bouteilles/L")], "unit"),
    "result without value": ([("OBX", 5, "")], "without value"),
    "code that cannot be LOINC": ([("OBX", 3, "1988-6^CRP^LN")], "LOINC"),
}  # fmt: skip


def document(name: str) -> Any:
    return etree.fromstring(write(read_report(fixture(name), context()), COPY))


@pytest.mark.parametrize("name", OWN)
def test_our_rules_catch(name: str) -> None:
    source, damage, rule = OWN[name]
    root = document(source)
    assert validate(etree.tostring(root), None, "test").errors == ()
    damage(root)
    assert rule in {fault.rule for fault in validate(etree.tostring(root), None, "test").errors}


def _read(root: Any) -> Report:
    return read_document(etree.tostring(root), context())


@pytest.mark.parametrize("name", COMPARED)
def test_the_comparison_of_reports_catches(name: str) -> None:
    source, damage, fact = COMPARED[name]
    before = _read(document(source))
    assert compare(before, _read(document(source))) == []
    root = document(source)
    damage(root)
    differences = compare(before, _read(root))
    assert any(fact in str(one) for one in differences), [str(one) for one in differences]


@pytest.mark.parametrize("name", REFUSED)
def test_the_reader_refuses(name: str) -> None:
    changes, text = REFUSED[name]
    with pytest.raises(MessageError, match=text) as caught:
        read_report(edited("oru_crp", *changes), context())
    assert caught.value.place


def test_each_class_of_damage_is_in_the_page_and_the_reverse() -> None:
    rows = re.findall(r"^\| ([^|]+?) \|[^|]*\| `?([a-z-]+)`? \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: check for name, check in rows if name not in ("Damage", "---")}
    expected = {name: rule for name, (_, _, rule) in OWN.items()}
    expected |= dict.fromkeys(COMPARED, "compare") | dict.fromkeys(REFUSED, "refused")
    assert told == expected


def test_a_replaced_version_is_sound() -> None:
    report = read_report(fixture("oru_crp"), context())
    second = replace(report.version, id="A" * 8 + report.version.id[8:], number=2, replaces=report.version.id)
    assert validate(write(replace(report, version=second), COPY), None, "test").errors == ()
