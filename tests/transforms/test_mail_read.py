"""Mails as they come: reports in every form, hostile mails, answers to senders."""

import email
import random
from dataclasses import replace
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import MessageError
from channels.message import Message
from tests.transforms.mails import AT, DOCTOR, KEY, SENDER, context, request, wholes
from transforms import er7
from transforms.mail.answers import may_answer
from transforms.mail.read import read
from transforms.mail.reports import delivery_report, disposition
from transforms.mail.settings import MdmSettings, MdnSettings
from transforms.mail.steps import Mdm, Mdn

MARK = "MARQUEUR-SECRET"
OURS = "<00112233445566778899aabbccddeeff.1@chu.mssante.fr>"
RECEIVED = b"Return-Path: <labo@chu.mssante.fr>\r\n" + wholes(request())[0]
"""One of our own mails, as a colleague gets it."""
HOSPITAL = "dpi@hopital.mssante.fr"
MDN = Mdn(MdnSettings(sender=HOSPITAL))


def received(raw: bytes = RECEIVED, **attributes: str) -> Message:
    return Message(raw, "mail", kind="XDM", received=AT.timestamp(), id=9, attributes=attributes)


def report(kind: str, fields: str, subject: str = "Report", returned: str = OURS) -> bytes:
    return (
        f"From: MAILER-DAEMON@op.mssante.fr\nTo: {SENDER}\nSubject: {subject}\nMIME-Version: 1.0\n"
        f"Content-Type: multipart/report; report-type={kind.partition('/')[2]}; boundary=b\n\n--b\n\nwords\n--b\n"
        f"Content-Type: {kind}\n\n{fields}\n--b\nContent-Type: text/rfc822-headers\n\n"
        f"Message-ID: {returned}\nSubject: x\n\n--b--\n"
    ).encode()


# reports


def test_a_delivery_report_of_postfix_is_read() -> None:
    fields = (
        "Reporting-MTA: dns; op.mssante.fr\nOriginal-Envelope-Id: k.1@chu.mssante.fr\nX-Postfix-Queue-ID: 1\n\n"
        f"Final-Recipient: rfc822; {DOCTOR}\nOriginal-Recipient: rfc822;{DOCTOR}\nAction: failed\nStatus: 5.1.1\n"
        "Remote-MTA: dns; a\nDiagnostic-Code: smtp; 550 5.1.1 <a@b>: Recipient address\n    rejected: User unknown\n"
    )
    raw = report("message/delivery-status", fields)
    assert read(raw).kind == "DSN"
    found = delivery_report(raw)
    assert found is not None
    assert (found.envelope, found.returned) == ("k.1@chu.mssante.fr", OURS)
    (one,) = found.deliveries
    assert (one.address, one.action, one.status) == (DOCTOR, "failed", "5.1.1")
    assert one.diagnostic.startswith("smtp; 550 5.1.1")


def test_recipients_of_a_delivery_report_are_told_apart() -> None:
    groups = "".join(f"\nFinal-Recipient: rfc822;{one}@b.fr\nAction: {what}\nStatus: 2.0.0\n" for one, what in (
        ("a", "delivered"), ("c", "Delayed"), ("d", "relayed (to non-DSN)")))  # fmt: skip
    found = delivery_report(report("message/delivery-status", "Reporting-MTA: dns; x\n" + groups))
    assert found is not None
    assert [(one.address, one.action) for one in found.deliveries] == [
        ("a@b.fr", "delivered"), ("c@b.fr", "delayed"), ("d@b.fr", "relayed")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "said, more, subject, state, error, code",
    [
        ("manual-action/MDN-sent-manually; displayed", "", "Lu", "displayed", False, ""),
        ("automatic-action/MDN-sent-automatically;processed", "", "x", "processed", False, ""),
        ("automatic-action/MDN-sent-automatically; processed/Error: 904^INS différent", "", "x", "processed", True, "904"),  # noqa: E501
        ("automatic-action/MDN-sent-automatically; processed/error", "Error: 902 Patient inconnu\n", "x", "processed", True, "902"),  # noqa: E501
        ("Automatic-Action/MDN-sent-automatically;Processed/ERROR: 902^a^messageErrorCondition| E^b", "", "x", "processed", True, "902"),  # noqa: E501
        ("automatic-action/MDN-sent-automatically; processed", "", "[KO Intégration système !][903] XDM/1.0/DDM+x", "processed", True, "903"),  # noqa: E501
        ("manual-action/MDN-sent-manually; deleted", "", "x", "deleted", False, ""),
        ("automatic-action/MDN-sent-automatically; failed", "", "x", "failed", True, ""),
        ("nonsense", "", "x", "", False, ""),
    ],
)  # fmt: skip
def test_a_reading_report_is_read_in_every_form(
    said: str, more: str, subject: str, state: str, error: bool, code: str
) -> None:
    fields = f"Final-Recipient: rfc822;{DOCTOR}\nOriginal-Message-ID: {OURS}\nDisposition: {said}\n{more}"
    raw = report("message/disposition-notification", fields, subject)
    assert read(raw).kind == "MDN"
    found = disposition(raw)
    assert found is not None
    assert (found.original, found.recipient) == (OURS, DOCTOR)
    assert (found.state, found.error, found.code) == (state, error, code)
    assert found.manual == said.startswith("manual")


