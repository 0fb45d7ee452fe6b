"""The whole journey: a result becomes a report in the DMP and in two mailboxes, and its laboratory knows."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.scenarios.pfi_hospital import DOCTOR, ENGINE, PATIENT, PfiHospital, running

RESULT = (Path(__file__).parents[2] / "vaguemestre/example/cases/oru_crp.hl7").read_bytes()
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def hospital() -> AsyncIterator[PfiHospital]:
    folder = Path(tempfile.mkdtemp(prefix="pfi-"))  # pytest closes its own folders to other users
    folder.chmod(0o755)
    async with running(folder) as made:
        yield made
    shutil.rmtree(folder)


def corrected() -> bytes:
    return RESULT.replace(b"|SGL000201|", b"|SGL000202|").replace(
        b"||12.4|mg/L|0 - 5|H|||F|", b"||21.4|mg/L|0 - 5|H|||C|"
    )


def withdrawn() -> bytes:
    made = RESULT.replace(b"|SGL000201|", b"|SGL000203|")
    made = made.replace(b"||12.4|mg/L|0 - 5|H|||F|", b"||21.4|mg/L|0 - 5|H|||W|")
    return made.rstrip().removesuffix(b"F") + b"W\n"


def zams(hospital: PfiHospital) -> set[tuple[str, str, bool, str]]:
    return {(one.of, one.kind, one.positive, one.address) for one in hospital.zams}


def read_receipt(about: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["In-Reply-To"] = DOCTOR, ENGINE, "Lu", about
    mail.set_content("Lu")
    mail.make_mixed()
    report = EmailMessage()
    report["Content-Type"] = "message/disposition-notification"
    report.set_payload(
        f"Final-Recipient: rfc822;{DOCTOR}\r\nOriginal-Message-ID: {about}\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n"
    )
    mail.attach(report)
    mail.replace_header("Content-Type", 'multipart/report; report-type="disposition-notification"; boundary="b1"')
    mail.set_boundary("b1")
    return mail


async def test_a_result_reaches_the_dmp_and_two_mailboxes_and_its_laboratory_knows(hospital: PfiHospital) -> None:
    assert await hospital.send("2581", RESULT) == "AA"
    await hospital.until(lambda: len(hospital.zams) >= 3)
    assert zams(hospital) == {
        ("SGL000201", "Z01", True, ""), ("SGL000201", "Z02", True, DOCTOR), ("SGL000201", "Z02", True, PATIENT),
    }  # fmt: skip
    assert list(hospital.dmp.published.values()) == [1]
    (to_doctor,), (to_patient,) = hospital.mails(DOCTOR), hospital.mails(PATIENT)
    names = [part.get_filename() for part in to_doctor.walk() if part.get_filename()]
    assert names[0] == "IHE_XDM.zip"
    assert str(names[1]).endswith(".pdf")
    assert to_patient["X-MSS-MES"] == "FIN"
    assert to_doctor["X-MSS-MES"] is None

    hospital.post(read_receipt(str(to_doctor["Message-ID"])))
    await hospital.until(lambda: len(hospital.zams) >= 4)
    assert ("SGL000201", "Z03", True, DOCTOR) in zams(hospital)

    assert await hospital.send("2581", corrected()) == "AA"
    await hospital.until(lambda: len(hospital.zams) >= 7)
    first, second = hospital.dmp.documents
    assert hospital.dmp.current() == [second]
    assert first.unique_id != second.unique_id
    assert len(hospital.mails(DOCTOR)) == len(hospital.mails(PATIENT)) == 2
    assert "[Annule et remplace]" in str(hospital.mails(DOCTOR)[1]["Subject"]) or "[Annule et remplace]" in str(
        hospital.mails(DOCTOR)[0]["Subject"]
    )
    assert len(hospital.dmp.lots) == 2

    assert await hospital.send("2581", withdrawn()) == "AA"
    await hospital.until(lambda: len(hospital.zams) >= 10)
    assert hospital.dmp.current() == []
    assert {one.positive for one in hospital.zams} == {True}
    assert [one.broken for one in hospital.dmp.requests if not one.accepted] == []


async def test_the_same_result_again_is_published_once(hospital: PfiHospital) -> None:
    for _ in range(2):
        assert await hospital.send("2581", RESULT) == "AA"
    await hospital.until(lambda: len(hospital.zams) >= 3)
    await hospital.close()
    await hospital.open()
    assert await hospital.send("2581", RESULT) == "AA"
    await hospital.close()
    assert len(hospital.dmp.lots) == len(hospital.mails(DOCTOR)) == len(hospital.mails(PATIENT)) == 1
    assert len(hospital.zams) == 3


async def test_a_patient_who_opposes_the_dmp_still_has_the_mails(hospital: PfiHospital) -> None:
    pid = RESULT.splitlines()[1]
    adt = (
        b"MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A31^ADT_A05|G1|P|2.5\rEVN||20260310\r"
        + pid
        + b"\rZFA|ACTIF||||||||IO|20260309\r"
    )
    assert await hospital.send("2575", adt) == "AA"
    engine = hospital.engine
    assert engine is not None
    await hospital.until(lambda: engine.channels["adt-fanout"].state()["destinations"]["consent"]["delivered"] == 1)
    assert await hospital.send("2581", RESULT) == "AA"
    await hospital.until(lambda: len(hospital.zams) >= 3)
    refused = next(one for one in hospital.zams if one.kind == "Z01")
    assert (refused.positive, refused.code) == (False, "PatientOpposed")
    assert hospital.dmp.lots == []
    assert len(hospital.mails(DOCTOR)) == 1


async def test_a_mail_with_a_document_reaches_the_dpi_and_its_sender_knows(hospital: PfiHospital) -> None:
    assert await hospital.send("2581", RESULT) == "AA"
    await hospital.until(lambda: bool(hospital.mails(DOCTOR)))
    (received,) = hospital.mails(DOCTOR)
    forwarded = EmailMessage()
    forwarded["From"], forwarded["To"], forwarded["Subject"] = DOCTOR, ENGINE, "XDM/1.0/DDM+essai"
    forwarded["Message-ID"] = "<forwarded@cabinet.mssante.fr>"
    forwarded["Disposition-Notification-To"] = DOCTOR
    forwarded.set_content("Bonjour")
    (archive,) = [part.get_payload(decode=True) for part in received.walk() if part.get_filename() == "IHE_XDM.zip"]
    assert isinstance(archive, bytes)
    forwarded.add_attachment(archive, maintype="application", subtype="zip", filename="IHE_XDM.zip")
    hospital.post(forwarded)
    await hospital.until(lambda: bool(hospital.documents))
    assert b"MDM^T02" in hospital.documents[0]
    await hospital.until(lambda: len(hospital.mails(DOCTOR)) == 2)
    answer = next(one for one in hospital.mails(DOCTOR) if one["Message-ID"] != received["Message-ID"])
    assert answer.get_content_type() == "multipart/report"
    assert "processed" in answer.as_string()
    assert hospital.mails(ENGINE) == []
    assert len(hospital.mails(ENGINE, "Trait&AOk-s")) >= 1
