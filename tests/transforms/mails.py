"""Requests and mails for the tests of MSSanté."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from channels.message import Message
from channels.pfi_settings import PfiOrganization, PfiSettings
from channels.ports import Context
from channels.site import Establishment, Site
from tests.transforms.test_xds import REPORT
from tests.transforms.test_xds import submission as plain
from transforms import submission as submissions
from transforms.mail import batch
from transforms.mail.compose import whole
from transforms.mail.model import Batch
from transforms.mail.settings import MailsSettings
from transforms.mail.steps import Mails
from transforms.submission import Document, Recipient, Request, Submission

NUMBER = str(etree.fromstring(REPORT).xpath("string(*[local-name()='id']/@root)"))
"""Identifier of the document."""
KEY = "00112233445566778899aabbccddeeff"
SENDER, DOCTOR, UNIT = "labo@chu.mssante.fr", "anne.durand@cabinet.mssante.fr", "urologie@chu.mssante.fr"
INS = "279035121518989"
PATIENT = f"{INS}@patient.mssante.fr"
AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SETTINGS = MailsSettings(sender=SENDER)
SITE = Site(
    site="chu-test",
    establishment=Establishment(name="CHU Test", finess="990000001"),
    timezone=ZoneInfo("Europe/Paris"),
    pfi=PfiSettings(organization=PfiOrganization(id="1990000001", name="CHU Test"), source_oid="1.2.250.1.999999.1.9"),
)
RECIPIENTS = (
    Recipient("professional", DOCTOR, place="PRT[2]"),
    Recipient("organization", UNIT, place="PRT[3]"),
    Recipient("patient", PATIENT, place="PRT[4]"),
)


def request(content: bytes = REPORT, **changes: Any) -> Submission:
    values: dict[str, Any] = {
        "request": Request(KEY, "1"),
        "documents": (Document(content, NUMBER, "11502-2", "Compte rendu d'examens biologiques"),),
        "recipients": RECIPIENTS,
        "wants_reception": True,
        "wants_reading": True,
        "closes_conversation": True,
    }
    return replace(plain(content), **(values | changes))


def context(site: Site = SITE) -> Context:
    return Context(site, "pfi", AT, lambda name: (_ for _ in ()).throw(KeyError(name)), "mssante")


def message(asked: Submission) -> Message:
    return Message(submissions.encode(asked), "submission", received=AT.timestamp(), id=7)


def made(asked: Submission, settings: MailsSettings = SETTINGS) -> Batch:
    found = Mails(settings)(message(asked), context())
    assert isinstance(found, Message), json.dumps(str(found))
    return batch.read(found)


def wholes(asked: Submission, settings: MailsSettings = SETTINGS) -> list[bytes]:
    found = made(asked, settings)
    return [whole(found, one) for one in found.mails if not one.code]


GOLDEN = Path(__file__).parent / "golden" / "mssante.mails"
