"""Requests to publish or send documents: what they become, and what is refused at which place."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from channels.errors import MessageError
from channels.loader import no_site
from channels.message import Message
from channels.model import Step
from channels.pipeline import Steps
from tests.transforms.pfi_requests import (
    BEFORE,
    COLLEAGUE,
    DOCUMENT,
    INS,
    INS_OID,
    OTHER_INS,
    Ask,
    Cda,
    site,
)
from transforms import er7
from transforms.submission import Submission, decode, encode, read
from transforms.submission.notes import warnings
from transforms.submission.request import ReadRequest, RequestSettings, read_request

PATIENT = f"{INS}^FICTIVE^RUTH^^^^^^{INS_OID}^L^^^INS||||||||||^^X.400^{INS}@patient.mssante.fr"
REPLACING = Cda(replaces=f'root="{BEFORE}"')


def asked(ask: Ask | bytes, **settings: Any) -> Submission:
    return noticed(ask, **settings)[0]


def noticed(ask: Ask | bytes, **settings: Any) -> tuple[Submission, list[tuple[str, str]]]:
    body = ask if isinstance(ask, bytes) else ask.bytes()
    made, findings = read_request(er7.message(body), site(), RequestSettings(**settings))
    return made, [(one.place, one.code) for one in findings]


def refused(ask: Ask | bytes, **settings: Any) -> tuple[str, str]:
    with pytest.raises(MessageError) as caught:
        asked(ask, **settings)
    return caught.value.place, caught.value.condition


# what a good request says


@pytest.mark.parametrize("level", ["tolerant", "strict"])
@pytest.mark.parametrize("kind", ["MDM", "ORU"])
def test_a_request_is_read_whole(kind: str, level: str) -> None:
    flags = {"DESTDMP": "Y", "DESTMSSANTEPS": "Y", "DESTMSSANTEPAT": "Y", "ACK_RECEPTION": "Y", "ACK_LECTURE_MSS": "Y"}
    text = base64.b64encode("Cher confrère,\nvoici.".encode()).decode()
    mail = (
        f"OBX|20|ED|CORPSMAIL_PS^-^MetaDMPMSS||^text^^Base64^{text}||||||F",
        f"OBX|21|ED|CORPSMAIL_PATIENT^-^MetaDMPMSS||^text^^Base64^{text}||||||F",
        "PRT||UC||REPLY^Reply To^participation|||||||||||^^X.400^secretariat@exemple.mssante.fr",
    )
    ask = Ask(kind=kind, flags=flags, recipients=(*Ask().recipients, PATIENT), extra=mail)
    made, findings = noticed(ask, level=level)
    assert findings == []
    assert (made.action, made.to_dmp, made.wants_reception, made.wants_reading) == ("create", True, True, True)
    assert (made.patient.ins, made.patient.ins_oid, made.patient.local_id) == (INS, INS_OID, "700123")
    assert (made.patient.family, made.patient.given, made.patient.birth_place) == ("FICTIVE", "RUTH", "51215")
    assert [(one.kind, one.address) for one in made.recipients] == [
        ("professional", "camille.medico@exemple.mssante.fr"),
        ("patient", f"{INS}@patient.mssante.fr"),
    ]
    assert made.documents[0].content == Cda().bytes()
    assert (made.documents[0].unique_id, made.documents[0].code, made.documents[0].level) == (DOCUMENT, "11502-2", 3)
    assert made.mail_professional == made.mail_patient == "Cher confrère,\nvoici."
    assert made.reply_to == "secretariat@exemple.mssante.fr"
    assert made.order_ids == (("urn:ihe:iti:xds:2013:order", "77", "1.2.250.1.999999.1.3"),)
    request = made.request
    assert (request.profile, request.control_id, request.processing_id) == ("2.1", "DPI900", "P")
    assert (request.sending_application, request.receiving_application) == ("DPI", "PFI")
    assert (made.visit_class, made.visit_id) == ("I", "V26000045")
    assert made.sender.organization is not None
    assert made.sender.organization.id == "1990000002"


@pytest.mark.parametrize("kind", ["MDM", "ORU"])
@pytest.mark.parametrize("action", ["create", "replace", "delete"])
def test_each_action_is_told_apart(kind: str, action: str) -> None:
    document = REPLACING if action == "replace" else Cda()
    made = asked(Ask(kind=kind, action=action, documents=(document.bytes(),)))
    assert made.action == action
    assert made.documents[0].replaces == (BEFORE if action == "replace" else "")


def test_two_levels_of_one_document_stay_together() -> None:
    second = Cda(unique_id='root="1.2.250.1.999999.1.8.3"', body="<nonXMLBody/>")
    flags = {"DESTDMP": "Y"}
    made, findings = noticed(Ask(kind="ORU", flags=flags, recipients=(), documents=(Cda().bytes(), second.bytes())))
    assert [one.level for one in made.documents] == [3, 1]
    assert findings == []


def test_the_key_names_the_request_and_a_resend_has_the_same() -> None:
    first, again = asked(Ask()).request.key, asked(Ask()).request.key
    assert first == again
    assert len(first) == 32
    assert asked(Ask(control_id="DPI901")).request.key != first


def test_the_step_gives_a_submission_and_its_warnings() -> None:
    step = ReadRequest(RequestSettings())
    loaded = no_site()
    loaded = replace(loaded, site=site())
    run = Steps((Step(name="pfi.request", options=RequestSettings()),), loaded)
    message = er7.message(Ask(flags={}).bytes())
    (made,) = run.run(message)
    assert made.format == "submission"
    assert (made.control_id, made.sender) == ("DPI900", "DPI|CH-TEST")
    assert read(made).to_dmp is False
    assert [one.place for one in warnings(made)] == ["PRT[2]", "OBX"]
    assert "no destination is asked" in made.attributes["findings"]
    assert step.in_worker


def test_a_submission_survives_its_codec() -> None:
    made = asked(Ask())
    assert decode(encode(made)) == made


# tolerance


def test_without_a_destination_it_is_kept_and_sent_nowhere() -> None:
    made, findings = noticed(Ask(flags={}, recipients=()), level="strict")
    assert (made.to_dmp, made.recipients) == (False, ())
    assert findings == [("OBX", "207")]


def test_flags_that_lack_count_as_no() -> None:
    lines = [one for one in Ask().lines() if "CONNEXION_SECRETE" not in one]
    body = ("\r".join(lines) + "\r").encode()
    made, findings = noticed(body)
    assert not made.visibility.secret_connection
    assert ("OBX", "101") in findings
    assert refused(body, level="strict") == ("OBX", "101")


@pytest.mark.parametrize(
    "old,new",
    [
        ("INVISIBLE_REP_LEGAUX", "INVISIBLE_REPRESENTANTS_LEGAUX"),
        ("INVISIBLE_REP_LEGAUX", "INVISIBLE_ REP_LEGAUX"),
        ("MODIF_CONF_CODE", "MODIF_CONFIDENTIALITYCODE"),
        ("ACK_LECTURE_MSS", "ACK_LECTURE"),
    ],
)
def test_names_of_older_versions_are_known(old: str, new: str) -> None:
    name = old
    ask = Ask(flags={name: "Y", "DESTDMP": "Y"}, recipients=())
    made = asked(ask.bytes().replace(old.encode(), new.encode()))
    assert made == replace(asked(ask), request=made.request)


@pytest.mark.parametrize("shape", ["SB", "SB^^participation", "SB^^HL70912", "sb^SENT BY^Participation"])
def test_every_shape_of_prt_is_read(shape: str) -> None:
    body = Ask().bytes().replace(b"SB^Send by^participation", shape.encode())
    assert asked(body).sender == asked(Ask()).sender


def test_a_shifted_prt_is_read_by_its_content() -> None:
    body = Ask().bytes().replace(b"PRT||UC||RCT", b"PRT||UC|RCT")
    assert asked(body).recipients[0].address == "camille.medico@exemple.mssante.fr"


def test_numbers_of_older_types_become_national_ones() -> None:
    sender = "01000000057^DURAND^ANNE^^^^^^1.2.250.1.71.4.2.1^D^^^RPPS|||CH^^^^^^FINEG^^^1990000002"
    made, findings = noticed(Ask(sender=sender))
    assert made.sender.person is not None
    assert (made.sender.person.id, made.sender.person.kind) == ("801000000057", "IDNPS")
    assert made.sender.person.authority == "1.2.250.1.71.4.2.1"
    assert made.sender.organization is not None
    assert (made.sender.organization.id, made.sender.organization.kind) == ("1990000002", "IDNST")
    assert ("PRT-8.10", "102") in findings


@pytest.mark.parametrize(
    "number,kind,expected",
    [
        ("990000002", "FINESS", ("1990000002", "IDNST")),
        ("732829320", "SIREN", ("2732829320", "IDNST")),
        ("73282932000074", "SIRET", ("373282932000074", "IDNST")),
        ("3435", "UF", ("3435", "UF")),
    ],
)
def test_a_structure_has_its_national_number(number: str, kind: str, expected: tuple[str, str]) -> None:
    sender = f"801000000057^DURAND^ANNE^^^^^^^D^^^IDNPS|||CH^^^^^^{kind}^^^{number}"
    organization = asked(Ask(sender=sender, flags={})).sender.organization
    assert organization is not None
    assert (organization.id, organization.kind) == expected


def test_a_mail_text_that_cannot_be_decoded_is_the_default_one() -> None:
    bad = "OBX|30|ED|CORPSMAIL_PS^-^MetaDMPMSS||^TEXT^^Base64^Q2hlc||||||F"
    made, findings = noticed(Ask(extra=(bad,)))
    assert made.mail_professional == ""
    assert findings[0][1] == "102"


def test_the_patient_cannot_answer_when_the_note_says_so() -> None:
    ask = Ask(flags={"DESTMSSANTEPAT": "Y"}, recipients=(PATIENT,))
    lines = ask.lines()
    at = next(number for number, one in enumerate(lines) if "DESTMSSANTEPAT" in one)
    lines.insert(at + 1, "NTE||||FIN")
    assert asked(("\r".join(lines) + "\r").encode()).closes_conversation
    assert not asked(ask).closes_conversation


def test_ids_of_a_lot_are_kept() -> None:
    lot = "OBX|30|CE|COMP_LOT^-||1.2.250.1.213.1.1.8^CDAN1||||||F"
    assert asked(Ask(extra=(lot, lot.replace("N1", "N2")))).lot == (
        "1.2.250.1.213.1.1.8^CDAN1",
        "1.2.250.1.213.1.1.8^CDAN2",
    )


def test_base64_is_repaired() -> None:
    body = Ask().bytes()
    content = base64.b64encode(Cda().bytes())
    broken = content.rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")
    made, findings = noticed(body.replace(content, broken[:80] + b"\\.br\\" + broken[80:]))
    assert made.documents[0].content == Cda().bytes() or ("OBX-5.5", "102") in findings


def test_names_differ_by_accents_and_hyphens_only_in_strict_reading() -> None:
    ask = Ask(documents=(Cda(given="Rûth", family="Fictive").bytes(),))
    assert asked(ask).patient.given == "RUTH"
    assert refused(ask, level="strict") == ("PID-5", "904")


def test_a_recipient_without_address_waits_for_the_directory() -> None:
    ask = Ask(recipients=(COLLEAGUE,), flags={"DESTMSSANTEPS": "Y", "INVISIBLE_PATIENT": "Y"})
    made, findings = noticed(ask)
    assert made.recipients[0].address == ""
    assert ("PRT[2]-15.4", "101") in findings
    assert refused(ask, level="strict") == ("PRT[2]-15.4", "101")


def test_a_document_of_an_unqualified_identity_goes_by_mail_alone() -> None:
    ask = Ask(status="PROV")
    assert refused(ask) == ("PID-3", "207")
    made, findings = noticed(ask, not_for_dmp="leave_out")
    assert (made.to_dmp, made.patient.ins, len(made.recipients)) == (False, "", 1)
    assert ("PID-3[2]", "207") in findings


def test_a_placeholder_is_taken_by_the_test_profile() -> None:
    ask = Ask(documents=(b"Document medical au format CDA",))
    assert refused(ask) == ("OBX-5.5", "102")
    made = asked(ask, placeholders="accept")
    assert made.documents[0].unique_id == DOCUMENT


# refusals

REFUSALS: dict[str, tuple[Ask, tuple[str, str]]] = {
    "another patient's INS": (
        Ask(documents=(Cda(patient_ids=f'<id root="{INS_OID}" extension="{OTHER_INS}"/>').bytes(),)),
        ("PID-3[2]", "904"),
    ),
    "no INS in the document": (Ask(documents=(Cda(patient_ids='<id root="1.2.3" extension="7"/>').bytes(),)),
                               ("OBX-5.5", "903")),
    "another name": (Ask(documents=(Cda(family="AUTRE").bytes(),)), ("PID-5", "904")),
    "another birth date": (Ask(documents=(Cda(birth="19790329").bytes(),)), ("PID-7", "904")),
    "another sex": (Ask(documents=(Cda(sex="M").bytes(),)), ("PID-8", "904")),
    "another birth place": (Ask(documents=(Cda(place="75056").bytes(),)), ("PID-11", "904")),
    "no birth date in the document": (Ask(documents=(Cda(birth="").bytes(),)), ("OBX-5.5", "905")),
    "another type": (Ask(documents=(Cda(code="18748-4").bytes(),)), ("OBX-3", "207")),
    "a type that the DMP does not take": (
        Ask(code="99999-9", documents=(Cda(code="99999-9").bytes(),)), ("OBX-3", "103"),
    ),
    "an id with extension to the DMP": (
        Ask(unique_id="7^^1.2.3^ISO", documents=(Cda(unique_id='root="1.2.3" extension="7"').bytes(),)),
        ("OBX-5.5", "102"),
    ),
    "a UUID to the DMP": (
        Ask(documents=(Cda(unique_id='root="00000000-0000-4000-8000-000000000001"').bytes(),)), ("OBX-5.5", "102"),
    ),
    "a restricted document": (Ask(documents=(Cda(confidentiality="R").bytes(),)), ("OBX-5.5", "207")),
    "a very restricted document": (Ask(documents=(Cda(confidentiality="V").bytes(),)), ("OBX-5.5", "207")),
    "no sender for the DMP": (Ask(sender=""), ("PRT-8", "101")),
    "a sender without structure": (Ask(sender=COLLEAGUE), ("PRT-8", "101")),
    "a sender without number": (
        Ask(sender="^DURAND^ANNE|||CH^^^^^^IDNST^^^1990000002"), ("PRT-5", "101"),
    ),
    "no address for a professional": (Ask(recipients=()), ("OBX[8]-5", "101")),
    "no address for the patient": (Ask(flags={"DESTMSSANTEPAT": "Y"}, recipients=()), ("OBX[9]-5", "101")),
    "a patient mailed what is hidden from them": (
        Ask(flags={"DESTMSSANTEPAT": "Y", "INVISIBLE_PATIENT": "Y"}, recipients=(PATIENT,)), ("OBX[9]-5", "207"),
    ),
    "another patient's mailbox": (
        Ask(flags={"DESTMSSANTEPAT": "Y"}, recipients=(PATIENT.replace(f"{INS}@", f"{OTHER_INS}@"),)),
        ("PRT[2]-15.4", "904"),
    ),
    "a patient's mailbox without qualified INS": (
        Ask(flags={"DESTMSSANTEPAT": "Y"}, recipients=(PATIENT,), status="PROV"), ("OBX[9]-5", "207"),
    ),
    "a replacement that the document does not know": (Ask(action="replace"), ("OBX-5.5", "900")),
    "a replacement of another document": (
        Ask(action="replace", replaced="1.2.3", documents=(REPLACING.bytes(),)), ("TXA-13", "900"),
    ),
    "a replacement without TXA-13": (
        Ask(action="replace", replaced="", documents=(REPLACING.bytes(),)), ("TXA-13", "101"),
    ),
    "a first sending that replaces": (Ask(documents=(REPLACING.bytes(),)), ("ORC-1", "207")),
    "a flag that is neither": (Ask(flags={"DESTDMP": "O"}), ("OBX[7]-5", "103")),
    "two documents in an MDM": (Ask(documents=(Cda().bytes(), Cda().bytes())), ("OBX[2]", "198")),
    "three documents in an ORU": (Ask(kind="ORU", documents=(Cda().bytes(),) * 3), ("OBX[3]", "198")),
    "no document": (Ask(documents=()), ("OBX", "100")),
    "not XML": (Ask(documents=(b"<ClinicalDocument",)), ("OBX-5.5", "102")),
    "not CDA": (Ask(documents=(b"<html/>",)), ("OBX-5.5", "102")),
    "a document type": (Ask(documents=(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",)), ("OBX-5.5", "102")),
    "an unknown participant for nobody": (Ask(recipients=("^MEDICO^CAMILLE",)), ("PRT[2]-15.4", "101")),
    "a document for LPS": (Ask(profile="1.1^CISIS_CDA_HL7_LPS"), ("MSH-21", "200")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_at_its_place(name: str) -> None:
    ask, expected = REFUSALS[name]
    assert refused(ask) == expected


@pytest.mark.parametrize(
    "old,new,expected",
    [
        (b"ORC|NW", b"ORC|RO", ("ORC-1", "207")),
        (b"ORC|NW", b"ORC|SC", ("ORC-1", "103")),
        (b"MDM^T02^", b"MDM^T10^", ("ORC-1", "207")),
        (b"MDM^T02^", b"MDM^T11^", ("MSH-9.2", "201")),
        (b"MDM^T02^MDM_T02", b"OUL^R22^OUL_R22", ("MSH-9.1", "200")),
        (b"||||||F\rPRT", b"||||||C\rPRT", ("ORC-1", "207")),
        (b"||||||F\rPRT", b"||||||W\rPRT", ("OBX-11", "103")),
        (b"^XML^Base64^", b"^XML^Base64^A", ("OBX-5.5", "102")),
        (b"\rPID|", b"\rPID|1||8^^^X^PI\rPID|", ("PID[2]", "204")),
        (b"\rPID|", b"\rZID|", ("PID", "100")),
        (b"FICTIVE^RUTH^RUTH ISABELLE", b"FICTIVE", ("PID-5", "905")),
        (b"|19790328|", b"||", ("PID-7", "905")),
    ],
)
def test_a_damaged_part_is_refused_at_its_place(old: bytes, new: bytes, expected: tuple[str, str]) -> None:
    body = Ask().bytes()
    assert old in body
    assert refused(body.replace(old, new, 1)) == expected


def test_old_profiles_ignore_the_order_code() -> None:
    body = Ask(profile="2.0^CISIS_CDA_HL7_V2").bytes().replace(b"ORC|NW", b"ORC|SC")
    assert asked(body).action == "create"
    without = b"\r".join(one for one in body.split(b"\r") if one[:3] not in (b"ORC", b"OBR"))
    assert asked(without).request.profile == "2.0"
    assert refused(body.replace(b"||||||F\rPRT", b"||||||C\rPRT")) == ("OBX-11", "207")


@pytest.mark.parametrize(
    "ask,expected",
    [
        (Ask(profile=""), "2.1"),
        (Ask(kind="ORU", profile=""), "2.1"),
        (Ask(profile="2.1^ CISIS_CDA_HL7_V2"), "2.1"),
        (Ask(kind="ORU", profile="1.2^CISIS_CDA_HL7_V1"), "1.2"),
    ],
)
def test_the_profile_is_found(ask: Ask, expected: str) -> None:
    assert asked(ask).request.profile == expected


@pytest.mark.parametrize(
    "flags,warned",
    [
        ({"DESTMSSANTEPS": "Y", "INVISIBLE_PATIENT": "Y", "CONNEXION_SECRETE": "Y", "DESTDMP": "Y"}, False),
        ({"DESTMSSANTEPS": "Y"}, True),
        ({"DESTMSSANTEPS": "Y", "INVISIBLE_PATIENT": "Y", "INVISIBLE_REP_LEGAUX": "Y"}, True),
        ({"DESTMSSANTEPS": "Y", "DESTMSSANTEPAT": "Y", "CONNEXION_SECRETE": "Y"}, False),
        ({"DESTMSSANTEPAT": "Y", "MASQUE_PS": "Y", "INVISIBLE_REP_LEGAUX": "Y"}, False),
        ({"DESTMSSANTEPAT": "Y", "DESTDMP": "Y"}, True),
        ({"DESTMSSANTEPS": "Y", "DESTMSSANTEPAT": "Y", "MASQUE_PS": "Y"}, True),
    ],
)
def test_the_matrix_warns_and_strict_refuses(flags: dict[str, str], warned: bool) -> None:
    recipients = tuple(
        one
        for flag, one in (("DESTMSSANTEPS", Ask().recipients[0]), ("DESTMSSANTEPAT", PATIENT))
        if flags.get(flag) == "Y"
    )
    ask = Ask(flags=flags, recipients=recipients)
    assert (("OBX[3]-5", "207") in noticed(ask)[1]) is warned
    if warned:
        assert refused(ask, level="strict") == ("OBX[3]-5", "207")
    else:
        asked(ask, level="strict")


def test_a_flag_with_an_unknown_name_is_not_taken_for_one_that_lacks() -> None:
    body = Ask().bytes()
    assert refused(body.replace(b"INVISIBLE_PATIENT", b"INVISBLE_PATIENT")) == ("OBX[3]-3", "103")
    more = Ask(extra=("OBX|40|CWE|NEW_FLAG^-^MetaDMPMSS||Y||||||F",))
    assert ("OBX[12]-3", "103") in noticed(more)[1]


def test_a_mailbox_gets_one_mail() -> None:
    made, findings = noticed(Ask(recipients=Ask().recipients * 2))
    assert len(made.recipients) == 1
    assert ("PRT[3]-15.4", "205") in findings


def test_a_recipient_whose_flag_is_no_gets_nothing() -> None:
    made, findings = noticed(Ask(flags={"DESTDMP": "Y"}))
    assert made.recipients == ()
    assert ("PRT[2]", "207") in findings


def test_only_hl7_is_a_request() -> None:
    with pytest.raises(MessageError):
        read_request(Message(b"{}", "fhir+json"), site())
