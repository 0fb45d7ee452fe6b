"""Mails of MSSanté, built and read: documents in an IHE_XDM.zip, delivery and reading reports. Pure; standard library.

Source: Référentiel socle MSSanté #2; REM of MSSanté; ANS CI-SIS, volets 2.1 and LPS 1.1; RFC 3464, 5322, 8098.
"""

from transforms.mail.batch import FORMAT
from transforms.mail.model import (
    Attached,
    Batch,
    Delivery,
    DeliveryReport,
    Disposition,
    Mail,
    MailKind,
    Outgoing,
)
from transforms.mail.steps import Mails, Mdm, Mdn

__all__ = [
    "FORMAT",
    "Attached",
    "Batch",
    "Delivery",
    "DeliveryReport",
    "Disposition",
    "Mail",
    "MailKind",
    "Mails",
    "Mdm",
    "Mdn",
    "Outgoing",
]
