"""Every official example message ends in the right submission, refusal, acknowledgement or consent."""

import re
from pathlib import Path

import pytest

from channels.errors import Finding, MessageError
from channels.message import Message
from channels.ports import Outcome
from tests.transforms.pfi_requests import site
from transforms import er7
from transforms.ack import acknowledge, read_ack
from transforms.submission import Submission, zam
from transforms.submission.consent import read_consent
from transforms.submission.lps import read_outcome
from transforms.submission.request import RequestSettings, read_request

ADAM = "adam.hoda@test-ci-sis.mssante.fr"
PATIENT = "279035121518989@patient.mssante.fr"


def example(shared: Path, name: str) -> Message:
    return er7.message((shared / "ans" / "hl7v2-examples" / name).read_bytes())


def read(message: Message, **settings: str) -> tuple[Submission, list[Finding]]:
    production = b"1.2.250.1.213.1.4.8" in message.body
    own = site(ins_domain="production" if production else "test")
    return read_request(message, own, RequestSettings.model_validate(settings))


# requests

REFUSED = {
    "cda-2.1-segur/mdm-t02-imaging-placeholder.er7": ("OBX-5.5", "102"),
    "cda-2.1/oru-r01-lab-two-documents-placeholder.hl7": ("OBX-5.5", "102"),
    "cda-2.0/mdm-t02-imaging-placeholder.er7": ("OBX-5.5", "102"),
    "cda-2.0/mdm-t10-imaging-replace-placeholder.er7": ("OBX-5.5", "102"),
    "cda-2.0/oru-r01-lab-two-documents-small-tilde.hl7": ("OBX-5.5", "102"),
    "cda-1.2/oru-r01-lab-placeholder.hl7": ("OBX-5.5", "102"),
    "lps-1.1/mdm-t02-imaging-placeholder.er7": ("MSH-21", "200"),
    "lps-1.1/mdm-t10-imaging-replace-full.er7": ("MSH-21", "200"),
    "lps-1.0/mdm-t02-lab-placeholder.hl7": ("MSH-21", "200"),
    "lps-1.0/mdm-t02-imaging-placeholder.er7": ("MSH-21", "200"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_at_its_place(shared: Path, name: str) -> None:
    message = example(shared, name)
    with pytest.raises(MessageError) as caught:
        read(message)
    error = caught.value
    assert (error.place, error.condition) == REFUSED[name]
    answer = read_ack(acknowledge(message.view(er7.header_of), Outcome(1, error)))
    assert answer.code == ("AE" if error.condition == "102" else "AR")
    assert answer.control_id == "015"
    assert [(one.place, one.code) for one in answer.errors] == [REFUSED[name]]


ACCEPTED = {
    "cda-2.1-segur/mdm-t02-imaging-placeholder.er7": ("create", True, [ADAM], "2.1"),
    "cda-2.1-segur/mdm-t10-imaging-replace-full.er7": ("replace", True, [ADAM], "2.1"),
    "cda-2.1-segur/oru-r01-lab-initial-n3-full.hl7": (
        "create",
        True,
        [ADAM, f"27707{PATIENT}"],  # the sample's corrupted address: kept as it is written, with a warning
        "2.1",
    ),
    "cda-2.1/oru-r01-lab-two-documents-placeholder.hl7": ("create", True, [ADAM, PATIENT], "2.1"),
    "cda-2.0/mdm-t02-imaging-placeholder.er7": ("create", False, [ADAM], "2.0"),
    "cda-2.0/mdm-t10-imaging-replace-placeholder.er7": ("replace", False, [ADAM], "2.0"),
    "cda-2.0/oru-r01-lab-two-documents-small-tilde.hl7": (
        "create",
        True,
        [ADAM, "2770763220829106@patient.mssante.fr"],
        "2.0",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_becomes_its_submission(shared: Path, name: str) -> None:
    made, findings = read(example(shared, name), placeholders="accept", not_for_dmp="leave_out")
    addresses = [one.address for one in made.recipients]
    assert (made.action, made.to_dmp, addresses, made.request.profile) == ACCEPTED[name]
    assert made.patient.ins
    assert made.sender.person is not None
    assert (made.sender.person.id[:3], made.sender.person.kind) == ("801", "IDNPS")
    assert all(one.level == "warn" for one in findings)


def test_the_full_replacement_chains_to_the_first_document(shared: Path) -> None:
    made, findings = read(example(shared, "cda-2.1-segur/mdm-t10-imaging-replace-full.er7"))
    (document,) = made.documents
    assert document.unique_id == "1.2.250.1.71.4.2.2.120456789.71024000082"
    assert document.replaces == "1.2.250.1.71.4.2.2.120456789.71024000081"
    assert (document.level, document.code, len(document.content)) == (1, "18748-4", 246_324)
    assert made.visibility.secret_connection
    assert made.visibility.changed
    assert {(one.place, one.code) for one in findings} == {
        ("PRT-5.1", "102"),  # an invented RPPS
        ("TXA-12.2", "102"),
        ("OBX[3]-5", "207"),
    }


def test_the_full_report_wants_every_acknowledgement(shared: Path) -> None:
    made, findings = read(example(shared, "cda-2.1-segur/oru-r01-lab-initial-n3-full.hl7"))
    assert (made.wants_reception, made.wants_reading, made.reply_to) == (True, True, ADAM)
    assert made.mail_professional == ""
    places = [one.place for one in findings]
    assert "OBX[12]-5.5" in places
    assert "PRT[3]-15.4" in places
    assert made.documents[0].set_id == made.documents[0].unique_id == "1.2.250.1.213.1.1.9"


def test_the_oldest_profile_names_no_mailbox(shared: Path) -> None:
    with pytest.raises(MessageError) as caught:
        read(example(shared, "cda-1.2/oru-r01-lab-placeholder.hl7"), placeholders="accept", not_for_dmp="leave_out")
    assert (caught.value.place, caught.value.condition) == ("OBX[9]-5", "207")  # its INS has a wrong key: no mailbox


def test_the_oldest_profile_is_read_when_it_mails_nobody(shared: Path) -> None:
    message = example(shared, "cda-1.2/oru-r01-lab-placeholder.hl7")
    body = re.sub(rb"(DESTMSSANTEP[SA]T?\^[^|]*\|\|)Y", rb"\1N", message.body)
    made, findings = read(er7.message(body), placeholders="accept", not_for_dmp="leave_out")
    assert made.lot == ("1.2.250.1.213.1.1.8^CDAN1", "1.2.250.1.213.1.1.9^CDAN2")
    assert (made.request.profile, made.reply_to) == ("1.2", ADAM)
    assert made.patient.ins == ""
    assert ("PID-3[1].1", "102") in {(one.place, one.code) for one in findings}


# business acknowledgements

ZAMS = {
    "cda-2.1/zam-z01-dmp-refused.er7": ("Z01", False, "DMPClosed", "", ""),
    "cda-2.1/zam-z02-mss-received.er7": ("Z02", True, "", ADAM, "801234567897"),
    "cda-2.0/zam-z01-dmp-refused.er7": ("Z01", False, "DMPClosed", "", ""),
    "cda-2.0/zam-z02-mss-received.er7": ("Z02", True, "", ADAM, "801234567897"),
    "cda-2.0/zam-z03-mss-read.er7": ("Z03", True, "", ADAM, "801234567897"),
}


@pytest.mark.parametrize("name", ZAMS)
def test_a_zam_is_read_and_written_again(shared: Path, name: str) -> None:
    message = example(shared, name)
    found = zam.read(message.body)
    assert (found.kind, found.positive, found.code, found.address, found.reader) == ZAMS[name]
    assert found.of == "015"
    written = zam.encode(found).decode().rstrip("\r").split("\r")
    official = message.body.decode().rstrip("\n").split("\n")
    if name.startswith("cda-2.1"):  # the text says "Application error"; the sample, another name
        official = [one.replace("Application internal error", "Application error") for one in official]
    assert written == [one.rstrip("|") for one in official]


# acknowledgements of software, consents


@pytest.mark.parametrize(
    "name",
    [
        "cda-2.1-segur/mdm-t10-ack.er7",
        "cda-2.1/oru-r01-ack.hl7",
        "cda-2.0/mdm-t10-ack.er7",
        "cda-2.0/oru-r01-ack.hl7",
        "cda-1.2/oru-r01-ack.hl7",
        "lps-1.1/mdm-t02-ack.er7",
        "lps-1.1/mdm-t10-ack.er7",
        "lps-1.0/mdm-t02-lab-ack.hl7",
        "lps-1.0/mdm-t02-imaging-ack.er7",
    ],
)
def test_an_acknowledgement_is_positive(shared: Path, name: str) -> None:
    body = example(shared, name).body
    assert read_outcome(body).positive
    assert read_ack(body).control_id == "015"


@pytest.mark.parametrize(
    "name,feeding,consultation",
    [
        ("adt-a01-sgl-admission-zfa-ino-ic.er7", "INO", "IC"),
        ("adt-a01-zfa-ino-ic.er7", "INO", "IC"),
        ("adt-a01-zfa-io-inc.er7", "IO", "INC"),
        ("adt-a01-zfa-na-na.er7", "NA", "NA"),
    ],
)
def test_a_consent_is_read(shared: Path, name: str, feeding: str, consultation: str) -> None:
    facts = read_consent(example(shared, f"pam-fr/{name}"))
    assert facts is not None
    assert (facts.dmp, facts.feeding, facts.consultation) == ("ACTIF", feeding, consultation)
    assert facts.identifiers
    assert facts.at > 0
    assert bool(facts.feeding_date) is (feeding != "NA")
