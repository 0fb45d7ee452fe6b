"""Settings of the steps ``mssante.mails``, ``mssante.mdm`` and ``mssante.mdn``; texts in French for their readers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from channels.fields import Settings, SizeBytes
from channels.pfi_settings import Mailbox
from transforms.mail.names import PREFIX
from transforms.submission.lps import LpsSettings
from transforms.xds import XdsSettings

_PROFESSIONAL = """\
Bonjour,

Veuillez trouver ci-joint le document « {label} » concernant {given} {family}, né(e) le {birth}.
Il est joint au format CDA (IHE_XDM.zip) et au format PDF.

{establishment}
"""
_PATIENT = """\
Bonjour,

{establishment} vous transmet le document « {label} » vous concernant. Il est joint à ce message au format PDF.
{closing}
"""
_CLOSING = "Ce message est envoyé automatiquement : il n'est pas possible d'y répondre."
_REPLACEMENT = "Ce document annule et remplace la version précédente, qui ne doit plus être utilisée.\n\n"
_DELETION = """\
Bonjour,

Le document « {label} » concernant {given} {family}, né(e) le {birth}, qui vous a été transmis précédemment, a été
annulé par son auteur. Merci de le supprimer de votre messagerie et du dossier du patient.

{establishment}
"""


def _subject(pattern: str) -> str:
    if not pattern.startswith(PREFIX):
        raise ValueError(f"a subject begins with {PREFIX}")
    return pattern


def _suffix(domain: str) -> str:
    return domain.lower().lstrip("@")


Domain = Annotated[str, Field(min_length=3), AfterValidator(_suffix)]


class MailTexts(Settings):
    """Texts of the mails; `{label}`, `{family}`, `{given}`, `{birth}`, `{establishment}` are replaced.

    What the request itself gives (CORPSMAIL_PS, CORPSMAIL_PATIENT) comes first.
    """

    professional: str = Field(_PROFESSIONAL, description="To professionals, organisations and applications.")
    patient: str = Field(_PATIENT, description="To the patient; `{closing}` too.")
    closing: str = Field(_CLOSING, description="`{closing}`, when the patient cannot answer.")
    replacement: str = Field(_REPLACEMENT, description="Before the text, when the document replaces another.")
    deletion: str = Field(_DELETION, description="Instead of the text, when the document is deleted.")


class MailsSettings(Settings):
    """Makes the mails of a request: one for each mailbox."""

    sender: Mailbox = Field(description="Our applicative mailbox: From, and sender of the envelope.")
    subject: Annotated[str, AfterValidator(_subject)] = Field(
        f"{PREFIX}{{mark}}{{label}} {{family}} {{given}} {{birth}}",
        description="Subject. `{mark}` is one of the two texts below, or nothing.",
    )
    replacement_mark: str = Field("[Annule et remplace] ", description="`{mark}` of a replacement.")
    deletion_mark: str = Field("[Annulation] ", description="`{mark}` of a deletion.")
    product: str = Field("", description="X-MSS-NIL; empty: product and version of `pfi` in `site.yaml`.")
    texts: MailTexts = MailTexts()
    domains: tuple[Domain, ...] = Field(
        ("mssante.fr",), description="Domains of MSSanté: a mailbox elsewhere gets nothing (553)."
    )
    patient_domain: Domain = Field("patient.mssante.fr", description="Domain of patients' mailboxes.")
    pdf: bool = Field(True, description="Attach the document as PDF too.")
    xds: XdsSettings = Field(XdsSettings(), description="Metadata of the archive, as for the DMP.")


class MdmSettings(LpsSettings):
    """Opens a mail with documents: one message (MDM) to the hospital's software for each document."""

    strict: bool = Field(
        False, description="true: hash or size that differ from the metadata refuse the document; false: a warning."
    )
    max_size: SizeBytes = Field(50_000_000, description="Size of the archive once inflated; a larger one is refused.")


class MdnSettings(Settings):
    """Answers the sender of a mail with documents: integrated, or why not."""

    sender: Mailbox = Field(description="Our applicative mailbox: From, and Final-Recipient.")
    success: bool = Field(True, description="Tell of an integration too, when the sender asked for a report.")
    errors_to: Mailbox | None = Field(
        None, description="Where a refusal goes when no report was asked for; absent: to the sender of the mail."
    )
    mark: str = Field(
        "[KO Intégration système !][{code}] ", description="Before the subject of a refusal; `{code}` is replaced."
    )
    return_path: Literal["empty", "sender"] = Field(
        "empty", description="Sender of the envelope: none, as RFC 8098 has it, or our mailbox for operators that ask."
    )
    reporting_ua: str = Field("", description="Reporting-UA; empty: our domain and product.")
