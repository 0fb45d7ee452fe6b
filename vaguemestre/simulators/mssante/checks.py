"""What a mail of a PFI must be: every fault by its place and rule.

Source: Référentiel socle MSSanté #2; REM of MSSanté 2.1 (subject, patient, PDF), 2.2.6 (patient's address), 2.4
(headers); ANS CI-SIS volet 2.1; IHE ITI TF-2, 3.32 (XDM). Written apart from the connector's own code.
"""

from __future__ import annotations

import base64
import binascii
import email
import hashlib
import io
import re
import zipfile
from email import policy
from email.message import EmailMessage, MIMEPart

from lxml import etree

_PATIENTS = "patient.mssante.fr"
_RIM, _CDA = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0", "urn:hl7-org:v3"
_NS = {"r": _RIM, "c": _CDA}
_PATIENT_ID, _UNIQUE_ID = (
    "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446",
    "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab",
)
_DOCUMENT_PATIENT = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
_SUBJECT = re.compile(r"XDM/1\.0/DDM\+.+")
_FILE = re.compile(r"(\d{8}_)?[^_/\\]{1,40}(_[^_/\\]+)*\.pdf")
_NAMES = re.compile(r"[A-Z0-9_]{1,8}(\.[A-Z0-9]{1,3})?")


def faults(raw: bytes, sender: str, recipient: str) -> list[str]:
    """What is wrong with a mail that carries documents; sender, recipient: of the envelope."""
    mail = email.message_from_bytes(raw, policy=policy.default)
    if not isinstance(mail, EmailMessage):
        return ["mail: cannot be read"]
    found = [*_headers(mail, sender, recipient)]
    parts = list(mail.iter_parts()) if mail.get_content_type() == "multipart/mixed" else []
    if len(parts) < 2:
        return [*found, "Content-Type: multipart/mixed with a text, IHE_XDM.zip and a PDF"]
    if parts[0].get_content_type() not in ("text/plain", "multipart/alternative"):
        found.append("part 1: a text is expected")
    zipped = [one for one in parts if (one.get_filename() or "") == "IHE_XDM.zip"]
    if len(zipped) != 1 or zipped[0].get_content_type() != "application/zip":
        return [*found, "IHE_XDM.zip: exactly one, application/zip"]
    try:
        archive = zipfile.ZipFile(io.BytesIO(zipped[0].get_content()))
        files = {one.filename: archive.read(one) for one in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError):
        return [*found, "IHE_XDM.zip: cannot be opened"]
    found += _archive(files, recipient, mail)
    return found + _copies(parts, files)


def _headers(mail: EmailMessage, sender: str, recipient: str) -> list[str]:
    names = ("From", "To", "Subject", "Message-ID", "Date", "MIME-Version", "X-MSS-NIL", "X-MSS-INS")
    found = [f"{name}: exactly one" for name in names if len(mail.get_all(name, [])) != 1]
    if mail["Sender"]:
        found.append("Sender: absent")
    if str(mail["From"] or "").strip("<> ") != sender:
        found.append("From: the sender of the envelope")
    if recipient.lower() not in str(mail["To"] or "").lower():
        found.append("To: the recipient of the envelope")
    if not _SUBJECT.fullmatch(str(mail["Subject"] or "")):
        found.append("Subject: XDM/1.0/DDM+ and what follows")
    if mail["X-MSS-INS"] not in ("O", "N"):
        found.append("X-MSS-INS: O or N")
    codes = str(mail["X-MSS-CODECDA"] or "")
    if not re.fullmatch(r"[A-Za-z0-9-]+(,[A-Za-z0-9-]+)*", codes):
        found.append("X-MSS-CODECDA: codes of the documents")
    notify = str(mail["Disposition-Notification-To"] or "").strip("<> ")
    if notify and notify != sender:
        found.append("Disposition-Notification-To: the sender of the envelope")
    to_patient = recipient.lower().endswith(f"@{_PATIENTS}")
    if mail["X-MSS-MES"] and (mail["X-MSS-MES"] != "FIN" or not to_patient):
        found.append("X-MSS-MES: FIN, to patients only")
    if to_patient and mail["X-MSS-INS"] != "O":
        found.append("X-MSS-INS: a mail to a patient needs a qualified INS")
    return found


