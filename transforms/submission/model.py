"""A request to publish or send documents, with no format: readers of requests give it, connectors carry it out.

Texts are as the request has them, unescaped; ``""`` means that the request does not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["create", "replace", "delete"]
RecipientKind = Literal["professional", "organization", "application", "patient"]


@dataclass(frozen=True, slots=True)
class Person:
    """A professional (XCN). id: PS_IdNat (kind ``IDNPS``), or local; authority: OID of the id; kind: PRT-5.13."""

    id: str
    family: str = ""
    given: str = ""
    authority: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Organization:
    """A structure (XON). id: Struct_IdNat (kind ``IDNST``), or local; authority: OID of the id; kind: PRT-8.7."""

    id: str
    name: str = ""
    authority: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who asks (PRT ``SB``): author of the lot, subject of the VIHF. device: PRT-10.1."""

    person: Person | None = None
    organization: Organization | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One mailbox (PRT ``RCT``). address: PRT-15.4. place: of the PRT in the request, ``PRT[2]``."""

    kind: RecipientKind
    address: str
    person: Person | None = None
    organization: Organization | None = None
    device: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom the documents are about.

    ins: 15 characters, ``""`` unless the identity is qualified and the key right. ins_oid: its authority.
    local_id, local_oid: number of the establishment (IPP) and its OID; what names its authority (CX-4) when neither
    the message nor the site says an OID. birth_date: ``YYYYMMDD``.
    sex: ``M``, ``F``, ``U``. birth_place: INSEE code. Names are birth names.
    """

    ins: str = ""
    ins_oid: str = ""
    local_id: str = ""
    local_oid: str = ""
    family: str = ""
    given: str = ""
    birth_given_names: str = ""
    used_family: str = ""
    used_given: str = ""
    birth_date: str = ""
    sex: str = ""
    birth_place: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One CDA document, byte for byte as it was handed in.

    unique_id: CDA ``id`` (``root``, or ``root^extension``). replaces: unique id of the version before.
    code, label, code_system: type (LOINC code, or TRE_A05; code_system is the OID). level: CDA level, 1 or 3.
    set_id: ``setId/@root`` (and ``^extension``), ``""`` when it has none. confidentiality: ``N``, ``R``, ``V`` as the
    document says. place: of its bytes in the request, ``OBX-5.5``.
    """

    content: bytes
    unique_id: str
    code: str
    label: str = ""
    code_system: str = "2.16.840.1.113883.6.1"
    level: Literal[1, 3] = 3
    replaces: str = ""
    set_id: str = ""
    confidentiality: str = "N"
    place: str = ""


@dataclass(frozen=True, slots=True)
class Visibility:
    """Flags of the request (meta OBX). changed: this version changes nothing but visibility (``MODIF_CONF_CODE``)."""

    masked_professionals: bool = False
    hidden_patient: bool = False
    hidden_representatives: bool = False
    secret_connection: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """The message that asks, as its answers need it (ZAM).

    key: names the request everywhere in the engine (32 hexadecimal digits: sender, control id and body hashed).
    profile: ``2.1``, ``2.0``, ``1.2`` of the volet, ``""`` for a request of our own (from a report).
    kind: ``ORU^R01``, ``MDM^T02``... time: MSH-7 as written.
    """

    key: str
    control_id: str
    kind: str = ""
    profile: str = "2.1"
    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing_id: str = "P"
    time: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is asked: these documents, to the DMP, to these mailboxes.

    visit_class: PV1-2. reply_to: PRT ``REPLY``. wants_reception, wants_reading: business acknowledgements asked for.
    mail_professional, mail_patient: text of the mails, ``""``: the default. closes_conversation: the patient cannot
    answer (NTE-4 ``FIN``). order_ids: placer and filler numbers, ``(type, value, OID)`` for referenceIdList.
    lot: identifiers of documents that form one lot, a hint of profile 1.2 (``COMP_LOT``).
    """

    request: Request
    action: Action
    patient: Patient
    documents: tuple[Document, ...]
    sender: Sender = Sender()
    visit_class: str = ""
    visit_id: str = ""
    visibility: Visibility = Visibility()
    to_dmp: bool = False
    recipients: tuple[Recipient, ...] = ()
    reply_to: str = ""
    wants_reception: bool = False
    wants_reading: bool = False
    mail_professional: str = ""
    mail_patient: str = ""
    closes_conversation: bool = False
    order_ids: tuple[tuple[str, str, str], ...] = ()
    lot: tuple[str, ...] = ()
