"""A CR-Bio is read back: the official examples, ours, and those of other laboratories."""

import base64
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from channels.errors import MessageError, ParseError, ProfileError, UnsupportedError
from channels.message import Message
from tests.transforms.generated_oru import CHARSETS, messages, texts, written
from tests.transforms.laboratory import COPY, MESSAGES, context, edited, fixture, validator
from tests.transforms.test_cda import CASES, structure
from transforms import er7
from transforms.cda import cr_bio, level_1, write, write_level_1
from transforms.cda.reader import read_document
from transforms.compare import compare
from transforms.oru import read_report
from transforms.report import Attachment, Identifier, Ins, Previous, Quantity, Report
from transforms.validation import validate

NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))
EXAMPLES = [
    "2021.01_CDA-R2-Niveau-1",
    "2024.01_CR-2nde-intention-PDF",
    "2024.01_CRP_non_LOINC",
    "2024.01_DEP-CCU-tout-structure",
    "2024.01_Electrophorese",
    "2024.01_Folates_ug_par_Litre_1",
    "2024.01_Glycemie_deux_unites_principales_mole_masse",
    "2024.01_Hemoglobine_g_par_dL_2",
    "2024.01_Microbiologie_V1",
    "2024.01_TSH_1",
]
NS = {"c": "urn:hl7-org:v3"}


def example(shared: Path, name: str) -> bytes:
    return (shared / "ans" / "cda-examples" / f"BIO-CR-BIO_{name}.xml").read_bytes()


def rewritten(report: Report) -> bytes:
    return write(report, report.copies) if report.chapters else write_level_1(report, report.copies[0])


def differences(one: Report, other: Report) -> list[str]:
    return [str(each) for each in compare(one, other) if not each.name.startswith("copy")]


def entries(body: bytes) -> Counter[str]:
    """What an independent look finds in the entries: codes, values, times, files, names of people and specimens."""
    root = etree.fromstring(body)
    paths = (
        "//c:structuredBody//c:observation[c:value]/c:code/@code",
        "//c:structuredBody//c:observation[not(ancestor::c:organizer[c:code/@code='55107-7'])]/c:value/@code",
        "//c:structuredBody//c:value[not(parent::c:observationMedia)]/@value",
        "//c:structuredBody//c:value/c:low/@value | //c:structuredBody//c:value/c:high/@value",
        "//c:structuredBody//c:value//@unit",
        "//c:observation/c:interpretationCode/@code",
        "//c:methodCode/@code",
        "//c:structuredBody//c:observation/c:effectiveTime/@value",
        "//c:structuredBody//c:translation/@code",
        "//c:specimenPlayingEntity/c:code/@code",
        "//c:playingDevice/c:code/@code",
        "//c:structuredBody//c:performer//c:representedOrganization/c:id/@extension",
    )
    found: Counter[str] = Counter()
    for number, path in enumerate(paths):
        values = root.xpath(path, namespaces=NS)
        assert isinstance(values, list)
        found.update(f"{number} {one}" for one in values)
    for media in root.xpath("//c:observationMedia/c:value/text() | //c:nonXMLBody/c:text/text()", namespaces=NS):
        found["file " + "".join(str(media).split())[:60]] += 1
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_official_example_keeps_every_fact(shared: Path, name: str) -> None:
    original = example(shared, name)
    report = read_document(original, context())
    again = rewritten(report)
    assert report.left_out == ()
    assert compare(report, read_document(again, context())) == []
    own = report.laboratory.organization.id
    lost = entries(original) - entries(again)
    assert [one for one in lost if one != f"11 {own}"] == []  # the laboratory that signs is in the header


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_document_of_others_is_written_again_as_the_same_version(shared: Path, name: str) -> None:
    original = example(shared, name)
    made = cr_bio(Message(original, "cda"), context())
    assert made.format == "cda"
    assert compare(read_document(original, context()), read_document(made.body, context())) == []


