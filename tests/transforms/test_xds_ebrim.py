"""ebRIM written and read: the examples of the reference, foreign forms, limits of the schema."""

import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from channels.errors import ProfileError
from tests.transforms.lots import differences
from tests.transforms.test_xds import AT, INS, REPORT, lot, schema, submission
from transforms import xds
from transforms.submission import Document, Organization, Person, Sender
from transforms.xds import composed, names
from transforms.xds.model import REPLACES

__all__ = ["schema"]
EXAMPLES = ["example-iti41.xml", "example-replace.xml", "example-delete.xml", "example-xdm-metadata.xml"]
RIM = f"{{{names.RIM}}}"


def parsed(path: Path) -> etree._Element:
    root = etree.parse(path).getroot()
    found = next(root.iter(f"{{{names.LCM}}}SubmitObjectsRequest"))
    return etree.fromstring(etree.tostring(found))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_read_and_written_again(schema: etree.XMLSchema, shared: Path, name: str) -> None:
    element = parsed(shared / "ihe" / name)
    made = xds.read(element)
    again = xds.submit_objects(made)
    schema.assertValid(again)
    assert differences(xds.read(again), made) == []
    assert same_element(element, again)
    assert made.submission_set.unique_id.startswith("1.2.250.1.999")


def same_element(one: etree._Element, other: etree._Element) -> bool:
    """The same elements and values in the same order, whatever the ids and the blanks."""
    if one.tag != other.tag or len(one) != len(other):
        return False
    if (one.text or "").strip() != (other.text or "").strip():
        return False
    attributes = ({key: value for key, value in each.attrib.items() if key != "id"} for each in (one, other))
    return next(attributes) == next(attributes) and all(map(same_element, one, other))


