"""Mails of requests: headers, texts, attachments, who gets none; the same bytes at every try."""

import email
import io
import re
import zipfile
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.errors import MessageError, ParseError
from channels.message import Message
from channels.testing import NOON
from tests.transforms.mails import (
    DOCTOR,
    GOLDEN,
    KEY,
    PATIENT,
    SENDER,
    SETTINGS,
    SITE,
    context,
    made,
    message,
    request,
    wholes,
)
from tests.transforms.test_xds import REPORT
from transforms import xdm
from transforms.mail import batch
from transforms.mail.compose import Office, compose, whole
from transforms.mail.copies import Copy, copies
from transforms.mail.model import Batch, Outgoing
from transforms.mail.names import checked_address, file_name, one_line
from transforms.mail.read import read
from transforms.mail.steps import Mails
from transforms.submission import Document, Patient, Recipient, Visibility


def parsed(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=policy.SMTP)
    assert isinstance(found, EmailMessage)
    return found


def test_a_mail_to_a_professional_has_every_header() -> None:
    mail = parsed(wholes(request(reply_to="secretariat@chu.mssante.fr"))[0])
    assert mail["From"] == SENDER
    assert mail["Sender"] is None
    assert mail["To"] == DOCTOR
    assert mail["Reply-To"] == "secretariat@chu.mssante.fr"
    assert mail["Subject"] == "XDM/1.0/DDM+Compte rendu d'examens biologiques FICTIVE RUTH 28/03/1979"
    assert mail["Message-ID"] == f"<{KEY}.1@chu.mssante.fr>"
    assert mail["Date"] == "Tue, 10 Mar 2026 13:00:00 +0100"
    assert mail["Disposition-Notification-To"] == f"<{SENDER}>"
    assert (mail["X-MSS-CODECDA"], mail["X-MSS-INS"], mail["X-MSS-NIL"]) == ("11502-2", "O", "Vaguemestre 1.0")
    assert mail["X-MSS-MES"] is None
    assert [part.get_content_type() for part in mail.iter_parts()] == [
        "text/plain",
        "application/zip",
        "application/pdf",
    ]


def test_the_patient_cannot_answer_when_the_request_says_so() -> None:
    closed, opened = (wholes(request(closes_conversation=one))[2] for one in (True, False))
    assert parsed(closed)["X-MSS-MES"] == "FIN"
    assert parsed(opened)["X-MSS-MES"] is None
    assert parsed(closed)["To"] == PATIENT


def test_the_pdf_is_that_of_the_document() -> None:
    mail = parsed(wholes(request())[0])
    *_, pdf = mail.iter_parts()
    name = pdf.get_filename()
    assert re.fullmatch(r"20\d{6}_Compte rendu d'examens biologiques_FICTIVE_RUTH\.pdf", name or "")
    assert pdf.get_param("name") == name
    (inside,) = copies(request().documents, context())
    assert pdf.get_content() == inside.content
    assert inside.content.startswith(b"%PDF-")


def test_the_archive_opens_and_holds_the_exact_document() -> None:
    _, zipped, _ = parsed(wholes(request())[0]).iter_parts()
    assert zipped.get_filename() == "IHE_XDM.zip"
    found = xdm.read(zipped.get_content(), strict=True)
    assert [one.content for one in found.documents] == [REPORT]
    assert zipfile.ZipFile(io.BytesIO(zipped.get_content())).testzip() is None


def test_the_same_request_gives_the_same_bytes() -> None:
    assert made(request()) == made(request())
    assert wholes(request()) == wholes(request())


def test_the_texts_of_the_request_come_first() -> None:
    asked = request(mail_professional="Cher confrère,\r\nvoici.", mail_patient="Bonjour Madame")
    first, _, last = (next(parsed(one).iter_parts()).get_content() for one in wholes(asked))
    assert (first.strip(), last.strip()) == ("Cher confrère,\r\nvoici.", "Bonjour Madame")


def test_a_text_holds_no_result_and_names_the_document() -> None:
    text = next(parsed(wholes(request())[0]).iter_parts()).get_content()
    assert "Compte rendu d'examens biologiques" in text
    assert "RUTH FICTIVE" in text
    assert "28/03/1979" in text
    assert "{" not in text


def test_a_replacement_says_so_and_names_what_it_replaces() -> None:
    old, new = Document(REPORT, "1.2.3.1", "11502-2"), Document(REPORT, "1.2.3.2", "11502-2", replaces="1.2.3.1")
    before = parsed(wholes(request(documents=(old,)))[0])
    after = parsed(wholes(request(action="replace", documents=(new,)))[0])
    assert after["Subject"].startswith("XDM/1.0/DDM+[Annule et remplace] ")
    assert "annule et remplace" in next(after.iter_parts()).get_content()
    lots = [xdm.read(list(one.iter_parts())[1].get_content()).lot for one in (before, after)]
    assert lots[0] is not None
    assert lots[1] is not None
    assert list(lots[1].replaces.values()) == [lots[0].entries[0].id]


def test_a_deletion_asks_to_delete_and_has_no_copy() -> None:
    mail = parsed(wholes(request(action="delete"))[0])
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "application/zip"]
    text, zipped = mail.iter_parts()
    assert "supprimer" in text.get_content()
    assert xdm.read(zipped.get_content()).deletes