def test_a_document_that_cannot_be_carried_whole_is_not_written_again() -> None:
    body = write(read_report(fixture("oru_crp"), context()), COPY).replace(
        b"1.2.250.1.213.1.1.2.70", b"1.2.250.1.213.1.1.2.99"
    )
    with pytest.raises(ProfileError) as caught:
        cr_bio(Message(body, "cda"), context())
    assert caught.value.place == "/ClinicalDocument/component/structuredBody/component[1]/section"


OBSERVATION = "(//c:observation[c:templateId/@root='1.2.250.1.213.1.1.3.80'])"
CHANGED = {
    "value": (f"{OBSERVATION}/c:value[@value]", "value", "7777"),
    "unit": (f"{OBSERVATION}/c:value[@unit]", "unit", "kat/L"),
    "test": (f"{OBSERVATION}/c:code[@code]", "code", "2951-2"),
    "coded answer": (f"{OBSERVATION}/c:value[@code]", "code", "260385009"),
    "interpretation": ("//c:observation/c:interpretationCode[not(ancestor::c:referenceRange)]", "code", "AA"),
    "bound": ("//c:referenceRange//c:low", "value", "7777"),
    "status": (f"{OBSERVATION}/c:statusCode", "code", "aborted"),
    "time": (f"{OBSERVATION}/c:effectiveTime[@value]", "value", "20010101"),
    "specimen": ("//c:participantRole[@classCode='SPEC']/c:id[@extension]", "extension", "AUTRE"),
    "sampling": ("//c:procedure/c:effectiveTime/c:high", "value", "20010101"),
    "germ": ("//c:specimenPlayingEntity/c:code[@code]", "code", "3092008"),
    "previous result": ("//c:entryRelationship[@typeCode='REFR']//c:value[@value]", "value", "7777"),
    "patient": ("//c:recordTarget//c:birthTime", "value", "20010101"),
    "prescriber": ("/*/c:participant[@typeCode='REF']//c:id", "extension", "801000000099"),
    "biologist": ("/*/c:legalAuthenticator//c:assignedEntity/c:id", "extension", "801000000099"),
    "version": ("/*/c:versionNumber", "value", "9"),
}
"""What a converter could have lost of an example: where it is, and what it would become."""


@pytest.mark.parametrize("kind", CHANGED)
def test_a_fact_that_an_official_example_lost_would_be_seen(shared: Path, kind: str) -> None:
    """The proof that the comparison above can fail: for each kind of fact, in every example that has one."""
    path, attribute, value = CHANGED[kind]
    seen = 0
    for name in EXAMPLES[1:]:
        report = read_document(example(shared, name), context())
        root = etree.fromstring(rewritten(report))
        found = root.xpath(path, namespaces=NS)
        assert isinstance(found, list)
        if not found:
            continue
        found[0].set(attribute, value)
        assert differs(report, etree.tostring(root)), name
        seen += 1
    assert seen


def differs(report: Report, body: bytes) -> bool:
    """Whether a document says anything else than the report, or cannot be read any more."""
    try:
        return compare(report, read_document(body, context())) != []
    except MessageError:
        return True


@pytest.mark.parametrize("name", EXAMPLES[1:])
def test_the_words_of_an_official_example_are_in_the_new_narrative(shared: Path, name: str) -> None:
    """Labels of tests and germs, comments, values in words: everything that an entry refers to."""
    before, after = (etree.fromstring(one) for one in (example(shared, name), rewritten_example(shared, name)))
    shown = " ".join("".join(map(str, after.itertext())).split())
    named = {str(one.get("ID")): one for one in before.iter() if one.get("ID")}
    pointers = before.xpath("//c:structuredBody//c:reference/@value", namespaces=NS)
    assert isinstance(pointers, list)
    for pointer in pointers:
        target = named.get(str(pointer).removeprefix("#"))
        said = " ".join("".join(map(str, target.itertext())).split()) if target is not None else ""
        if said and not said[0].isdigit():
            assert said[:60] in shown


