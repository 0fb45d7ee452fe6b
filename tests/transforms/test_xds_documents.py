"""Every kind of submission gives metadata that the schema takes, or a refusal with its place."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pydantic import ValidationError

from channels.errors import MessageError
from tests.transforms.test_xds import AT, INS, REPORT, cut, lot, schema, submission
from transforms import xdm, xds
from transforms.cda.reader_xml import HL7
from transforms.submission import Document, Organization, Patient, Person, Sender, Submission, Visibility
from transforms.submission.document import read_facts

__all__ = ["schema"]
HEAD = "/ClinicalDocument"
GOLDEN = Path(__file__).parent / "golden" / "xds"
PDF = base64.b64encode(b"%PDF-1.4 %%EOF").decode()


def level_1(media_type: str = "application/pdf", content: bytes = REPORT) -> bytes:
    text = content.decode()
    start, end = text.index("<component><structuredBody>"), text.rindex("</ClinicalDocument>")
    body = f'<nonXMLBody><text mediaType="{media_type}" representation="B64">{PDF}</text></nonXMLBody>'
    return f"{text[:start]}<component>{body}</component>{text[end:]}".encode()


def changed(*changes: tuple[str, str]) -> bytes:
    text = REPORT.decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text.encode()


def both(replaces: str = "") -> tuple[Document, ...]:
    """Level 3 and level 1. replaces: unique id of the pair before, without the level."""
    return (
        Document(REPORT, "1.2.3.1", "11502-2", replaces=replaces and f"{replaces}.3"),
        Document(level_1(), "1.2.3.2", "11502-2", level=1, replaces=replaces and f"{replaces}.1"),
    )


NAME = "<name><prefix>MME</prefix><given>Anne</given><family>DURAND</family><suffix>DR</suffix></name>"
AUTHOR = f"<assignedPerson>{NAME}</assignedPerson>"
DEVICE = "<assignedAuthoringDevice><manufacturerModelName>Automate X</manufacturerModelName></assignedAuthoringDevice>"
ID = '<assignedAuthor><id root="1.2.250.1.71.4.2.1" extension="801000000058"/>'
ROBOT = changed((AUTHOR, DEVICE), (ID, '<assignedAuthor><id root="1.2.250.1.999999.7" extension="A1"/>'))
LOCAL = changed((ID, '<assignedAuthor><id root="1.2.250.1.999999.7" extension="M42"/>'))
PATIENT = changed((ID, f'<assignedAuthor><id root="1.2.250.1.213.1.4.10" extension="{INS}"/>'))
STYLED = (
    b'<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
    + REPORT.partition(b"?>")[2]
    + b"</xsl:stylesheet>"
)

SPREAD: dict[str, dict[str, Any]] = {
    "level 3": {},
    "level 1": {"content": level_1()},
    "level 1, text": {"content": level_1("text/plain; charset=utf-8")},
    "both levels": {"documents": both()},
    "replaced": {"documents": both(replaces="1.2.2"), "action": "replace"},
    "masked": {"visibility": Visibility(masked_professionals=True)},
    "hidden": {"visibility": Visibility(masked_professionals=True, hidden_patient=True, hidden_representatives=True)},
    "device as author": {"content": ROBOT},
    "local number of the author": {"content": LOCAL},
    "device sends": {"sender": Sender(None, Organization("990000001", "CH", kind="FINEG"), "VAGUEMESTRE-1")},
    "local number sends": {"sender": Sender(Person("M42", "DURAND"), Organization("1990000001", "CH", kind="IDNST"))},
    "no number of the establishment": {"patient": Patient(ins=INS, ins_oid="1.2.250.1.213.1.4.10")},
    "authority that is no OID": {"patient": Patient(INS, "1.2.250.1.213.1.4.10", "42", "HOPITAL")},
    "no INS": {"patient": Patient(local_id="42", local_oid="1.2.250.1.999999.1.1")},
    "patient as author": {"content": PATIENT},
    "whole local number": {"content": changed(("801000000058", "3990000009/M42"))},
    "inside a style sheet": {"content": STYLED},
    "outpatient": {"visit_class": "O"},
    "emergency": {"visit_class": "E"},
    "sessions": {"visit_class": "R"},
    "no visit": {"visit_class": "N"},
}  # fmt: skip


def of(changes: dict[str, Any]) -> xds.Lot:
    changes = dict(changes)
    asked = submission(changes.pop("content", REPORT), **changes)
    parents = {one.replaces: f"urn:uuid:{number}" for number, one in enumerate(asked.documents) if one.replaces}
    return xds.lot(asked, unique_id="1.2.9", source_id="1.2", at=AT, parents=parents)


@pytest.mark.parametrize("name", SPREAD)
def test_a_spread_of_submissions_is_valid_and_read_back(schema: etree.XMLSchema, name: str) -> None:
    made = of(SPREAD[name])
    for whole in (made, xds.signed(made, unique_id="1.2.10", at=AT, signature=b"<Signature/>")):
        element = xds.submit_objects(whole)
        schema.assertValid(element)
        assert xds.read(etree.fromstring(etree.tostring(element))) == whole


@pytest.mark.parametrize("name", SPREAD)
def test_an_archive_of_each_is_read_back_equal(schema: etree.XMLSchema, name: str) -> None:
    made = of(SPREAD[name])
    contents = [REPORT if entry.size == str(len(REPORT)) else content(name, entry) for entry in made.entries]
    data = xdm.write(made, contents, sender=xdm.SenderInfo("CH de Testville"))
    found = xdm.read(data, strict=True)
    assert found.findings == ()
    assert [one.content for one in found.documents] == contents
    assert found.lot is not None
    assert replace(found.lot, entries=tuple(replace(one, uri="") for one in found.lot.entries)) == made


def content(name: str, entry: xds.DocumentEntry) -> bytes:
    documents = SPREAD[name].get("documents") or (Document(SPREAD[name]["content"], entry.unique_id, ""),)
    return next(one.content for one in documents if one.unique_id == entry.unique_id)


def test_details_of_the_spread() -> None:
    entries = {name: of(changes).entries for name, changes in SPREAD.items()}
    sets = {name: of(changes).submission_set for name, changes in SPREAD.items()}
    assert entries["level 1"][0].format_code.code == "urn:ihe:iti:xds-sd:pdf:2008"
    assert entries["level 1, text"][0].format_code.code == "urn:ihe:iti:xds-sd:text:2008"
    assert [one.comments for one in entries["both levels"]] == ["Niveau 3", "Niveau 1"]
    assert of(SPREAD["replaced"]).replaces == {"Document01": "urn:uuid:0", "Document02": "urn:uuid:1"}
    assert [one.code for one in entries["hidden"][0].confidentiality] == [
        "N", "MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX",
    ]  # fmt: skip
    robot = "3990000009/A1^Automate X^^^^^^^&1.2.250.1.71.4.2.1&ISO^U^^^RI"
    assert entries["device as author"][0].authors[0].persons == (robot,)
    local = "3990000009/M42^DURAND^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^EI"
    assert entries["local number of the author"][0].authors[0].persons == (local,)
    assert entries["whole local number"][0].authors[0].persons == (local,)
    patient = f"{INS}^DURAND^Anne^^^^^^&1.2.250.1.213.1.4.10&ISO^D^^^NH"
    assert entries["patient as author"][0].authors[0].persons == (patient,)
    engine = "3990000001/VAGUEMESTRE-1^VAGUEMESTRE-1^^^^^^^&1.2.250.1.71.4.2.1&ISO^U^^^RI"
    assert sets["device sends"].authors[0].persons == (engine,)
    assert sets["device sends"].authors[0].institutions[0].endswith("^1990000001")
    own = "3990000001/M42^DURAND^^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^EI"
    assert sets["local number sends"].authors[0].persons == (own,)
    document = "700123^^^&1.2.250.1.999999.1.1&ISO^PI"
    for name in ("no number of the establishment", "authority that is no OID"):
        assert entries[name][0].source_patient_id == document
    assert sets["no INS"].patient_id == "42^^^&1.2.250.1.999999.1.1&ISO^PI"
    assert entries["inside a style sheet"][0].mime_type == "application/xslt+xml"
    classes = [sets[name].content_type.code for name in ("level 3", "outpatient", "emergency", "sessions", "no visit")]
    assert classes == ["03", "07", "07", "19", "97"]


def test_a_patient_without_any_local_number_has_the_ins_as_source_number() -> None:
    bare = changed(('<id root="1.2.250.1.999999.1.1" extension="700123"/>', ""))
    made = of({"content": bare, "patient": Patient(ins=INS, ins_oid="1.2.250.1.213.1.4.10")})
    assert made.entries[0].source_patient_id == made.submission_set.patient_id


def test_metadata_are_those_of_the_golden_file() -> None:
    made = of({"documents": both(replaces="1.2.2"), "action": "replace", "visibility": Visibility(hidden_patient=True)})
    made = replace(
        made, entries=tuple(replace(one, hash="0" * 40, size="1") for one in made.entries)
    )  # of its header only
    element = xds.submit_objects(xds.signed(made, unique_id="1.2.10", at=AT, signature=b"<Signature/>"))
    text = etree.tostring(element, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    assert text == (GOLDEN / "replacement.xml").read_bytes()


FACILITY = "componentOf/encompassingEncounter/location/healthCareFacility/code"
REFUSED: dict[str, tuple[bytes, str]] = {
    "a type in another system": (changed(('codeSystem="2.16.840.1.113883.6.1"', 'codeSystem="1.2.3"')), "code"),
    "confidentiality of the registry": (
        changed(('<confidentialityCode code="N"', '<confidentialityCode code="MASQUE_PS"'),
                ('codeSystem="2.16.840.1.113883.5.25"', 'codeSystem="1.2.250.1.213.1.1.4.13"')), "confidentialityCode",
    ),
    "no confidentiality": (
        changed(('<confidentialityCode code="N"', '<confidentialityCode nullFlavor="NI"')), "confidentialityCode",
    ),
    "no language": (changed(('<languageCode code="fr-FR"', '<languageCode nullFlavor="NI"')), "languageCode"),
    "a time that is none": (changed(('<effectiveTime value="2026', '<effectiveTime value="x026')), "effectiveTime"),
    "a start that is none": (
        changed(('<low value="20260310101000+0100"/>', '<low value="20261310101000+0100"/>')),
        "documentationOf/serviceEvent/effectiveTime/low",
    ),
    "an end that is none": (
        changed(('<high value="20260310114500+0100"/></effectiveTime>', '<high value="20260332"/></effectiveTime>')),
        "documentationOf/serviceEvent/effectiveTime/high",
    ),
    "no start": (
        changed(('<low value="20260310101000+0100"/>', "")), "documentationOf/serviceEvent/effectiveTime/low",
    ),
    "a media type without format": (level_1("application/zip"), "component/nonXMLBody/text"),
    "no author": (cut("<author>", "</author>")(REPORT.decode()).encode(), "author"),
    "an author without number": (changed((ID, "<assignedAuthor>")), "author/assignedAuthor/id"),
    "a null number": (changed((ID, '<assignedAuthor><id nullFlavor="UNK"/>')), "author/assignedAuthor/id"),
    "a local number without structure": (
        changed((ID, '<assignedAuthor><id root="1.2.250.1.999999.7" extension="M42"/>'),
                ('<id root="1.2.250.1.71.4.2.2" extension="1990000009"/>', "")),
        "author/assignedAuthor/id",
    ),
    "an author without name": (
        changed((AUTHOR, "<assignedPerson><name>Anne</name></assignedPerson>")),
        "author/assignedAuthor/assignedPerson/name/family",
    ),
    "a device without name": (
        changed((AUTHOR, "<assignedAuthoringDevice/>")), "author/assignedAuthor/assignedAuthoringDevice/softwareName",
    ),
    "a structure without name": (
        changed(("<name>Laboratoire de biologie médicale de Testville</name>", "")),
        "author/assignedAuthor/representedOrganization/name",
    ),
    "a facility of no set": (changed(('code="SA01"', 'code="SA99"')), FACILITY),
    "another patient": (changed((INS, "290067505600227")), "recordTarget/patientRole/id"),
    "templates of two formats": (
        changed(('"1.2.250.1.213.1.1.1.1"', '"1.2.250.1.213.1.1.1.13"')), "templateId",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_metadata_cannot_have_is_refused_at_its_place(name: str) -> None:
    content, place = REFUSED[name]
    with pytest.raises(MessageError) as refusal:
        lot(content)
    assert refusal.value.place == f"{HEAD}/{place}"
    for value in (INS, "DURAND", "MODELE", "SA99", "x026", "M42"):
        assert value not in str(refusal.value)


@pytest.mark.parametrize(
    "changes, place",
    [
        ({"sender": Sender(Person("", "DURAND"))}, "PRT-5"),
        ({"sender": Sender(Person("M42", "DURAND", kind="EI"))}, "PRT-8.10"),
        ({"sender": Sender(device="VAGUEMESTRE-1")}, "PRT-8.10"),
        ({"patient": Patient(local_id="42", local_oid="HOPITAL")}, "PID-3"),
        ({"visit_class": ""}, "PV1-2"),
        ({"documents": ()}, "OBX"),
        ({"documents": (Document(REPORT, "1.2", "", replaces="1.1", place="OBX-5"),), "action": "replace"}, "OBX-5"),
    ],
)  # fmt: skip
def test_what_a_request_lacks_is_refused_at_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(MessageError) as refusal:
        xds.lot(submission(**changes), unique_id="1", source_id="1", at=AT, parents={})
    assert refusal.value.place == place


def test_a_site_may_pass_codes_and_name_formats_and_classes() -> None:
    content = changed(
        ('code="11502-2" displayName="CR d\'examens biologiques" codeSystem="2.16.840.1.113883.6.1"',
         'code="X1" displayName="Essai" codeSystem="1.2.3"'),
        ('root="1.3.6.1.4.1.19376.1.3.3"', 'root="1.2.99"'),
    )  # fmt: skip
    settings = xds.XdsSettings(
        unknown_code="pass", classes={"X1": "11"}, formats={"1.2.99": "urn:ans:ci-sis:trod:2024"}, traits=False,
        digest="leave_out", order_numbers=False, format_system="1.2.98", specialty="G15_21/G",
    )  # fmt: skip
    (entry,) = xds.lot(submission(content), unique_id="1", source_id="1", at=AT, settings=settings).entries
    assert entry.type_code == xds.Code("X1", "Essai", "1.2.3")
    assert entry.class_code == xds.Code("11", "Synthèse", "1.2.250.1.213.1.1.4.1")
    assert entry.format_code == xds.Code("urn:ans:ci-sis:trod:2024", "Test rapide d'orientation diagnostique", "1.2.98")
    assert (entry.hash, entry.size, entry.source_patient_info, entry.reference_ids) == ("", "", (), ())


@pytest.mark.parametrize("key", ["facility", "practice_setting", "specialty"])
def test_a_setting_with_a_code_of_no_set_is_refused_when_the_site_is_read(key: str) -> None:
    with pytest.raises(ValidationError, match="value set JDV_J0"):
        xds.XdsSettings.model_validate({key: "XX"})
    with pytest.raises(ValidationError, match="JDV_J57"):
        xds.XdsSettings(classes={"11502-2": "XX"})


def test_numbers_of_the_request_keep_their_kind_and_others_are_left_out() -> None:
    made = lot(
        order_ids=(
            ("urn:ihe:iti:xds:2013:accession", "A^1", "1.2.3"), ("order", "B", "not an OID"), ("visit", "C", "1.2.3"),
        )
    )  # fmt: skip
    assert made.entries[0].reference_ids[0] == "A\\S\\1^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:accession"
    assert not any(one.startswith(("B", "C")) for one in made.entries[0].reference_ids)


def official(shared: Path) -> Iterator[tuple[str, Submission]]:
    for path in sorted((shared / "ans" / "cda-examples").glob("*.xml")):
        facts = read_facts(path.read_bytes(), "")
        document = Document(path.read_bytes(), facts.unique_id, facts.code, facts.label, level=facts.level)
        yield path.name, submission(patient=facts.patient, documents=(document,))


def test_every_official_example_has_metadata(schema: etree.XMLSchema, shared: Path) -> None:
    formats = []
    for _, asked in official(shared):
        made = xds.lot(asked, unique_id="1.2.9", source_id="1.2", at=AT)
        schema.assertValid(xds.submit_objects(made))
        formats.append(made.entries[0].format_code.code)
    assert formats == ["urn:ihe:iti:xds-sd:pdf:2008", *["urn:ihe:lab:xd-lab:2008"] * 9]


HEADERS = [one for one in etree.fromstring(REPORT).iter() if not any(
    parent.tag == f"{{{HL7}}}structuredBody" for parent in [one, *one.iterancestors()]
)]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, len(HEADERS) - 1), st.sampled_from(["remove", "empty", "bare"])), max_size=4))
def test_a_damaged_header_gives_metadata_or_a_place(schema: etree.XMLSchema, damages: list[tuple[int, str]]) -> None:
    root = etree.fromstring(REPORT)
    elements = [one for one in root.iter() if etree.QName(one).localname]
    for number, kind in damages:
        one = elements[number]
        if kind == "bare":
            one.attrib.clear()
        elif kind == "empty":
            one[:], one.text = [], None
        elif (parent := one.getparent()) is not None:
            parent.remove(one)
    place, element = "", None
    try:
        element = xds.submit_objects(lot(etree.tostring(root)))
    except MessageError as error:
        place = error.place
    if element is None:
        assert place.startswith("/")
    else:
        schema.assertValid(element)
