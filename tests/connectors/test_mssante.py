"""MSSanté against a real Postfix and a real Dovecot: mails out and their reports, mails in, answers to them."""

import asyncio
import smtplib
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from channels.errors import ConfigError, MessageError, Refused, StoreError, Undelivered
from channels.message import Message
from connectors.mssante.smtp import xtext
from connectors.shared.submissions import Outcome
from tests.connectors import mail_system
from tests.connectors.certificates import Certificates
from tests.connectors.intake import ListIntake, eventually
from tests.connectors.mail_system import MailSystem, Office
from tests.transforms.mails import AT, DOCTOR, INS, KEY, PATIENT, RECIPIENTS, SENDER, UNIT, context, made, request
from tests.transforms.test_xds import REPORT
from transforms.mail import batch
from transforms.mail.read import read
from transforms.mail.settings import MdmSettings, MdnSettings
from transforms.mail.steps import Mdm, Mdn
from transforms.submission import Document, Recipient, Submission

NOBODY = "nobody@cabinet.mssante.fr"
DPI = "dpi@chu.mssante.fr"


@pytest.fixture(scope="module")
def mails(issued: Certificates) -> Iterator[MailSystem]:
    with tempfile.TemporaryDirectory(prefix="vaguemestre-mail-", ignore_cleanup_errors=True) as folder:
        yield from mail_system.started(Path(folder), issued)


@pytest.fixture
async def office(tmp_path: Path, issued: Certificates, mails: MailSystem) -> AsyncIterator[Office]:
    mails.clear()
    async with mail_system.office(tmp_path, issued) as found:
        yield found
    mails.clear()


def bundle(asked: Submission) -> Message:
    return Message(batch.encode(made(asked)), "mails", control_id=asked.request.key, received=AT.timestamp(), id=7)


async def sent(office: Office, mails: MailSystem, asked: Submission, **settings: Any) -> None:
    await office.store.register(asked, known_parents_only=False)
    destination = office.destination(mails.smtp(**settings))
    await destination.start()
    try:
        await destination.send(bundle(asked))
    finally:
        await destination.aclose()


async def arrived(mails: MailSystem, user: str, count: int = 1) -> None:
    await eventually(lambda: len(mails.dovecot.mails(user)) == count)


def _has(intake: ListIntake, count: int) -> bool:
    return len(intake.messages) == count


async def states(office: Office) -> list[str]:
    found = [await office.store.target(KEY, f"mail {number}") for number in (1, 2, 3)]
    return [one.state for one in found if one is not None]


async def due(office: Office) -> list[Outcome]:
    return [one.outcome for one in await office.store.due()]


async def emptied(office: Office, mails: MailSystem, count: int, user: str = SENDER, **settings: Any) -> ListIntake:
    """Run a source until its mailbox gave so many mails and is empty."""
    intake = ListIntake()
    source = office.source(mails.imap(user, **settings))
    await source.start(intake)
    await intake.until(lambda: len(intake.seen) >= count)
    await eventually(lambda: not mails.dovecot.mails(user))
    await source.stop()
    return intake


def post(mails: MailSystem, raw: bytes, to: str, sender: str = DOCTOR) -> None:
    """A correspondent sends a mail."""
    trust = ssl.create_default_context(cafile=str(mails.certificates.authority))
    trust.load_cert_chain(mails.certificates.directory / "client.pem", mails.certificates.directory / "client.key")
    with smtplib.SMTP("127.0.0.1", mails.postfix.port) as client:
        client.starttls(context=trust)
        client.sendmail(sender, [to], raw, mail_options=["BODY=8BITMIME"])


# out