@pytest.mark.parametrize(
    "one, changes, code",
    [
        (Recipient("professional", "anne@gmail.com"), {}, "553"),
        (Recipient("professional", "anne@mssante.fr.example.com"), {}, "553"),
        (Recipient("patient", "179035121518989@patient.mssante.fr"), {}, "553"),
        (Recipient("professional", "179035121518989@patient.mssante.fr"), {}, "553"),
        (Recipient("patient", "anne@cabinet.mssante.fr"), {}, "553"),
        (Recipient("patient", PATIENT), {"patient": Patient(family="A")}, "553"),
        (Recipient("patient", PATIENT), {"visibility": Visibility(hidden_patient=True)}, "541"),
    ],
)
def test_who_must_not_get_it_gets_nothing(one: Recipient, changes: dict[str, Any], code: str) -> None:
    asked = request(**changes)
    office = Office("CHU", "Vaguemestre", NOON)
    found = compose(replace(asked, recipients=(one,)), b"PK", [], SETTINGS, office)
    assert [(mail.code, mail.head) for mail in found.mails] == [(code, b"")]
    with pytest.raises(MessageError):
        whole(found, found.mails[0])


def test_an_address_cannot_add_a_header() -> None:
    for bad in ("a@b\r\nBcc: x@y.fr", "a b@chu.mssante.fr", "<a@chu.mssante.fr>", "a@@b", "", "a..b@chu.mssante.fr"):
        with pytest.raises(MessageError) as told:
            checked_address(bad, "PRT[2]-15.4")
        assert told.value.place == "PRT[2]-15.4"
        assert bad == "" or bad not in str(told.value)


def test_a_request_without_mailbox_gives_no_mail() -> None:
    assert Mails(SETTINGS)(message(request(recipients=())), context()) == []


def test_without_pfi_nobody_sends() -> None:
    with pytest.raises(MessageError):
        Mails(SETTINGS)(message(request()), context(SITE.model_copy(update={"pfi": None})))


def test_a_document_without_a_pdf_is_rendered() -> None:
    copy = rb"<component>\s*<section[^>]*>\s*<templateId root=\"1\.2\.250\.1\.213\.1\.1\.2\.243\".*?</section>\s*"
    without = re.compile(copy + rb"</component>", re.DOTALL).sub(b"", REPORT)
    assert without != REPORT
    (one,) = copies((Document(without, "1.2.3", "11502-2"),), context())
    assert one.content.startswith(b"%PDF-1.4")
    other = without.replace(b'code="11502-2"', b'code="34133-9"')
    (two,) = copies((Document(other, "1.2.3", "34133-9", "Synthèse"),), context())
    assert two.content.startswith(b"%PDF-1.4")
    assert copies((Document(other, "1.2.3", "34133-9"),), context())[0].content == two.content


def test_a_document_with_a_document_type_is_refused() -> None:
    with pytest.raises(ParseError):
        copies((Document(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "1", "1"),), context())


def test_a_batch_travels_as_a_body() -> None:
    one = made(request())
    assert batch.decode(batch.encode(one)) == one
    assert batch.read(Message(batch.encode(one), "mails")) == one
    for bad in (b"", b"{}", b"[]\n", b'{"mails": 1}\n', b'{"mails": [{"head": 1, "x": 2}]}\nA'):
        with pytest.raises(ParseError):
            batch.decode(bad)


def test_mails_are_as_they_were() -> None:
    """The heads, whole; the attachments are proved elsewhere."""
    for number, one in enumerate(made(request()).mails, 1):
        path = GOLDEN / f"mail_{number}.head.eml"
        assert one.head == path.read_bytes(), f"{path.name} has changed"


text = st.text(max_size=60)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@settings(deadline=None, max_examples=60)
@given(label=text, family=text, given=text, body=words, zipped=st.binary(max_size=400))
def test_what_is_built_is_read_back(label: str, family: str, given: str, body: str, zipped: bytes) -> None:
    asked = request(
        documents=(Document(b"<a/>", "1.2", "11502-2", label),),
        patient=Patient(family=family, given=given, birth_date="19790328"),
        mail_professional=body,
        recipients=(Recipient("professional", DOCTOR),),
    )
    office = Office("CHU", "Vaguemestre", NOON)
    found = compose(asked, zipped, [Copy(b"%PDF-1.4\n" + zipped, "20260310", label)], SETTINGS, office)
    raw = whole(found, found.mails[0])
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    mail = read(raw)
    assert mail.kind == "XDM"
    assert mail.subject == one_line(mail.subject)
    expected = one_line(
        f"XDM/1.0/DDM+{one_line(label) or 'Document médical'} {one_line(family).upper()} {one_line(given)} 28/03/1979"
    )
    assert mail.subject == expected
    assert mail.recipients == (DOCTOR,)
    assert [one.content for one in mail.attachments] == [zipped, b"%PDF-1.4\n" + zipped]
    shown = body or mail.text
    assert [line.rstrip() for line in mail.text.rstrip("\n").split("\n")] == [
        line.rstrip() for line in shown.rstrip("\n").split("\n")
    ]
    assert mail.problems == ()


@given(day=text, label=text, family=text, given=text)
def test_a_file_name_has_no_path_and_no_control(day: str, label: str, family: str, given: str) -> None:
    name = file_name("20260310", label, family, given)
    assert not re.search(r'[/\\:*?"<>|\x00-\x1f]', name)
    assert name.startswith("20260310")
    assert name.endswith(".pdf")
    assert len(name.encode()) < 500


def test_outgoing_values_are_plain() -> None:
    assert Batch("k", "a", wants_reception=False, mails=(Outgoing("mail 1", "b", "c"),), tail=b"").mails[0].head == b""