def _archive(files: dict[str, bytes], recipient: str, mail: EmailMessage) -> list[str]:
    found = [f"IHE_XDM.zip: {name} is missing" for name in ("README.TXT", "INDEX.HTM") if name not in files]
    if not all(_NAMES.fullmatch(one) for name in files for one in name.split("/")):
        found.append("IHE_XDM.zip: names are upper case, 8.3")
    place = "IHE_XDM/SUBSET01/METADATA.XML"
    if place not in files:
        return [*found, f"IHE_XDM.zip: {place} is missing"]
    try:
        metadata = etree.fromstring(files[place], etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return [*found, "METADATA.XML: not well formed"]
    if etree.QName(metadata).localname != "SubmitObjectsRequest":
        found.append("METADATA.XML: a SubmitObjectsRequest")
    patients = _values(metadata, _PATIENT_ID) | _values(metadata, _DOCUMENT_PATIENT)
    if len(patients) != 1:
        found.append("METADATA.XML: one patient in all patientId")
    if recipient.lower().endswith(f"@{_PATIENTS}") and {one.split("^")[0].lower() for one in patients} != {
        recipient.lower().split("@", maxsplit=1)[0]
    }:
        found.append("To: the patient of the documents")
    entries = metadata.findall(f".//{{{_RIM}}}ExtrinsicObject")
    used = set()
    for number, entry in enumerate(entries, 1):
        name = _slot(entry, "URI")
        content = files.get(f"IHE_XDM/SUBSET01/{name}")
        if content is None:
            found.append(f"METADATA.XML, entry {number}: URI names no file")
            continue
        used.add(name)
        found += _entry(entry, content, number, patients, mail)
    extra = {one.rpartition("/")[2] for one in files if one.startswith("IHE_XDM/SUBSET01/DOC")} - used
    return found + ["IHE_XDM.zip: a document that METADATA.XML does not name"] * bool(extra)


def _entry(entry: etree._Element, content: bytes, number: int, patients: set[str], mail: EmailMessage) -> list[str]:
    found, at = [], f"METADATA.XML, entry {number}"
    if _slot(entry, "hash").lower() != hashlib.sha1(content, usedforsecurity=False).hexdigest():
        found.append(f"{at}: hash")
    if _slot(entry, "size") != str(len(content)):
        found.append(f"{at}: size")
    try:
        document = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    except etree.XMLSyntaxError:
        return [*found, f"document {number}: not well formed"]
    if document.tag != f"{{{_CDA}}}ClinicalDocument":
        return [*found, f"document {number}: not CDA"]
    root, extension = (str(document.xpath(f"string(c:id/@{one})", namespaces=_NS)) for one in ("root", "extension"))
    if _values(entry, _UNIQUE_ID) != {f"{root}^{extension}" if extension else root}:
        found.append(f"{at}: uniqueId is not the document's")
    code = str(document.xpath("string(c:code/@code)", namespaces=_NS))
    if code not in str(mail["X-MSS-CODECDA"] or "").split(","):
        found.append("X-MSS-CODECDA: the code of each document")
    numbers = set(document.xpath("c:recordTarget/c:patientRole/c:id/@extension", namespaces=_NS))
    if not numbers & {one.split("^")[0] for one in patients}:
        found.append(f"document {number}: of another patient than METADATA.XML")
    return found


def _copies(parts: list[MIMEPart], files: dict[str, bytes]) -> list[str]:
    documents = [content for name, content in files.items() if re.fullmatch(r"IHE_XDM/SUBSET01/DOC\d+\.XML", name)]
    pdfs = [one for one in parts if one.get_content_type() == "application/pdf"]
    if documents and not pdfs:
        return ["PDF: a copy of the document is expected"]
    found = []
    for one in pdfs:
        if not _FILE.fullmatch(one.get_filename() or ""):
            found.append("PDF: name <date>_<type>_<NAME>_<given>.pdf")
        content = one.get_content()
        if not isinstance(content, bytes) or not content.startswith(b"%PDF-"):
            found.append("PDF: not one")
    held = [_body_pdf(one) for one in documents]
    if any(one and one not in [part.get_content() for part in pdfs] for one in held):
        found.append("PDF: identical to the one of the document of level 1")
    return found


def _body_pdf(content: bytes) -> bytes:
    """The PDF of a level 1 body; empty for another level."""
    try:
        document = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
        text = document.xpath("string(c:component/c:nonXMLBody/c:text)", namespaces=_NS)
        return base64.b64decode("".join(str(text).split()), validate=True)
    except (etree.XMLSyntaxError, binascii.Error):
        return b""


def _slot(entry: etree._Element, name: str) -> str:
    found = entry.xpath("string(r:Slot[@name=$name]/r:ValueList/r:Value)", namespaces=_NS, name=name)
    return str(found)


def _values(element: etree._Element, scheme: str) -> set[str]:
    found = element.xpath(".//r:ExternalIdentifier[@identificationScheme=$one]/@value", namespaces=_NS, one=scheme)
    return {str(one) for one in found}