async def test_every_mailbox_gets_its_mail_and_says_so(office: Office, mails: MailSystem) -> None:
    await sent(office, mails, request())
    assert await states(office) == ["sent", "sent", "sent"]
    assert await due(office) == []
    for user in (DOCTOR, UNIT, PATIENT):
        await arrived(mails, user)
        (raw,) = mails.dovecot.mails(user)
        mail = read(raw)
        assert mail.recipients == (user,)
        assert mail.return_path == SENDER
        assert next(one.name for one in mail.attachments) == "IHE_XDM.zip"
    await eventually(lambda: len(mails.dovecot.mails(SENDER)) == 3)
    intake = await emptied(office, mails, 3)
    assert [one.kind for one in intake.messages] == ["DSN"] * 3
    assert await states(office) == ["done", "done", "done"]
    assert sorted((one.kind, one.positive, one.address) for one in await due(office)) == sorted(
        ("Z02", True, one) for one in (DOCTOR, UNIT, PATIENT)
    )
    assert len(mails.dovecot.mails(SENDER, "Trait&AOk-s")) == 3


async def test_an_unknown_mailbox_does_not_stop_the_others(office: Office, mails: MailSystem) -> None:
    asked = request(recipients=(Recipient("professional", NOBODY), *RECIPIENTS[1:]))
    with pytest.raises(Refused) as told:
        await sent(office, mails, asked)
    assert str(told.value) == "1 of 3 mailboxes refused: mail 1"
    assert await states(office) == ["refused", "sent", "sent"]
    (one,) = await due(office)
    assert (one.kind, one.positive, one.code, one.address) == ("Z02", False, "550", NOBODY)
    await eventually(lambda: len(mails.dovecot.mails(PATIENT)) == 1)


async def test_a_mailbox_outside_mssante_is_refused_without_a_word_to_it(office: Office, mails: MailSystem) -> None:
    with pytest.raises(Refused):
        await sent(office, mails, request(recipients=(Recipient("professional", "anne@gmail.com"),)))
    assert [(one.code, one.positive) for one in await due(office)] == [("553", False)]


async def test_a_request_sent_again_sends_nothing_twice(office: Office, mails: MailSystem) -> None:
    await sent(office, mails, request())
    await sent(office, mails, request())
    await eventually(lambda: len(mails.dovecot.mails(SENDER)) == 3)
    assert [len(mails.dovecot.mails(user)) for user in (DOCTOR, UNIT, PATIENT)] == [1, 1, 1]


async def test_after_a_crash_the_same_mail_leaves_again(office: Office, mails: MailSystem) -> None:
    asked = request(recipients=RECIPIENTS[:1])
    await sent(office, mails, asked)
    await eventually(lambda: len(mails.dovecot.mails(DOCTOR)) == 1)
    await office.store.note(KEY, "mail 1", "sending")  # what a crash before the answer leaves
    await sent(office, mails, asked)
    await eventually(lambda: len(mails.dovecot.mails(DOCTOR)) == 2)
    first, second = (read(one) for one in mails.dovecot.mails(DOCTOR))
    assert first.message_id == second.message_id == f"<{KEY}.1@chu.mssante.fr>"
    assert first.attachments == second.attachments


async def test_another_certificate_is_refused_and_none_is_not_let_in(office: Office, mails: MailSystem) -> None:
    with pytest.raises(Refused):
        await sent(office, mails, request(recipients=RECIPIENTS[:1]), certificate="server")
    assert [one.code for one in await due(office)] == ["554"]
    for certificate in (None, "stranger"):
        with pytest.raises(Undelivered):
            await sent(
                office, mails, request(request=replace(request().request, key="1" * 32)), certificate=certificate
            )
    assert mails.dovecot.mails(DOCTOR) == []


async def test_a_server_that_we_do_not_trust_gets_nothing(office: Office, mails: MailSystem) -> None:
    with pytest.raises(Undelivered):
        await sent(office, mails, request(), authorities=str(mails.certificates.directory / "stranger.pem"))
    assert set(await states(office)) == {"sending"}


async def test_an_unknown_certificate_is_found_at_start(office: Office, mails: MailSystem) -> None:
    with pytest.raises(ConfigError):
        await office.destination(mails.smtp(certificate="nothing")).start()


