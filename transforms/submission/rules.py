"""What a request may ask: destinations against visibility and recipients, and what the DMP takes.

Source: ANS volet "Transmission de documents CDA en HL7v2" 2.1 (MSSanté matrix); DMP: type codes (JDV_J66), identifiers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from functools import cache
from importlib import resources

from channels.errors import MessageError
from transforms.ins import ins_key_is_right
from transforms.submission.flags import Flags
from transforms.submission.model import Document, Patient, Recipient, Sender
from transforms.submission.notes import Notes
from transforms.submission.participants import Participants, structure_id

_MATRIX = (
    {"PS": True, "PAT": True, "MASQUE_PS": False, "INVISIBLE_PATIENT": False, "INVISIBLE_REP_LEGAUX": False},
    {"PS": True, "PAT": False, "MASQUE_PS": False, "INVISIBLE_PATIENT": True, "INVISIBLE_REP_LEGAUX": False},
    {"PS": False, "PAT": True, "INVISIBLE_PATIENT": False, "CONNEXION_SECRETE": False, "DESTDMP": False},
)
_UNIQUE_ID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")
_LONGEST_ID = 64
_NUMBER = re.compile(r"[0-9A-Za-z][0-9A-Za-z/._-]{2,59}")
RESTRICTED = frozenset({"R", "V"})


@cache
def dmp_types() -> frozenset[str]:
    """Type codes that the DMP takes. Source and limits: ``data/NOTICE.txt``."""
    text = resources.files("transforms.submission").joinpath("data", "dmp_types.csv").read_text("utf-8")
    return frozenset(row["code"] for row in csv.DictReader(text.splitlines()))


def mailed(flags: Flags, found: Participants, patient: Patient, notes: Notes) -> tuple[Recipient, ...]:
    """The mailboxes that get the document: those of PRT ``RCT`` whose kind has its flag.

    Raises:
        MessageError: the patient would get what is hidden from them (207), has no qualified INS (207), or the address
            is another patient's (904); a mail is asked for, and there is no address for it (101).
    """
    _matrix(flags, notes)
    if flags["DESTMSSANTEPAT"] and not patient.ins:
        raise MessageError("a patient without qualified INS has no mailbox", flags.place("DESTMSSANTEPAT"), "207")
    kept: list[Recipient] = []
    for one in found.recipients:
        wanted = flags["DESTMSSANTEPAT" if one.kind == "patient" else "DESTMSSANTEPS"]
        if not wanted:
            notes.warn(one.place, "207", "a recipient whose flag is N: nothing is sent to it")
            continue
        if one.kind == "patient":
            _is_their_own(one, patient, notes)
        elif not one.address:
            if one.person is None or not one.person.id:
                raise MessageError("a recipient without address and without number", f"{one.place}-15.4", "101")
            notes.warn(f"{one.place}-15.4", "101", "a recipient without address: the directory is asked")
        if one.address and one.address.lower() in {other.address.lower() for other in kept}:
            notes.warn(f"{one.place}-15.4", "205", "a mailbox that is there twice gets one mail", always=True)
            continue
        kept.append(one)
    for flag, kinds in (("DESTMSSANTEPS", "professional organization application"), ("DESTMSSANTEPAT", "patient")):
        if flags[flag] and not any(one.kind in kinds.split() for one in kept):
            raise MessageError("a mail is asked for, and no PRT has an address for it", flags.place(flag), "101")
    return tuple(kept)


def _matrix(flags: Flags, notes: Notes) -> None:
    to_professionals, to_patient = flags["DESTMSSANTEPS"], flags["DESTMSSANTEPAT"]
    if to_patient and flags["INVISIBLE_PATIENT"]:
        place = flags.place("DESTMSSANTEPAT")
        raise MessageError("the patient would be mailed a document that is hidden from them", place, "207")
    if not (to_professionals or to_patient):
        return
    asked = {**flags.values, "PS": to_professionals, "PAT": to_patient}
    if not any(all(asked.get(name, False) == value for name, value in row.items()) for row in _MATRIX):
        notes.warn(flags.place("INVISIBLE_PATIENT"), "207", "the flags are not a combination of the MSSanté matrix")


def _is_their_own(one: Recipient, patient: Patient, notes: Notes) -> None:
    """A patient's mailbox is named by their INS."""
    local = one.address.partition("@")[0].upper()
    number = one.person.id.upper() if one.person else ""
    if local == patient.ins and number in ("", patient.ins):
        return
    if any(text != patient.ins and ins_key_is_right(text) for text in (local, number)):
        raise MessageError("the address is another patient's", f"{one.place}-15.4", "904")
    notes.warn(f"{one.place}-15.4", "207", "the patient's address is not made of their INS")


def guard_dmp(
    documents: Collection[Document],
    patient: Patient,
    sender: Sender,
    types: Collection[str],
    *,
    sender_place: str = "PRT",
    type_place: str = "OBX-3",
) -> MessageError | None:
    """Why the DMP may not be fed with these documents; None when it may.

    types: those that it takes.
    """
    if not patient.ins:
        return MessageError("the DMP takes no document of a patient without a qualified INS", "PID-3", "207")
    for one in documents:
        if one.code not in types:
            return MessageError("the type of the document is not one that the DMP takes", type_place, "103")
        if "^" in one.unique_id or (one.replaces and "^" in one.replaces):
            return MessageError("the DMP takes no document number with an extension", one.place, "102")
        if not is_unique_id(one.unique_id):
            return MessageError("the number of the document is not an OID of at most 64 characters", one.place, "102")
    if sender.organization is None or not structure_id(sender.organization):
        return MessageError("the sender's structure (FINESS) is needed to feed the DMP", f"{sender_place}-8", "101")
    person = sender.person
    if not sender.device and (person is None or not person.id):
        return MessageError("the sender's national number is needed to feed the DMP", f"{sender_place}-5", "101")
    if person is not None and person.id and not _NUMBER.fullmatch(person.id):
        return MessageError("the sender's number cannot be one", f"{sender_place}-5.1", "102")
    return None


def is_unique_id(text: str) -> bool:
    """Whether the DMP takes a document number: an OID of at most 64 characters."""
    return len(text) <= _LONGEST_ID and _UNIQUE_ID.fullmatch(text) is not None
