"""Marked patients go through the PFI, and through every failure that can be provoked: nothing shows them on the way."""

from __future__ import annotations

import base64
import contextlib
import io
import tempfile
import zipfile
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.connectors.dmp_server import RS, STATUS, soap
from tests.scenarios.pfi_marked import (
    ADT,
    DOCTOR,
    EVERY,
    FAMILY,
    GIVEN,
    INS,
    MARKS,
    NUMBER,
    OURS,
    REQUESTS,
    RESULTS,
    STREET,
    TEXT,
    MarkedHospital,
    traces,
)
from tests.transforms.pfi_requests import INS as ASKED_INS
from tests.transforms.pfi_requests import Ask, Cda
from vaguemestre.simulators.mssante import Manners

pytestmark = pytest.mark.timeout(240)
FOR_OTHERS = ("out",)
"""Folders of the site's ``var`` that hold what other software reads: documents, with patients in them.

The other exceptions: what goes to the DMP, to mailboxes and to the hospital's software (MDM, ZAM: the mailbox of a
patient is named after the INS). What names a message is kept and shown in clear, and no mark is put there: MSH-3 to
MSH-12 and Message-ID, and codes of errors that the DMP answers.
"""
PATIENT = f"{INS}@patient.mssante.fr"


@pytest.fixture
async def hospital() -> AsyncIterator[MarkedHospital]:
    with tempfile.TemporaryDirectory(prefix="pfi-") as place:  # pytest closes its own folders to other users
        Path(place).chmod(0o755)
        async with MarkedHospital(Path(place)).running() as made:
            yield made


def says(status: str, code: str) -> bytes:
    """An answer of a DMP that repeats what it was sent."""
    error = (
        f'<RegistryError xmlns="{RS}" errorCode="{code}" codeContext="{EVERY}" location="{EVERY}" '
        'severity="urn:x:ErrorSeverityType:Error"/>'
    )
    listed = f'<RegistryErrorList xmlns="{RS}">{error}</RegistryErrorList>'
    return soap(f'<RegistryResponse xmlns="{RS}" status="{STATUS}{status}">{listed}</RegistryResponse>')


def faults(code: str) -> bytes:
    return soap(
        f'<s:Fault xmlns:d="urn:d"><s:Code><s:Value>s:{code}</s:Value><s:Subcode><s:Value>d:{FAMILY}</s:Value>'
        f"</s:Subcode></s:Code><s:Reason><s:Text>{EVERY}</s:Text></s:Reason><s:Detail>{EVERY}</s:Detail></s:Fault>"
    )


async def cut() -> None:
    """No answer: the connection closes."""


async def shown(hospital: MarkedHospital) -> dict[str, list[str]]:
    """Where marks can be seen that should not be: by place."""
    said = {
        "log": hospital.log(),
        "metrics": await hospital.metrics(),
        "state": repr(await hospital.state()).encode(),
        **{f"answer {number}": one for number, one in enumerate(hospital.answers)},
    }
    site = hospital.site.directory
    for path in (site / "var").rglob("*"):
        said[f"name of {path}"] = path.name.encode()
        inside = path.relative_to(site / "var").parts
        if path.is_file() and inside[0] not in FOR_OTHERS:
            said[str(path)] = path.read_bytes()
    assert said["log"]
    assert said["metrics"]
    assert any("journal" in place for place in said)
    assert any(place.endswith("pfi.db") for place in said)
    return {place: found for place, data in said.items() if (found := traces(data))}


def asked(**changes: object) -> Ask:
    """A request about a marked patient."""
    document = Cda(family=FAMILY, given=GIVEN, body=f"<nonXMLBody><text>{TEXT}</text></nonXMLBody>").bytes()
    return Ask(documents=(document.replace(ASKED_INS.encode(), INS.encode()),)).with_(**changes)


def marked(ask: Ask) -> bytes:
    body = ask.bytes().replace(b"FICTIVE^RUTH^RUTH", f"{FAMILY}^{GIVEN}^{GIVEN}".encode())
    return body.replace(ASKED_INS.encode(), INS.encode()).replace(b"700123", NUMBER.encode())