def rewritten_example(shared: Path, name: str) -> bytes:
    return rewritten(read_document(example(shared, name), context()))


@pytest.mark.timeout(300)
def test_official_examples_written_again_are_valid(shared: Path, tmp_path: Path) -> None:
    documents = {name.replace(".", "_"): rewritten_example(shared, name) for name in EXAMPLES}
    for body in documents.values():
        structure_of(body)
    assert validator(shared, tmp_path)(documents) == []


def structure_of(body: bytes) -> None:
    root = etree.fromstring(body)
    if root.find("{urn:hl7-org:v3}component/{urn:hl7-org:v3}structuredBody") is not None:
        identifiers = root.xpath("//@ID", namespaces=NS)
        assert isinstance(identifiers, list)
        assert len(set(identifiers)) == len(identifiers)


def test_the_biggest_example_is_read_whole(shared: Path) -> None:
    report = read_document(example(shared, "2024.01_Electrophorese"), context())
    assert [chapter.code.label for chapter in report.chapters] == ["Biochimie", "Hématologie", "Microbiologie"]
    (proteins, others) = report.chapters[0].sub_chapters
    (panel,) = proteins.panels
    assert len(panel.results) == 12
    assert [image.media_type for image in panel.images] == ["image/png"]
    assert [note.lines for note in panel.notes] == [("Bisalbuminémie",)]
    first = panel.results[0]
    assert first.laboratory is not None
    assert first.laboratory.organization.name == "LABORATOIRE SOUS-TRAITANT"
    assert [one.person.family for one in first.validations] == ["DE SANTS"]
    assert panel.specimens[0].collector is not None
    urea = others.panels[0].results[0]
    assert [(one.time.digits, one.values[0].source) for one in urea.previous] == [
        ("202009120815", "8.5"),
        ("202001030812", "7.9"),
    ]
    culture = report.chapters[2].panels[-1]
    assert [(one.germ.text, len(one.panels[0].results)) for one in culture.isolates] == [
        ("Escherichia coli", 3),
        ("Streptococcus D.", 3),
    ]
    assert report.notes[0].title == "Non conformité"


@pytest.mark.parametrize("name", NAMES)
def test_an_oru_says_the_same_after_the_document(name: str) -> None:
    report = read_report(fixture(name), context())
    assert differences(report, read_document(write(report, report.copies or COPY), context())) == []


@pytest.mark.parametrize("name", CASES)
def test_every_case_says_the_same_after_the_document(name: str) -> None:
    report = read_report(edited("oru_crp", *CASES[name]), context())
    again = read_document(write(report, COPY), context())
    assert again.left_out == ()
    assert differences(report, again) == []


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages())
def test_any_message_of_a_laboratory_says_the_same_after_the_document(message: Message) -> None:
    report = read_report(message, context())
    body = write(report, COPY)
    structure(etree.fromstring(body))
    faults = {one.rule for one in validate(body, None, "test").errors}
    assert faults <= {"interpretation"}  # a flag that contradicts its range, drawn so
    again = read_document(body, context())
    assert differences(report, again) == []
    assert differences(again, read_document(write(again, COPY), context())) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts())
def test_a_charset_declared_or_not_changes_nothing(text: str) -> None:
    """The same words in five ways: none is misread. Those that a charset has no sign for are not drawn twice."""
    plain = text.encode("latin-1", "ignore").decode("latin-1")
    reports = [read_report(written(plain, charset), context()) for charset in CHARSETS]
    for charset, other in zip(CHARSETS[1:], reports[1:], strict=True):
        assert compare(reports[0], other) == [], charset