async def test_a_mail_that_is_too_large_is_not_sent(office: Office, mails: MailSystem, tmp_path: Path) -> None:
    asked = request(recipients=RECIPIENTS[:1])
    await office.store.register(asked, known_parents_only=False)
    one = made(asked)
    large = replace(one, tail=b"A" * 27_000_000 + one.tail)
    destination = office.destination(mails.smtp())
    await destination.start()
    with pytest.raises(Refused):
        await destination.send(Message(batch.encode(large), "mails"))
    await destination.aclose()
    assert [one.code for one in await due(office)] == ["552"]
    assert "too large" not in mails.postfix.log()


async def test_a_server_that_is_away_is_tried_again(office: Office, mails: MailSystem) -> None:
    with pytest.raises(Undelivered):
        await sent(office, mails, request(), connect="127.0.0.1:9")
    assert set(await states(office)) == {"sending"}
    await sent(office, mails, request())
    assert await states(office) == ["sent", "sent", "sent"]


async def test_what_is_no_mail_is_not_sent(office: Office, mails: MailSystem) -> None:
    destination = office.destination(mails.smtp())
    await destination.start()
    for wrong in (Message(b"MSH|"), Message(b"x", "mail"), Message(b"x", "mails"), bundle(request())):
        with pytest.raises(MessageError):
            await destination.send(wrong)
    await destination.aclose()
    with pytest.raises(Undelivered):
        await destination.send(bundle(request()))
    await destination.aclose()


# in


async def test_a_mail_is_taken_whole_then_moved(office: Office, mails: MailSystem) -> None:
    await sent(office, mails, request(recipients=(Recipient("application", DPI),)))
    await eventually(lambda: bool(mails.dovecot.mails(DPI)))
    intake = await emptied(office, mails, 1, DPI)
    (message,) = intake.messages
    assert (message.format, message.kind, message.control_id) == ("mail", "XDM", f"<{KEY}.1@chu.mssante.fr>")
    assert message.body.replace(b"\r\n", b"\n") == mails.dovecot.mails(DPI, "Trait&AOk-s")[0]
    (mdm,) = Mdm(MdmSettings())(message, context())
    assert mdm.kind == "MDM^T02"


async def test_a_mail_that_comes_later_is_seen_at_once(office: Office, mails: MailSystem) -> None:
    intake = ListIntake()
    source = office.source(mails.imap(DPI, poll="1h", other_mail="forward"))
    await source.start(intake)
    await eventually((mails.dovecot.folder / "mail" / DPI / ".Trait&AOk-s").exists)
    for number in (1, 2, 3):
        post(mails, f"Message-ID: <{number}@x>\r\nSubject: {number}\r\n\r\nx".encode(), DPI)
        await intake.until(partial(_has, intake, number))
    await source.stop()
    assert [one.kind for one in intake.messages] == ["MSG"] * 3


@pytest.mark.parametrize(
    "policy, folder, handed, refused",
    [("ignore", "Non trait&AOk-s", 0, 0), ("refuse", "Rejet&AOk-s", 0, 1), ("forward", "Trait&AOk-s", 1, 0)],
)
async def test_a_mail_without_documents_follows_the_policy(
    office: Office, mails: MailSystem, policy: str, folder: str, handed: int, refused: int
) -> None:
    post(mails, b"Message-ID: <1@x>\r\nSubject: hello\r\n\r\nx", DPI)
    await eventually(lambda: bool(mails.dovecot.mails(DPI)))
    intake = await emptied(office, mails, 0, DPI, other_mail=policy)
    assert (len(intake.messages), len(intake.refused)) == (handed, refused)
    assert len(mails.dovecot.mails(DPI, folder)) == 1


async def test_nothing_leaves_the_inbox_before_the_journal_has_it(office: Office, mails: MailSystem) -> None:
    post(mails, b"Message-ID: <1@x>\r\nSubject: XDM/1.0/DDM+x\r\n\r\nx", DPI)
    await eventually(lambda: bool(mails.dovecot.mails(DPI)))
    full = ListIntake()
    full.refuse_with = lambda message: StoreError("no room")
    source = office.source(mails.imap(DPI))
    await source.start(full)
    await full.until(lambda: len(full.seen) >= 2)
    await source.stop()
    assert len(mails.dovecot.mails(DPI)) == 1
    held = ListIntake()
    held.held = True
    source = office.source(mails.imap(DPI))
    await source.start(held)
    await held.until(lambda: bool(held.waiting))
    assert len(mails.dovecot.mails(DPI)) == 1
    held.release()
    await eventually(lambda: not mails.dovecot.mails(DPI))
    await source.stop()


