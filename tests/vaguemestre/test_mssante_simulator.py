"""The simulated operator, with the connector as its client: what it checks, how it misbehaves, what it reports."""

import asyncio
import re
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from channels.certificates import CertificateSettings
from channels.errors import Refused, Undelivered
from channels.message import Message
from connectors.shared.submissions import Submissions
from tests.connectors import mail_system
from tests.connectors.certificates import Certificates
from tests.connectors.intake import ListIntake
from tests.connectors.mail_system import Office
from tests.parts import require
from tests.transforms.mails import AT, DOCTOR, KEY, PATIENT, RECIPIENTS, SENDER, UNIT, made, request, wholes
from transforms.mail import batch
from transforms.submission import Recipient, Submission
from vaguemestre.commands.simulate import simulate
from vaguemestre.simulators.mssante import Manners, MssanteSimulator
from vaguemestre.simulators.mssante.checks import faults
from vaguemestre.simulators.mssante.imap import PASSWORD
from vaguemestre.simulators.pki import PASSWORD as P12

GOOD = wholes(request())


@pytest.fixture
async def operator() -> AsyncIterator[MssanteSimulator]:
    with tempfile.TemporaryDirectory(prefix="vaguemestre-operator-", ignore_cleanup_errors=True) as folder:
        made_ = MssanteSimulator(Path(folder), [SENDER, DOCTOR, UNIT])  # pytest closes its own folders to other users
        await made_.start()
        yield made_
        await made_.stop()


@pytest.fixture
async def office(tmp_path: Path, operator: MssanteSimulator) -> AsyncIterator[Office]:
    folder = tmp_path / "engine"
    folder.mkdir()
    async with mail_system.office(folder, Certificates(folder)) as found:
        known = {"mssante": CertificateSettings(file=operator.client.p12, password=P12, use="client")}
        site = found.surroundings.site.model_copy(update={"certificates": known})
        yield replace(found, surroundings=replace(found.surroundings, site=site))


def server(operator: MssanteSimulator, port: int, **more: Any) -> dict[str, Any]:
    known = {"connect": f"127.0.0.1:{port}", "certificate": "mssante", "authorities": str(operator.authority.file)}
    return {**known, "timeout": "5s", **more}


async def sent(office: Office, operator: MssanteSimulator, asked: Submission, **settings: Any) -> None:
    await office.store.register(asked, known_parents_only=False)
    destination = office.destination(server(operator, operator.smtp_port, **settings))
    await destination.start()
    try:
        await destination.send(Message(batch.encode(made(asked)), "mails", received=AT.timestamp()))
    finally:
        await destination.aclose()


async def reported(office: Office, operator: MssanteSimulator, count: int) -> list[tuple[str, bool, str, str]]:
    """What the store owes the requester once the reports are read."""
    intake = ListIntake()
    source = office.source(server(operator, operator.imap_port, user=SENDER, password=PASSWORD, poll="1s"))
    await source.start(intake)
    await intake.until(lambda: len(intake.seen) >= count)
    while (len(await office.store.due())) < count:  # the store rings for its own reader only
        await asyncio.sleep(0.01)
    await source.stop()
    return sorted((one.outcome.kind, one.outcome.positive, one.outcome.code, one.outcome.address)
                  for one in await office.store.due())  # fmt: skip


async def test_mails_of_the_connector_are_as_they_must_be(office: Office, operator: MssanteSimulator) -> None:
    await sent(office, operator, request())
    assert [(one.recipient, one.faults) for one in operator.mails] == [(DOCTOR, ()), (UNIT, ()), (PATIENT, ())]
    assert operator.count() == 3


async def test_reports_reach_the_requester(office: Office, operator: MssanteSimulator) -> None:
    require("dovecot", "dovecot-imapd")
    operator.behave(Manners(bounce=frozenset({UNIT}), reading="processed", error="902^Patient inconnu"))
    await sent(office, operator, request())
    assert await reported(office, operator, 5) == sorted([
        ("Z02", True, "", DOCTOR), ("Z02", True, "", PATIENT), ("Z02", False, "550", UNIT),
        ("Z03", False, "902", DOCTOR), ("Z03", False, "902", PATIENT),
    ])  # fmt: skip


async def test_a_mailbox_that_does_not_exist_is_refused(office: Office, operator: MssanteSimulator) -> None:
    unknown = (Recipient("professional", "nobody@cabinet.mssante.fr"),)
    with pytest.raises(Refused):
        await sent(office, operator, request(recipients=unknown))
    assert operator._recipient("279035121518988@patient.mssante.fr").startswith("550")