@pytest.mark.timeout(300)
def test_messages_of_a_laboratory_are_valid_under_the_official_rules(shared: Path, tmp_path: Path) -> None:
    validate = validator(shared, tmp_path)
    documents: dict[str, bytes] = {}

    @settings(max_examples=24, deadline=None, database=None, derandomize=True)
    @given(messages())
    def collect(message: Message) -> None:
        domain = ("test", "production")[len(documents) % 2]
        documents[f"message-{len(documents)}"] = write(read_report(message, context(domain)), COPY)

    collect()
    assert validate(documents) == []


def test_a_report_by_pdf_is_read() -> None:
    document = level_1(fixture("oru_with_pdf"), context())
    report = read_document(document.body, context())
    assert (report.chapters, [one.media_type for one in report.copies]) == ((), ["application/pdf"])
    sent = read_report(fixture("oru_with_pdf"), context(), structured=False)
    assert differences(sent, report) == ["version.set: differs", "chapter[1].code: only in the first"]
    assert report.version.set_id != sent.version.set_id


def test_two_pdf_cannot_be_one_body() -> None:
    copy = fixture("oru_with_pdf").body.decode().rstrip("\r").split("\r")
    second = [*copy, copy[-2].replace("OBX|2", "OBX|3")] if copy[-1].startswith("SPM") else [*copy, copy[-1]]
    message = er7.message(("\r".join(second) + "\r").encode())
    if len(read_report(message, context(), structured=False).copies) > 1:
        with pytest.raises(ProfileError):
            level_1(message, context())


@pytest.mark.parametrize(
    "change, error, place",
    [
        (lambda text: text[:-30], ParseError, ""),
        (lambda text: b"<!DOCTYPE a><a/>", ParseError, "1:1"),
        (lambda text: b"<a/>", UnsupportedError, "/a"),
        (lambda text: text.replace(b'code="11502-2"', b'code="1-8"'), UnsupportedError, "/ClinicalDocument/code"),
        (lambda text: text.replace(b"<birthTime", b"<x"), ProfileError, ""),
        (lambda text: text.replace(b"290067505600227", b"290067505600228"), ProfileError, ""),
        (lambda text: text.replace(b'<high value="1.0"', b'<high value="un"'), ParseError, ""),
        (
            lambda text: text.replace(b'<versionNumber value="1"/>', b""),
            ProfileError,
            "/ClinicalDocument/versionNumber",
        ),
        (lambda text: text.replace(b"legalAuthenticator", b"x"), ProfileError, "/ClinicalDocument/legalAuthenticator"),
    ],
)
def test_a_faulty_document_is_refused_with_its_place(change: Any, error: type[MessageError], place: str) -> None:
    body = change(write(read_report(fixture("oru_crp"), context()), COPY))
    with pytest.raises(error) as caught:
        read_document(body, context())
    assert caught.value.place.startswith(place or caught.value.place or "!")
    assert caught.value.place


def test_entities_are_not_fetched() -> None:
    body = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    with pytest.raises(ParseError):
        read_document(body, context())


def test_an_ins_of_another_domain_is_not_taken() -> None:
    body = write(read_report(fixture("oru_crp"), context()), COPY)
    assert read_document(body, context("production")).patient.ins is None


def test_what_is_not_carried_is_listed() -> None:
    body = write(read_report(fixture("oru_crp"), context()), COPY)
    strange = body.replace(b"1.2.250.1.213.1.1.2.70", b"1.2.250.1.213.1.1.2.99")
    report = read_document(strange, context())
    assert [one.place for one in report.left_out] == ["/ClinicalDocument/component/structuredBody/component[1]/section"]


# the report of a subcontractor


def other_report(**changes: Any) -> Report:
    site = context(name="Laboratoire X & Fils", finess="690000007", aliases=["LABX"], subcontractors=())
    report = read_report(edited("oru_electrophorese", ("MSH", 10, "X1")), site)
    return replace(report, **changes)


def with_document(body: bytes) -> Message:
    data = base64.b64encode(body).decode()
    obx = f"OBX|2|ED|11502-2^CR externe^LN||^TEXT^XML^Base64^{data}||||||F"
    text = fixture("oru_crp").body.decode().replace("\rSPM", f"\r{obx}\rSPM")
    return er7.message(text.encode())