async def test_a_refused_mail_is_put_aside(office: Office, mails: MailSystem) -> None:
    post(mails, b"Message-ID: <1@x>\r\nSubject: XDM/1.0/DDM+x\r\n\r\nx", DPI)
    await eventually(lambda: bool(mails.dovecot.mails(DPI)))
    intake = ListIntake()
    intake.refuse_with = lambda message: MessageError("no", "x")
    source = office.source(mails.imap(DPI))
    await source.start(intake)
    await eventually(lambda: len(mails.dovecot.mails(DPI, "Rejet&AOk-s")) == 1)
    await source.stop()


async def test_over_tls_at_once_and_without_a_certificate(office: Office, mails: MailSystem) -> None:
    post(mails, b"Message-ID: <1@x>\r\nSubject: XDM/1.0/DDM+x\r\n\r\nx", DPI)
    await eventually(lambda: bool(mails.dovecot.mails(DPI)))
    await emptied(office, mails, 1, DPI, connect=f"127.0.0.1:{mails.dovecot.tls_port}", tls="implicit")
    intake = ListIntake()
    source = office.source(mails.imap(DPI, certificate="stranger"))
    await source.start(intake)  # it goes on trying
    await asyncio.sleep(0)
    await source.stop()
    await source.stop()
    assert intake.seen == []


# there and back


@pytest.mark.parametrize("state, condition, code", [("delivered", "", ""), ("failed", "904", "904")])
async def test_the_sender_learns_what_became_of_a_mail(
    office: Office, mails: MailSystem, state: str, condition: str, code: str
) -> None:
    await sent(office, mails, request(recipients=(Recipient("application", DPI),), wants_reception=False))
    await eventually(lambda: bool(mails.dovecot.mails(DPI)))
    (message,) = (await emptied(office, mails, 1, DPI)).messages
    ended = replace(message, attributes={"answer_state": state, "answer_condition": condition})
    (answer,) = Mdn(MdnSettings(sender=DPI))(ended, context())
    destination = office.destination(mails.smtp())
    await destination.start()
    assert (await destination.send(answer)).reference == answer.control_id
    await destination.aclose()
    await eventually(lambda: bool(mails.dovecot.mails(SENDER)))
    intake = await emptied(office, mails, 1)
    assert [one.kind for one in intake.messages] == ["MDN"]
    (outcome,) = await due(office)
    assert (outcome.kind, outcome.positive, outcome.code, outcome.address) == ("Z03", not code, code, DPI)


async def test_a_report_about_no_mail_of_ours_is_left_to_people(office: Office, mails: MailSystem) -> None:
    await sent(office, mails, request(recipients=RECIPIENTS[:1]))
    await eventually(lambda: bool(mails.dovecot.mails(SENDER)))
    raw = mails.dovecot.mails(SENDER)[0].replace(KEY.encode(), b"0" * 32)
    mails.clear()
    post(mails, raw, SENDER)
    await eventually(lambda: bool(mails.dovecot.mails(SENDER)))
    await emptied(office, mails, 1)
    assert len(mails.dovecot.mails(SENDER, "Non trait&AOk-s")) == 1
    assert await due(office) == []