BAD = {
    "unknown parent": marked(asked(action="replace", control_id="B1")),
    "unknown document": marked(asked(action="delete", control_id="B2")),
    "another patient": marked(asked(control_id="B3", documents=(Cda(family=FAMILY, given=GIVEN).bytes(),))),
    "no CDA": marked(asked(control_id="B4", documents=(EVERY.encode(),))),
    "broken XML": marked(asked(control_id="B5", documents=(f"<ClinicalDocument>{EVERY}</{FAMILY}>".encode(),))),
    "broken Base64": marked(asked(control_id="B6")).replace(b"Base64^", f"Base64^{FAMILY}*".encode(), 1),
    "wrong key": marked(asked(control_id="B7")).replace(INS.encode(), INS[:-1].encode() + b"0"),
    "unqualified": marked(asked(control_id="B8", status="PROV")),
    "no address": marked(asked(control_id="B9", recipients=(f"801000000065^{FAMILY}^{GIVEN}^^^^^^IDNPS",))),
    "bad address": marked(asked(control_id="B10")).replace(b"camille.medico@exemple", f"{FAMILY} {INS}@".encode()),
    "elsewhere": marked(asked(control_id="B11")).replace(b"exemple.mssante.fr", f"{FAMILY}.test".encode()),
    "bad flag": marked(asked(control_id="B12", flags={"DESTDMP": FAMILY})),
    "bad code": marked(asked(control_id="B13", code=TEXT)),
    "bad identifier": marked(asked(control_id="B14", unique_id=FAMILY)),
    "bad event": marked(asked(control_id="B15")).replace(b"MDM^T02", b"MDM^T99"),
    "bad profile": marked(asked(control_id="B16", profile=f"{FAMILY}^{TEXT}")),
    "bad character set": marked(asked(control_id="B17")).replace(b"UNICODE UTF-8", b"UNICODE UTF-9"),
    "no documents": marked(asked(control_id="B18", documents=())),
    "no patient": marked(asked(control_id="B19")).replace(b"\rPID|", f"\r{FAMILY[:3]}|".encode()),
    "half a message": marked(asked(control_id="B20"))[:700],
    "half a character": marked(asked(control_id="B21")).replace(GIVEN.encode(), GIVEN.encode() + b"\xff\xfe"),
    "no date": marked(asked(control_id="B22")).replace(b"19790328", STREET.encode()),
}