def example_facts(text: str) -> str:
    """Our report with the facts of the examples in its header."""
    for old, new in (
        ("MODELE", "FICTIVE"), ("ALIX", "RUTH"), ("19900615", "19790328"), ("801000000058", "810123456781"),
        (">DURAND<", ">BIOLOGISTE<"), ("Laboratoire de biologie médicale de Testville", "HOPITAL FICTIF"),
        ("1990000009", "1990000010"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    start = text.index("<effectiveTime")
    text = text[:start] + '<effectiveTime value="20240115111530+0100"/>' + text[text.index("/>", start) + 2 :]
    start = text.index("<serviceEvent")
    low = text.index("<effectiveTime", start)
    end = text.index("</effectiveTime>", low)
    return (
        text[:low] + '<effectiveTime><low value="20240115083000+0100"/><high value="20240115111500+0100"/>' + text[end:]
    )


def test_a_report_with_the_facts_of_the_example_gives_the_example(shared: Path) -> None:
    level_3 = example_facts(REPORT.decode())
    start, end = level_3.index("<component>"), level_3.rindex("</component>")
    level_1 = (
        level_3[:start] + '<component><nonXMLBody><text mediaType="application/pdf"/></nonXMLBody>' + level_3[end:]
    )
    patient = replace(submission().patient, local_id="0456789", local_oid="1.2.250.1.999.1.1.9001.2")
    asked = submission(
        patient=patient,
        documents=tuple(
            Document(content.encode(), f"1.2.250.1.999.1.1.9001.1.{number}", "11502-2")
            for content, number in ((level_3, 2001), (level_1, 2002))
        ),
        sender=Sender(
            Person("810123456781", "BIOLOGISTE", "Anne"), Organization("1990000010", "HOPITAL FICTIF", kind="IDNST")
        ),
        visit_class="I",
    )
    settings = xds.XdsSettings(
        content_types={"I": xds.ContentType(code="04", label="Hospitalisation de jour")},
        title="Résultats d'examens de biologie",
        order_numbers=False,
    )
    made = xds.lot(
        asked, unique_id="1.2.250.1.999.1.1.9001.3.1001", source_id="1.2.250.1.999.1.1.9001", settings=settings,
        at=datetime(2024, 1, 15, 10, 15, 30, tzinfo=UTC),
    )  # fmt: skip
    example = xds.read(parsed(shared / "ihe" / "example-xdm-metadata.xml"))
    placeholders = frozenset({"hash", "size", "uri"})  # the example's documents are placeholders
    assert differences(made, example, without=placeholders | {"title"}) == []
    assert made.submission_set.title == example.submission_set.title


def test_the_signature_is_that_of_the_example(shared: Path) -> None:
    example = xds.read(parsed(shared / "ihe" / "example-iti41.xml"))
    signature = example.entries[-1]
    bare = replace(
        example,
        entries=example.entries[:-1],
        associations=tuple(one for one in example.associations if signature.id not in (one.source, one.target)),
    )
    at = datetime.strptime(signature.creation_time + "+0000", "%Y%m%d%H%M%S%z")
    made = xds.signed(bare, unique_id=signature.unique_id, at=at)
    # The example keeps the service times of the document; the reference says the time of signing.
    assert differences(made, example, without=frozenset({"hash", "size", "service_start", "service_stop"})) == []


def test_a_deletion_is_that_of_the_example(shared: Path) -> None:
    example = xds.read(parsed(shared / "ihe" / "example-delete.xml"))
    made = xds.deletion(
        submission(), unique_id="1", source_id="1", at=AT, entries=["urn:uuid:0f5d3e5c-6a3b-4d5e-9d8e-2c1b7a9f4e10"]
    )
    assert made.associations == example.associations
    assert example.deletes == made.deletes


def test_what_stands_elsewhere_in_another_order_or_version_is_read_the_same() -> None:
    made = xds.signed(lot(), unique_id="1.2.10", at=AT)
    element = xds.submit_objects(made)
    objects = element[0]
    for one in list(element.iter(f"{RIM}Classification", f"{RIM}ExternalIdentifier")):
        for name in ("classificationScheme", "identificationScheme", "classificationNode"):
            if one.get(name):
                one.set(name, str(one.get(name)).upper())
        objects.append(one)  # out of its object
    objects[:] = list(reversed(objects))
    text = etree.tostring(element).replace(names.RIM.encode(), b"urn:oasis:names:tc:ebxml-regrep:rim:xsd:2.1")
    found = xds.read(etree.fromstring(text.replace(b"rim:", b"x:").replace(b"xmlns:rim", b"xmlns:x")))
    assert {one.unique_id for one in found.entries} == {one.unique_id for one in made.entries}
    for entry in found.entries:
        ours = next(one for one in made.entries if one.id == entry.id)
        assert set(entry.confidentiality) == set(ours.confidentiality)
        assert replace(entry, confidentiality=ours.confidentiality) == ours
    assert found.submission_set == made.submission_set


def test_kinds_of_associations_are_known_by_their_last_word() -> None:
    one = xds.Association("urn:ihe:iti:2010:AssociationType:RPLC", "Document01", "urn:uuid:1")
    two = xds.Association("UpdateAvailabilityStatus", "SubmissionSet01", "urn:uuid:2", (("NewStatus", "Deleted"),))
    found = replace(lot(), associations=(one, two))
    assert one.is_of(REPLACES)
    assert (found.replaces, found.deletes) == ({"Document01": "urn:uuid:1"}, ("urn:uuid:2",))


def test_an_element_without_objects_is_an_empty_lot() -> None:
    found = xds.read(etree.fromstring("<a><!-- b --><?c d?></a>"))
    assert (found.entries, found.associations, found.submission_set.unique_id) == ((), (), "")


def written(entry: xds.DocumentEntry, name: str) -> str:
    """First value of a slot of the document."""
    document = next(xds.submit_objects(replace(lot(), entries=(entry,))).iter(f"{RIM}ExtrinsicObject"))
    slot = next(one for one in document.iter(f"{RIM}Slot") if one.get("name") == name)
    return next(str(one.text) for one in slot.iter(f"{RIM}Value"))


@pytest.mark.parametrize(
    "author, slot, start, end",
    [
        (
            xds.Author((composed.person("801000000058", "D" * 200, "A" * 100),)),
            "authorPerson", "801000000058^D", "^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS",
        ),
        (
            xds.Author((composed.device("3990000001/" + "7" * 40, "^" * 90),)),
            "authorPerson", "3990000001/", "^^^^^^^&1.2.250.1.71.4.2.1&ISO^U^^^RI",
        ),
        (
            xds.Author(("1",), (composed.institution("1990000001", "3" + "É" * 300),)),
            "authorInstitution", "3É", "^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^1990000001",
        ),
        (xds.Author(("1",), (), (), ("SM03^" + "x" * 300 + "^1.2.3",)), "authorSpecialty", "SM03^x", "^1.2.3"),
        (xds.Author(("1",), (), ("r" * 300,)), "authorRole", "r", "r"),
    ],
)  # fmt: skip
def test_a_long_author_loses_letters_and_never_its_number(
    schema: etree.XMLSchema, author: xds.Author, slot: str, start: str, end: str
) -> None:
    entry = replace(lot().entries[0], authors=(author,))
    value = written(entry, slot)
    assert 250 < len(value) <= 256
    assert value.startswith(start)
    assert value.endswith(end)
    assert value.count("\\") % 2 == 0
    schema.assertValid(xds.submit_objects(replace(lot(), entries=(entry,))))


def test_long_names_titles_and_traits_are_cut_to_the_schema(schema: etree.XMLSchema) -> None:
    entry = replace(
        lot().entries[0], comments="é" * 2000, source_patient_info=(f"PID-5|{'D' * 300}^Anne^^^^^L",),
        legal_authenticator=composed.person("801000000058", "D" * 300, "A"),
    )  # fmt: skip
    schema.assertValid(xds.submit_objects(replace(lot(), entries=(entry,))))
    assert written(entry, "sourcePatientInfo").endswith("^^^^^L")
    assert written(entry, "legalAuthenticator").startswith("801000000058^D")


def test_a_number_that_is_too_long_is_refused() -> None:
    entry = replace(lot().entries[0], source_patient_id="7" * 257)
    with pytest.raises(ProfileError) as refusal:
        xds.submit_objects(replace(lot(), entries=(entry,)))
    assert refusal.value.place == "sourcePatientId"
    assert "777" not in str(refusal.value)


def test_the_same_lot_gives_the_same_bytes() -> None:
    made = lot()
    assert etree.tostring(xds.submit_objects(made)) == etree.tostring(xds.submit_objects(copy.deepcopy(made)))
    assert INS in etree.tostring(xds.submit_objects(made)).decode()