async def test_a_lost_answer_brings_the_same_mail_again(office: Office, operator: MssanteSimulator) -> None:
    operator.behave(cut=1)
    with pytest.raises(Undelivered):
        await sent(office, operator, request())
    assert await state(office.store) == ["sending", "sent", "sent"]
    await sent(office, operator, request())
    assert [one.repeated for one in operator.mails] == [False, False, False, True]
    assert (operator.count(DOCTOR), operator.count()) == (1, 3)
    first, *_, again = operator.mails
    assert first.raw == again.raw


async def state(store: Submissions) -> list[str]:
    found = [await store.target(KEY, f"mail {number}") for number in (1, 2, 3)]
    return [one.state for one in found if one is not None]


async def test_not_now_for_one_does_not_stop_the_others(office: Office, operator: MssanteSimulator) -> None:
    operator.behave(refuse=["451 4.3.0 later", "554 5.7.1 no"])
    with pytest.raises(Undelivered):
        await sent(office, operator, request())
    assert await state(office.store) == ["sending", "refused", "sent"]
    await sent(office, operator, request())
    assert await state(office.store) == ["sent", "refused", "sent"]
    operator.behave(refuse=["451 4.3.0 later"])
    with pytest.raises(Undelivered):  # a replay tries what was refused
        await sent(office, operator, request())


@pytest.mark.parametrize("accepted", [False, True])
async def test_without_reports_the_setting_decides(office: Office, operator: MssanteSimulator, accepted: bool) -> None:
    operator.behave(Manners(reports=False, reading=""))
    await sent(office, operator, request(), accepted_is_received=accepted)
    assert await state(office.store) == (["done"] * 3 if accepted else ["sent"] * 3)
    assert [one.outcome.positive for one in await office.store.due()] == [True] * (3 if accepted else 0)


async def test_a_size_that_is_announced_is_respected(office: Office, operator: MssanteSimulator) -> None:
    operator.behave(Manners(size=3000))
    with pytest.raises(Refused):
        await sent(office, operator, request())
    assert [one.outcome.code for one in await office.store.due()] == ["552"] * 3
    assert operator.mails == []


async def test_a_slow_operator_is_waited_for_then_left(office: Office, operator: MssanteSimulator) -> None:
    operator.behave(Manners(slow=60))
    with pytest.raises(Undelivered):
        await sent(office, operator, request(recipients=RECIPIENTS[:1]), timeout="300ms")


async def test_without_a_certificate_nothing_is_said(operator: MssanteSimulator) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", operator.smtp_port)
    for command in (b"EHLO x\r\n", b"MAIL FROM:<a@b.fr>\r\n", b"NONSENSE\r\n", b"STARTTLS\r\n"):
        writer.write(command)
    told = b""
    while b"220 2.0.0" not in told:
        told += await reader.readline()
    assert told.count(b"530 5.7.0") == 2
    trust = ssl.create_default_context(cafile=str(operator.authority.file))

    async def talk() -> None:
        await writer.start_tls(trust, server_hostname="localhost")
        writer.write(b"EHLO x\r\n")
        await reader.readexactly(1)

    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await talk()
    writer.transport.abort()


@pytest.mark.parametrize(
    "old, new, fault",
    [
        (b"Subject: XDM/1.0/DDM+", b"Subject: ", "Subject"),
        (b"From: labo@", b"From: other@", "From"),
        (b"X-MSS-NIL", b"X-NIL", "X-MSS-NIL"),
        (b"X-MSS-INS: O", b"X-MSS-INS: Y", "X-MSS-INS"),
        (b"X-MSS-CODECDA: 11502-2", b"X-MSS-CODECDA: 34133-9", "X-MSS-CODECDA"),
        (b"IHE_XDM.zip", b"documents.zip", "IHE_XDM.zip"),
        (b"application/pdf", b"image/png", "PDF"),
        (b"Disposition-Notification-To: <labo", b"Disposition-Notification-To: <x", "Disposition-Notification-To"),
        (b"MIME-Version: 1.0", b"MIME-Version: 1.0\r\nX-MSS-MES: FIN", "X-MSS-MES"),
        (b"multipart/mixed", b"text/plain", "Content-Type"),
        (b"UEsDB", b"UEsDC", "IHE_XDM.zip"),
    ],
)
def test_each_fault_is_found(old: bytes, new: bytes, fault: str) -> None:
    assert faults(GOOD[0], SENDER, DOCTOR) == []
    changed = GOOD[0].replace(old, new)
    assert changed != GOOD[0]
    assert any(one.startswith(fault) for one in faults(changed, SENDER, DOCTOR))


def test_a_mail_to_another_patient_is_found() -> None:
    other = GOOD[2].replace(PATIENT.encode(), b"179035121518989@patient.mssante.fr")
    assert "To: the patient of the documents" in faults(other, SENDER, "179035121518989@patient.mssante.fr")


def test_the_command_is_there() -> None:
    shown = CliRunner().invoke(simulate, ["mssante", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "--bounce" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
