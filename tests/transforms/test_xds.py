"""Metadata of lots: from submissions and their documents, written as ebRIM, read back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import vaguemestre
from channels.errors import MessageError
from tests.conftest import REPOSITORY
from transforms import xds
from transforms.submission import Document, Organization, Patient, Person, Request, Sender, Submission, Visibility
from transforms.xds import composed
from transforms.xds.model import DELETED, HAS_MEMBER, REPLACES

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
INS = "279035121518989"
REPORT = (
    (Path(vaguemestre.__file__).parent / "example/cases/oru_crp.cr-bio.xml")
    .read_bytes()
    .replace(b"290067505600227", INS.encode())
)


def submission(content: bytes = REPORT, **changes: object) -> Submission:
    made = Submission(
        Request("k", "1"),
        "create",
        Patient(
            ins=INS, ins_oid="1.2.250.1.213.1.4.10", local_id="42", local_oid="1.2.250.1.999999.1.1", family="FICTIVE",
            given="RUTH", birth_date="19790328", sex="F",
        ),
        (Document(content, "1.2.3.1", "11502-2"),),
        Sender(Person("801000000058", "DURAND", "Anne"), Organization("1990000001", "CH de Testville", kind="IDNST")),
        visit_class="I",
        order_ids=(("order", "C1", "1.2.250.1.999999.1.3"), ("visit", "V1", "1.2.3")),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields that a test names


def lot(content: bytes = REPORT, **changes: Any) -> xds.Lot:
    return xds.lot(submission(content, **changes), unique_id="1.2.9", source_id="1.2", at=AT)


@pytest.fixture(scope="session")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(REPOSITORY / "tests" / "schemas" / "ebRS30" / "lcm.xsd"))


def test_metadata_come_from_the_document_and_the_request() -> None:
    made = lot(visibility=Visibility(hidden_patient=True, hidden_representatives=True))
    (entry,) = made.entries
    assert made.submission_set.patient_id == entry.patient_id == f"{INS}^^^&1.2.250.1.213.1.4.10&ISO^NH"
    assert made.submission_set.submission_time == "20260310120000"
    assert made.submission_set.content_type == xds.Code(
        "03", "Hospitalisation complète (non compris hospitalisation de semaine)", "1.2.250.1.213.2.2"
    )
    assert made.submission_set.authors == (
        xds.Author(
            ("801000000058^DURAND^Anne^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS",),
            ("CH de Testville^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^1990000001",),
            (),
            ("G15_10/SM03^Médecin - Biologie médicale (SM)^1.2.250.1.213.1.1.4.5",),
        ),
    )
    assert entry.creation_time == "20260310104500"
    assert entry.class_code == xds.Code("10", "Compte rendu", "1.2.250.1.213.1.1.4.1")
    assert entry.format_code.code == "urn:ihe:lab:xd-lab:2008"
    assert [one.code for one in entry.confidentiality] == ["N", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"]
    assert (entry.facility.code, entry.practice_setting.code) == ("SA01", "ETABLISSEMENT")
    assert entry.source_patient_id == "42^^^&1.2.250.1.999999.1.1&ISO^PI"
    assert entry.source_patient_info == ("PID-5|MODELE^ALIX^^^^^L", "PID-7|19900615", "PID-8|F")
    assert entry.reference_ids[0] == "C1^^^&1.2.250.1.999999.1.3&ISO^urn:ihe:iti:xds:2013:order"
    assert len(entry.reference_ids) == 3  # two more are the document's
    assert int(entry.size) == len(REPORT)
    assert len(entry.hash) == 40


def test_a_replacement_names_the_entry_of_the_registry() -> None:
    document = Document(REPORT, "1.2.3.2", "11502-2", replaces="1.2.3.1")
    made = xds.lot(
        submission(documents=(document,), action="replace"),
        unique_id="1.2.9", source_id="1.2", at=AT, parents={"1.2.3.1": "urn:uuid:1"},
    )  # fmt: skip
    assert [one.kind for one in made.associations] == [HAS_MEMBER, REPLACES]
    assert made.replaces == {"Document01": "urn:uuid:1"}


def test_a_deletion_names_each_entry() -> None:
    made = xds.deletion(submission(), unique_id="1.2.9", source_id="1.2", at=AT, entries=["urn:uuid:1", "urn:uuid:2"])
    assert made.deletes == ("urn:uuid:1", "urn:uuid:2")
    assert ("NewStatus", DELETED) in made.associations[0].slots


def test_the_signature_is_a_document_of_the_lot() -> None:
    made = xds.signed(lot(), unique_id="1.2.10", at=AT)
    signature = made.entries[-1].of(b"<Signature/>")
    assert (signature.id, signature.language, signature.type_code.code, signature.size) == (
        "Signature01", "art", "E1762", "12",
    )  # fmt: skip
    assert [one.code for one in signature.confidentiality] == ["N", "MASQUE_PS", "INVISIBLE_PATIENT"]
    assert made.associations[-1].target == made.submission_set.id


def test_every_lot_is_valid_under_the_schema_and_read_back(schema: etree.XMLSchema, shared: Path) -> None:
    contents = [one.read_bytes() for one in sorted((shared / "ans" / "cda-examples").glob("*.xml"))]
    assert len(contents) >= 10
    for content in [REPORT, *contents]:
        made = xds.signed(lot(content), unique_id="1.2.10", at=AT)
        element = xds.submit_objects(made)
        schema.assertValid(element)
        assert xds.read(element) == made
    deletion = xds.deletion(submission(), unique_id="1.2.9", source_id="1.2", at=AT, entries=["urn:uuid:1"])
    schema.assertValid(xds.submit_objects(deletion))


@pytest.mark.parametrize("name", ["example-iti41.xml", "example-replace.xml", "example-delete.xml"])
def test_the_examples_are_read_and_written_again(schema: etree.XMLSchema, shared: Path, name: str) -> None:
    made = xds.read(etree.parse(shared / "ihe" / name).getroot())
    again = xds.submit_objects(made)
    schema.assertValid(again)
    assert xds.read(again) == made
    assert made.submission_set.unique_id.startswith("1.2.250.1.999")


Change = Callable[[str], str]


def cut(start: str, end: str) -> Change:
    return lambda text: text[: text.index(start)] + text[text.index(end, text.index(start)) + len(end) :]


def swap(old: str, new: str) -> Change:
    return lambda text: text.replace(old, new, 1)


FACILITY = "componentOf/encompassingEncounter/location/healthCareFacility/code"


@pytest.mark.parametrize(
    "changes, place",
    [
        ([swap('code="11502-2"', 'code="99999-9"')], "code"),
        ([cut("<title>", "</title>")], "title"),
        ([swap("<effectiveTime value=", "<effectiveTime nullFlavor=")], "effectiveTime"),
        ([cut("<legalAuthenticator>", "</legalAuthenticator>")], "legalAuthenticator/assignedEntity"),
        ([cut("<componentOf>", "</componentOf>")], FACILITY),
        ([swap('"1.2.250.1.213.1.1.1.55"', '"1.2"'), swap('"1.3.6.1.4.1.19376.1.3.3"', '"1.2"')], "templateId"),
        ([swap('code="G15_10/SM03"', 'code="G99"')], "author/assignedAuthor/code"),
    ],
)
def test_what_a_document_lacks_is_refused_with_its_path(changes: list[Change], place: str) -> None:
    changed = REPORT.decode()
    for change in changes:
        before, changed = changed, change(changed)
        assert changed != before
    with pytest.raises(MessageError) as refusal:
        lot(changed.encode())
    assert refusal.value.place == f"/ClinicalDocument/{place}"


@pytest.mark.parametrize(
    "changes, place",
    [
        ({"patient": Patient(family="X")}, "PID-3"),
        ({"visit_class": "Z"}, "PV1-2"),
        ({"sender": Sender()}, "PRT-5"),
    ],
)
def test_what_a_request_lacks_is_refused_with_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(MessageError) as refusal:
        lot(**changes)
    assert refusal.value.place == place


def test_settings_fill_what_documents_lack() -> None:
    bare = cut("<componentOf>", "</componentOf>")(REPORT.decode()).encode()
    settings = xds.XdsSettings(facility="SA25", content_types={"Z": xds.ContentType(code="04")})
    made = xds.lot(submission(bare, visit_class="Z"), unique_id="1", source_id="1", at=AT, settings=settings)
    assert made.entries[0].facility.code == "SA25"
    assert made.submission_set.content_type.code == "04"


@pytest.mark.parametrize(
    "written, utc",
    [
        ("20210401171000+0100", "20210401161000"),
        ("202107010735", "202107010535"),
        ("20210101", "20210101"),
        ("2021", "2021"),
        ("20210401171000.123-0500", "20210401221000"),
        ("20211301000000", ""),
        ("hier", ""),
        ("", ""),
    ],
)
def test_times_are_in_utc_as_precise_as_they_were(written: str, utc: str) -> None:
    from zoneinfo import ZoneInfo

    assert composed.moment(written, ZoneInfo("Europe/Paris")) == utc


SIGNS = st.characters(blacklist_categories=["Cs", "Cc", "Cn"])
TEXT = st.text(SIGNS, min_size=1, max_size=40).map(str.strip).filter(bool)
CODE = st.builds(xds.Code, TEXT, TEXT, TEXT)
AUTHOR = st.builds(xds.Author, st.tuples(TEXT), st.tuples(TEXT) | st.just(()), st.just(()), st.tuples(TEXT, TEXT))
ENTRY = st.builds(
    xds.DocumentEntry, id=st.just("Document01"), unique_id=TEXT, patient_id=TEXT, title=TEXT, comments=TEXT,
    source_patient_info=st.tuples(TEXT, TEXT), authors=st.tuples(AUTHOR, AUTHOR), confidentiality=st.tuples(CODE, CODE),
    class_code=CODE, format_code=CODE, facility=CODE, practice_setting=CODE, type_code=CODE, uri=TEXT,
)  # fmt: skip


SLOTS = st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple)
ASSOCIATION = st.builds(xds.Association, TEXT, TEXT, TEXT, SLOTS)
SET = st.builds(
    xds.SubmissionSet, st.just("SubmissionSet01"), TEXT, TEXT, TEXT, TEXT, CODE,
    st.lists(AUTHOR, max_size=2).map(tuple), TEXT, TEXT,
)  # fmt: skip


@given(SET, st.lists(ENTRY, max_size=3), st.lists(ASSOCIATION, max_size=3))
def test_what_is_written_is_read_back(
    submission_set: xds.SubmissionSet, entries: list[xds.DocumentEntry], associations: list[xds.Association]
) -> None:
    named = tuple(replace(one, id=f"Document{number:02d}") for number, one in enumerate(entries, 1))
    made = xds.Lot(submission_set, named, tuple(associations))
    assert xds.read(etree.fromstring(etree.tostring(xds.submit_objects(made)))) == made


@given(TEXT, TEXT)
def test_a_name_with_separators_is_read_back(family: str, given_name: str) -> None:
    found = composed.parts(composed.person("801000000058", family, given_name), 13)
    assert (found[1], found[2], found[12]) == (family, given_name, "IDNPS")