@pytest.mark.timeout(300)
async def test_five_hundred_mails_all_arrive_once(office: Office, mails: MailSystem) -> None:
    one = made(request(recipients=RECIPIENTS[:1], wants_reception=False))
    destination = office.destination(mails.smtp(connections=4))
    await destination.start()
    plain = request(recipients=RECIPIENTS[:1], wants_reception=False)

    async def ask(number: int) -> None:
        key = f"{number:032x}"
        asked = replace(
            plain,
            request=replace(plain.request, key=key, control_id=str(number)),
            documents=(Document(REPORT, f"1.2.3.{number}", "11502-2"),),
        )
        await office.store.register(asked, known_parents_only=False)
        mail = replace(one.mails[0], message_id=f"<{key}.1@chu.mssante.fr>")
        head = mail.head.replace(KEY.encode(), key.encode())
        await destination.send(Message(batch.encode(replace(one, key=key, mails=(replace(mail, head=head),))), "mails"))

    for start in range(0, 500, 20):
        await asyncio.gather(*(ask(number) for number in range(start, start + 20)))
    await destination.aclose()
    await eventually(lambda: len(list((mails.dovecot.folder / "mail" / DOCTOR / "new").iterdir())) >= 500)
    identities = {read(raw, contents=False).message_id for raw in mails.dovecot.mails(DOCTOR)}
    assert len(mails.dovecot.mails(DOCTOR)) == len(identities) == 500


def test_text_of_delivery_parameters_is_escaped() -> None:
    assert xtext("a+b=c@d.fr é") == "a+2Bb+3Dc@d.fr+20+E9"


async def test_a_crash_before_the_mail_is_moved_hands_the_same_in_again(office: Office, mails: MailSystem) -> None:
    """The channel's edge then knows it by its number and its bytes."""
    post(mails, b"Message-ID: <1@x>\r\nSubject: XDM/1.0/DDM+x\r\n\r\nx", DPI)
    await arrived(mails, DPI)
    first, second = ListIntake(), ListIntake()
    first.held = True
    source = office.source(mails.imap(DPI))
    await source.start(first)
    await first.until(lambda: bool(first.waiting))
    assert source._task is not None
    source._task.cancel()  # as a kill between the journal and the move
    await asyncio.gather(source._task, return_exceptions=True)
    second_source = office.source(mails.imap(DPI))
    await second_source.start(second)
    await arrived(mails, DPI, 0)
    await second_source.stop()
    (again,) = second.messages
    assert (again.control_id, again.body) == (first.seen[0].control_id, first.seen[0].body)
    source._task = None
    await source._store.aclose()  # type: ignore[union-attr]  # it was started


MARKS = ("MARQUEUR", "marqueur", INS)


async def test_no_value_is_in_a_log_or_an_error(office: Office, mails: MailSystem) -> None:
    told: list[str] = []
    marked = request(
        patient=replace(request().patient, family="MARQUEUR", given="MARQUEUR"),
        mail_professional="MARQUEUR",
        recipients=(
            Recipient("professional", "marqueur@cabinet.mssante.fr"),
            Recipient("professional", "marqueur@gmail.com"),
            Recipient("patient", PATIENT),
        ),
    )
    with structlog.testing.capture_logs() as logs:
        for settings in ({}, {"certificate": "server"}, {"connect": "127.0.0.1:9"}, {"certificate": None}):
            with pytest.raises((Refused, Undelivered, MessageError)) as failure:
                await sent(office, mails, marked, **settings)
            told += [str(failure.value), repr(failure.value), repr(failure.value.__cause__)]
        post(mails, b"Message-ID: <1@x>\r\nSubject: MARQUEUR\r\n\r\nMARQUEUR", DPI)
        post(mails, b"Message-ID: <2@x>\r\nSubject: XDM/1.0/DDM+MARQUEUR\r\n\r\nMARQUEUR", DPI)
        await arrived(mails, DPI, 2)
        (taken,) = (await emptied(office, mails, 1, DPI)).messages
        with pytest.raises(MessageError) as refusal:
            Mdm(MdmSettings())(taken, context())
        told += [str(refusal.value), repr(taken)]
        Mdm(MdmSettings())(replace(taken, body=b"Subject: MARQUEUR\n\nMARQUEUR", _views={}), context())
    assert logs
    everything = " ".join([*told, repr(logs)])
    assert [mark for mark in MARKS if mark in everything] == []