def test_a_report_about_nothing_is_nothing() -> None:
    assert delivery_report(b"Subject: x\n\nhello") is None
    assert disposition(b"Subject: x\n\nhello") is None
    assert disposition(report("message/delivery-status", "Action: failed\n")) is None


# hostile mails


def hostile() -> list[bytes]:
    """Fifty mails that nobody honest sends."""
    chance = random.Random(5)
    nested = "--b\nContent-Type: multipart/mixed; boundary=b\n\n"
    made = [
        b"", b"\n", b"\x00" * 1000, b"From", b":\n\n", b"Subject:\n x\n y\n", b"\xff\xfe" * 500,
        b"Subject: " + b"A" * 3_000_000 + b"\n\nx",
        b"To: " + b"a@b.fr, " * 50_000 + b"\n\nx",
        b"References: " + b"<a@b> " * 50_000 + b"\n\nx",
        b"X: y\n" * 100_000 + b"\nx",
        ("Content-Type: multipart/mixed; boundary=b\n\n" + nested * 3000).encode(),
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5000,
        b"Content-Type: multipart/mixed\n\nno boundary",
        b"Content-Type: multipart/mixed; boundary=\n\n--\n",
        b"Content-Type: text/plain; charset=klingon\n\nx",
        b'Content-Type: text/plain; charset="utf-8\0"\n\n\xff',
        b"Content-Type: text/plain; charset=utf-7\n\n+ADw-script+AD4-",
        b"Content-Type: text/plain; charset=idna\n\n" + b"a" * 70,
        b"Content-Type: text/plain; charset=hex\n\nzz",
        b"Content-Transfer-Encoding: base64\nContent-Type: application/zip; name=IHE_XDM.zip\n\n!!!!",
        b"Content-Transfer-Encoding: base64\nContent-Type: application/zip; name=IHE_XDM.zip\n\nA",
        b"Content-Transfer-Encoding: uuencode\nContent-Type: application/zip; name=IHE_XDM.zip\n\nbegin 644 x\n",
        b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\nM\n",
        b'Content-Type: application/zip; name="..\\..\\IHE_XDM.zip"\n\nPK',
        b'Content-Type: application/zip; name="../../etc/passwd"\n\nPK',
        b"Content-Disposition: attachment; filename*=utf-8''%FF%FE%00\n\nx",
        b"Content-Disposition: attachment; filename*0*=klingon''a; filename*9=b\n\nx",
        b"Subject: =?klingon?B?AAAA?=\n\nx", b"Subject: =?utf-8?B?!!!?=\n\nx", b"Subject: =?utf-8?Q?=0D=0ABcc:_x?=\n\nx",  # noqa: E501
        b"Message-ID: <a b>\nFrom: <>\nReturn-Path: <>\n\nx",
        b'From: "a" <a@b.fr>, <c@d.fr>\nFrom: e@f.fr\nSubject: XDM/1.0/DDM+x\n\nx',
        b"From: a@b.fr <script>\nReply-To: ((((((((\n\nx",
        b"Disposition-Notification-To: " + b"(" * 10_000 + b"\n\nx",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n\n\n\n--b--",  # noqa: E501
        b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\nContent-Type: message/disposition-notification\n\nDisposition\n--b--",  # noqa: E501
        b"Content-Type: multipart/report; report-type=x; boundary=b\n\n",
        b"Content-Type: message/rfc822\n\n" * 2000,
        RECEIVED[: len(RECEIVED) // 2], RECEIVED[:200], RECEIVED.replace(b"UEsDB", b"UEsDC"),
        RECEIVED.replace(b"base64", b"8bit"), RECEIVED.replace(b"\r\n", b"\r"),
    ]  # fmt: skip
    while len(made) < 60:
        broken = bytearray(RECEIVED)
        for _ in range(200):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        made.append(bytes(broken))
    return made


@pytest.mark.parametrize("number", range(60))
def test_a_hostile_mail_is_read_or_refused_by_name(number: int) -> None:
    raw = hostile()[number]
    mail = read(raw)
    read(raw, contents=False)
    delivery_report(raw)
    disposition(raw)
    assert "\n" not in mail.subject + mail.sender + mail.message_id
    assert all("/" not in one.name and "\\" not in one.name for one in mail.attachments)
    refusal = None
    try:
        Mdm(MdmSettings())(received(raw), context())
    except MessageError as error:
        refusal = error
    assert refusal is None or refusal.condition in {str(code) for code in range(900, 907)}
    for state in ("failed", "delivered"):
        MDN(received(raw, answer_state=state, answer_condition="903"), context())


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    read(raw)
    delivery_report(raw)
    disposition(raw)


# mails with documents


def test_a_mail_becomes_a_message_for_the_software() -> None:
    (made,) = Mdm(MdmSettings())(received(), context())
    parsed = er7.parse(made.body)
    assert made.kind == "MDM^T02"
    assert parsed.get("MSH-21.2") == "CISIS_CDA_HL7_LPS"
    assert parsed.get("OBX[2]-3.1") == OURS
    assert made.attributes["document"] == "1"


def test_reports_and_other_mails_are_no_documents() -> None:
    assert Mdm(MdmSettings())(received(b"Subject: hello\n\nworld"), context()) == []
    assert Mdm(MdmSettings())(received(report("message/delivery-status", "Action: failed\n")), context()) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: XDM/1.0/DDM+x\n\nnothing",
        RECEIVED.replace(b"UEsDB", b"UEsDC"),
        b"Content-Type: application/zip; name=ihe_xdm.ZIP\nContent-Transfer-Encoding: base64\n\nUEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==",  # noqa: E501
    ],
)
def test_what_cannot_be_opened_is_put_aside_with_a_code(raw: bytes) -> None:
    with pytest.raises(MessageError) as told:
        Mdm(MdmSettings())(received(raw), context())
    assert told.value.condition == "906"
    assert told.value.place