def altered(archive: bytes, old: bytes, new: bytes, *, name: str = "") -> bytes:
    """An archive with other content, or with another name of its document."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as written:
        for one in given.namelist():
            content = given.read(one).replace(old, new) if old else given.read(one)
            written.writestr(name if name and one.endswith("DOC00001.XML") else one, content)
    return made.getvalue()


def archive_of(hospital: MarkedHospital) -> bytes:
    mail = next(one for one in hospital.operator.mails if one.recipient == DOCTOR)
    for part in message_from_bytes(mail.raw).walk():
        if part.get_filename() == "IHE_XDM.zip":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content
    raise AssertionError


def report(kind: str, fields: str) -> bytes:
    """A report about a mail, of a kind, that says more than it should."""
    return (
        f"From: <{DOCTOR}>\r\nTo: <{OURS}>\r\nSubject: {EVERY}\r\nMessage-ID: <{kind}@cabinet.test>\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type="{kind}"; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n'
        f"\r\n{EVERY}\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n--b--\r\n"
    ).encode()


def test_marks_are_found_however_they_are_written() -> None:
    assert traces(b"a XqFaMille b") == [FAMILY]
    assert traces(FAMILY.encode().hex().encode()) == [FAMILY]
    for before in ("", "a", "ab", "abc"):
        assert TEXT in traces(base64.b64encode(f"{before}{TEXT} and more".encode()))
    assert traces(b"nothing here") == []


async def test_what_goes_well_shows_nobody(hospital: MarkedHospital) -> None:
    assert (await hospital.published()).positive
    await hospital.until(lambda: len(hospital.zams) == 3 and len(hospital.operator.mails) == 2)
    assert await hospital.send(REQUESTS, marked(asked())) == "AA"
    await hospital.until(lambda: any(one.of == "DPI900" for one in hospital.zams))
    hospital.operator.deliver(OURS, hospital.mail(archive_of(hospital)), DOCTOR)
    await hospital.until(lambda: bool(hospital.documents))
    await hospital.until(
        lambda: any("processed" in one.raw.decode("utf-8", "replace") for one in hospital.operator.mails)
    )
    assert await shown(hospital) == {}
    # those who should know do
    (document,) = (hospital.site.directory / "var/out/cr-bio").iterdir()
    assert set(traces(document.read_bytes())) == set(MARKS)
    assert {FAMILY, GIVEN, INS} <= set(traces(hospital.dmp.lots[0].body))
    assert {FAMILY, GIVEN, INS} <= set(traces(hospital.documents[0]))
    assert FAMILY in traces(hospital.operator.mails[0].raw)
    assert {one.address for one in hospital.zams if one.of == "SGL000001"} == {"", DOCTOR, PATIENT}


async def test_what_is_refused_at_the_door_shows_nobody(hospital: MarkedHospital) -> None:
    codes = {name: await hospital.send(REQUESTS, body) for name, body in BAD.items()}
    taken = {name for name, code in codes.items() if code == "AA"}
    assert taken == {"bad address", "elsewhere", "bad identifier", "bad character set", "bad profile"}
    assert b"900" in b"".join(hospital.answers)
    for old, new in (("|NM|", f"|{FAMILY}|"), ("|12.4|", f"|{TEXT}|"), ("VALI", FAMILY), ("1988-5", TEXT)):
        await hospital.send(RESULTS, hospital.new_result(**{old: new})[1])
    await hospital.send(RESULTS, b"MSH|^~\\&|SGL|CH|X|CH|20260310||ORU^R01|C1|P|2.5\rPID|" + EVERY.encode())
    with contextlib.suppress(OSError):  # what is no message at all has no answer
        await hospital.send(RESULTS, EVERY.encode(), within=0.5)
    await hospital.send(ADT, hospital.new_result()[1])
    good = await hospital.published()
    assert good.positive
    assert await shown(hospital) == {}


async def test_what_the_dmp_and_the_operator_refuse_shows_nobody(hospital: MarkedHospital) -> None:
    dmp = hospital.dmp
    assert (await hospital.published()).positive  # the record is known from now on
    dmp.registers = False
    for script in (
        [says("Failure", "XDSRepositoryMetadataError")],
        [says("Failure", "NotInAnyTable")] * 5,
        [says("PartialSuccess", "XDSRegistryError")],
        [faults("Sender")] * 5,
        [faults("Receiver")] * 5,
    ):
        dmp.script.extend(script)
        assert not (await hospital.published()).positive
        dmp.script.clear()
    dmp.registers = True
    for answer in (
        (500, EVERY.encode()),
        (200, EVERY.encode()),
        (403, f"<p>{EVERY}</p>".encode()),
        cut,
        b"<a>" + EVERY.encode(),
    ):
        dmp.script.append(answer)
        dmp.queries.extend([soap(f"<a>{EVERY}</a>"), (500, EVERY.encode()), says("Failure", "XDSRegistryBusy")])
        assert (await hospital.published()).positive
    refusals = [f"{code} <{PATIENT}> {EVERY}" for code in ("451 4.3.0", "550 5.1.1", "552 5.2.2", "554 5.7.1")]
    hospital.operator.behave(Manners(reading=""), refuse=refusals)
    await hospital.published()
    await hospital.until(lambda: sum(one.kind == "Z02" and not one.positive for one in hospital.zams) >= 2)
    hospital.operator.behave(Manners(bounce=frozenset({DOCTOR, PATIENT})), cut=1)
    await hospital.published()
    hospital.operator.behave()
    await opposed(hospital)
    assert await shown(hospital) == {}


async def opposed(hospital: MarkedHospital) -> None:
    """The patient opposes the DMP."""
    pid = next(one for one in hospital.result.split(b"\r") if one.startswith(b"PID"))
    adt = b"MSH|^~\\&|GAP|CH|X|CH|20260310||ADT^A31^ADT_A05|G1|P|2.5\rEVN||20260310\r" + pid
    assert await hospital.send(ADT, adt + b"\rZFA|ACTIF||||||||IO|20260309\r") == "AA"
    while not await hospital.count("adt-fanout", "consent", "delivered"):
        pass
    assert (await hospital.published()).code == "PatientOpposed"


async def test_mails_that_mean_harm_show_nobody(hospital: MarkedHospital) -> None:
    assert (await hospital.published()).positive
    await hospital.until(lambda: len(hospital.operator.mails) == 2)
    archive, operator = archive_of(hospital), hospital.operator
    hospital.operator.behave(Manners(reading=""))
    hospital.dpi_refuses = True
    operator.deliver(OURS, hospital.mail(archive), DOCTOR)
    await hospital.until(lambda: len(hospital.documents) == 1)
    hospital.dpi_refuses = False
    hostile = [
        hospital.mail(archive[: len(archive) // 2]),
        hospital.mail(EVERY.encode()),
        hospital.mail(altered(archive, b"", b"", name=f"../../{FAMILY}/{INS}.XML")),
        hospital.mail(altered(archive, b"</rim:Name>", f"<{FAMILY}>".encode())),
        hospital.mail(altered(archive, b"urn:uuid:", f"{TEXT}:".encode())),
        hospital.mail(altered(archive, b"<recordTarget>", f"<{FAMILY}>".encode())),
        hospital.mail(archive, f"{FAMILY}_{INS}.zip"),
        hospital.mail(),
        hospital.mail(archive, **{"From": f"{FAMILY} {GIVEN}", "Disposition-Notification-To": f"{FAMILY}@@{INS}"}),
        b"\x00\xff" + EVERY.encode() * 20,
        f"Subject: {EVERY}\r\nContent-Type: multipart/mixed; boundary={FAMILY}\r\n\r\n--{FAMILY}\r\n{EVERY}".encode(),
        report(
            "delivery-status", f"Reporting-MTA: {EVERY}\r\n\r\nFinal-Recipient: rfc822;{PATIENT}\r\nAction: {FAMILY}"
        ),
        report("disposition-notification", f"Original-Message-ID: <{FAMILY}@x>\r\nDisposition: {EVERY}"),
    ]
    for one in hostile:
        operator.deliver(OURS, one, DOCTOR)
    operator.deliver(OURS, hospital.mail(archive, **{"Message-ID": "<last@cabinet.test>"}), DOCTOR)
    await hospital.until(
        lambda: "<last@cabinet.test>" in " ".join(one.raw.decode("utf-8", "replace") for one in operator.mails)
    )
    await hospital.until(lambda: not list((operator.directory / "mail" / OURS / "new").iterdir()))
    assert await shown(hospital) == {}