def test_structured_results_of_another_laboratory_join_the_report() -> None:
    other = other_report()
    report = read_report(with_document(write(other, COPY)), context())
    (chapter,) = report.chapters
    assert [panel.code.text for panel in chapter.panels] == [
        "Protéine C réactive",
        "Électrophorèse des protéines",
        "Zinc",
    ]
    made = [one.laboratory and one.laboratory.organization.name for one in report.results()]
    assert made[0] is None
    assert set(made[1:]) == {"Laboratoire X & Fils"}
    assert chapter.panels[1].images
    again = read_document(write(report, COPY), context())
    assert differences(report, again) == []


@pytest.mark.timeout(120)
def test_a_joined_report_is_valid(shared: Path, tmp_path: Path) -> None:
    joined = read_report(with_document(write(other_report(), COPY)), context())
    enclosed = read_report(with_document(write_level_1(other_report(), COPY[0])), context())
    documents = {"joined": write(joined, COPY), "enclosed": write(enclosed, COPY)}
    assert validator(shared, tmp_path)(documents) == []


def test_a_report_by_pdf_of_another_laboratory_is_enclosed() -> None:
    report = read_report(with_document(write_level_1(other_report(), COPY[0])), context())
    assert [(one.laboratory, one.data, one.place) for one in report.other_reports] == [
        ("Laboratoire X & Fils", COPY[0].data, "OBX[2]")
    ]
    assert differences(report, read_document(write(report, COPY), context())) == []


def test_a_report_that_cannot_be_carried_whole_is_enclosed_as_its_pdf() -> None:
    body = write(other_report(), COPY).replace(b"1.2.250.1.213.1.1.2.70", b"1.2.250.1.213.1.1.2.99", 1)
    report = read_report(with_document(body), context())
    assert len(report.other_reports) == 1


def test_a_report_of_another_patient_is_refused() -> None:
    ours = other_report()
    ins = Ins("279035121518989", "1.2.250.1.213.1.4.10")
    for patient in (replace(ours.patient, ins=ins), replace(ours.patient, ins=None, family="AUTRE")):
        with pytest.raises(ProfileError) as caught:
            read_report(with_document(write(replace(ours, patient=patient), COPY)), context())
        assert caught.value.place == "OBX[2]-5.5"
        assert caught.value.condition == "204"


def test_a_faulty_document_of_another_laboratory_is_refused_with_both_places() -> None:
    with pytest.raises(ParseError) as caught:
        read_report(with_document(write(other_report(), COPY)[:-40]), context())
    assert caught.value.place.startswith("OBX[2]-5.5 ")


# what only a CDA tells


def test_identifiers_with_an_extension_and_previous_results_of_another_code_are_kept() -> None:
    report = read_report(fixture("oru_electrophorese"), context())
    version = replace(report.version, id="1.2.3^7", set_id="1.2.4^8", replaces="1.2.3^6", number=2)
    panel = next(report.panels())
    first = panel.results[0]
    value, old = first.values[0], first.previous[0]
    assert isinstance(value, Quantity)
    other = Previous((value,), old.time, old.unit, panel.results[1].code)
    changed = replace(panel, results=(replace(first, previous=(other,)), *panel.results[1:]))
    chapter = replace(report.chapters[0], panels=(changed, *report.chapters[0].panels[1:]))
    made = replace(report, version=version, chapters=(chapter,), requested=(Identifier("9", "1.2.5"),))
    assert differences(made, read_document(write(made, COPY), context())) == []


def test_the_copy_is_the_same_file() -> None:
    report = read_report(fixture("oru_crp"), context())
    again = read_document(write(report, (Attachment("application/pdf", COPY[0].data),)), context())
    assert [one.data for one in again.copies] == [COPY[0].data]