# answers


def mdn(raw: bytes = RECEIVED, step: Mdn = MDN, **attributes: str) -> EmailMessage | None:
    made = step(received(raw, **attributes), context())
    if not made:
        return None
    found = email.message_from_bytes(made[0].body, policy=policy.default)
    assert isinstance(found, EmailMessage)
    found["X-Envelope"] = made[0].attributes["mail_to"] + "|" + made[0].attributes["mail_from"]
    return found


def test_an_integration_is_told_in_a_report() -> None:
    found = mdn(answer_state="delivered")
    assert found is not None
    assert found.get_content_type() == "multipart/report"
    assert found.get_param("report-type") == "disposition-notification"
    assert found["Subject"] == read(RECEIVED).subject
    assert found["In-Reply-To"] == OURS
    assert found["X-Envelope"] == f"{SENDER}|"
    assert found["Auto-Submitted"] == "auto-replied"
    told = disposition(found.as_bytes())
    assert told is not None
    assert (told.original, told.recipient, told.state, told.error) == (OURS, HOSPITAL, "processed", False)


def test_a_refusal_is_told_with_its_code_in_both_forms() -> None:
    answer = "MSH|^~\\&|DPI|CH|V|CH|1||ACK^T02^ACK|1|P|2.6\rMSA|AE|1\rERR|||207^a|E|904^secret^applicationErrorCode\r"
    found = mdn(answer_state="refused", answer=answer)
    assert found is not None
    assert found["Subject"].startswith("[KO Intégration système !][904] XDM/1.0/DDM+")
    (status,) = [part for part in found.walk() if part.get_content_type() == "message/disposition-notification"]
    fields = str(status)
    assert "Disposition: automatic-action/MDN-sent-automatically; processed/Error: 904^" in fields
    assert "\nError: 904 " in fields
    assert "secret" not in found.as_string()
    names = [part.get_filename() for part in found.iter_attachments() if part.get_filename()]
    assert "IHE_XDM.zip" in names
    told = disposition(found.as_bytes())
    assert told is not None
    assert (told.error, told.code) == (True, "904")


def test_without_a_request_for_a_report_a_refusal_is_an_ordinary_mail() -> None:
    plain = b"\r\n".join(line for line in RECEIVED.split(b"\r\n") if not line.startswith(b"Disposition-Notification"))
    assert mdn(plain, answer_state="delivered") is None
    found = mdn(plain, answer_state="failed", answer_condition="903", answer_problem=MARK)
    assert found is not None
    assert found.get_content_type() == "multipart/mixed"
    assert "[903]" in found["Subject"]
    assert MARK not in found.as_string()
    to = mdn(plain, Mdn(MdnSettings(sender=HOSPITAL, errors_to="erreurs@chu.mssante.fr")), answer_state="failed")
    assert to is not None
    assert to["To"] == "erreurs@chu.mssante.fr"


@pytest.mark.parametrize(
    "raw",
    [
        RECEIVED.replace(b"Return-Path: <labo@", b"Return-Path: <other@"),
        b"Auto-Submitted: auto-generated\r\n" + RECEIVED,
        report("message/disposition-notification", "Disposition: a; processed\n"),
        RECEIVED.replace(b"labo@chu.mssante.fr", HOSPITAL.encode()),
        b"Subject: XDM/1.0/DDM+x\r\n\r\nno sender",
    ],
)
def test_loops_are_not_fed(raw: bytes) -> None:
    assert mdn(raw, answer_state="failed", answer_condition="903") is None


def test_our_own_answers_are_never_answered() -> None:
    made = MDN(received(answer_state="failed", answer_condition="903"), context())[0]
    assert not may_answer(read(made.body))
    assert MDN(received(answer_state="failed", answer_condition="903"), context())[0].body == made.body


def test_what_is_no_ending_is_not_told() -> None:
    assert mdn(answer_state="skipped") is None
    assert mdn(answer_state="filtered") is None
    assert MDN(replace(received(answer_state="delivered"), format="raw"), context()) == []
    assert KEY in OURS
