"""Who asks and who gets the document (PRT), in every shape that the versions of the volet have.

Source: ANS volet "Transmission de documents CDA en HL7v2" 1.2 to 2.1; HL7 v2.9 PRT; French constraints on XCN and XON.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.er7 import Er7, Segment
from transforms.identifiers import luhn
from transforms.submission.authorities import is_oid
from transforms.submission.model import Organization, Person, Recipient, RecipientKind, Sender
from transforms.submission.notes import Notes

PATIENTS = "@patient.mssante.fr"
PROFESSIONALS, STRUCTURES = "1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"
_ROLES = {"SB": "SB", "RCT": "RCT", "REPLY": "REPLY"}
_FINESS = frozenset({"FINEG", "FINEJ", "FINESS"})
_LENGTHS = {"RPPS": (11, "8"), "ADELI": (9, "0")}


@dataclass(frozen=True, slots=True)
class Participants:
    """sender_place: of the PRT ``SB``, ``""`` when there is none. reply_to: address."""

    sender: Sender
    sender_place: str
    recipients: tuple[Recipient, ...]
    reply_to: str


def participants(parsed: Er7, notes: Notes) -> Participants:
    """The participations of a message."""
    sender, sender_place, reply_to = Sender(), "", ""
    recipients: list[Recipient] = []
    for number, prt in enumerate(parsed.all("PRT"), 1):
        place = f"PRT[{number}]" if number > 1 else "PRT"
        role, shift = _role(prt)
        if not role:
            notes.warn(f"{place}-4", "103", "a participation whose role is not SB, RCT or REPLY")
            continue
        if shift or prt.get("4.3").strip().lower() != "participation":
            notes.warn(f"{place}-4", "199", "a PRT of an older shape, or shifted", always=True)
        part = _Part(prt, shift, place, notes)
        if role == "SB":
            if sender_place:
                notes.warn(f"{place}-4", "198", "more than one sender (PRT SB): the first counts")
                continue
            sender, sender_place = Sender(part.person(), part.organization(), part.device()), place
        elif role == "RCT":
            recipients.append(part.recipient())
        elif not reply_to:
            reply_to = part.address()
    return Participants(sender, sender_place, tuple(recipients), reply_to)


def _role(prt: Segment) -> tuple[str, int]:
    """The role, and by how many fields the segment is shifted."""
    for shift in (0, -1, 1):
        role = _ROLES.get(prt.get(f"{4 + shift}.1").strip().upper())
        if role:
            return role, shift
    return "", 0


class _Part:
    """One PRT. shift: of all its fields."""

    def __init__(self, prt: Segment, shift: int, place: str, notes: Notes) -> None:
        self._prt, self._shift, self.place, self._notes = prt, shift, place, notes

    def _get(self, field: int, component: int, sub: int = 0) -> str:
        path = f"{field + self._shift}.{component}" + (f".{sub}" if sub else "")
        text = self._prt.get(path).strip()
        return "" if text == '""' else text

    def person(self) -> Person | None:
        """PRT-5."""
        number, kind = self._get(5, 1), self._get(5, 13).upper()
        family, given = self._get(5, 2), self._get(5, 3)
        if not (number or family):
            return None
        authority = self._authority(5, 9)
        length, digit = _LENGTHS.get(kind, (0, ""))
        if length and number.isdecimal() and len(number) in (length, length + 1):
            if len(number) == length + 1:
                self._notes.warn(f"{self.place}-5.13", "103", "an IDNPS number with another type", always=True)
            number, kind = (number if len(number) == length + 1 else digit + number), "IDNPS"
        if kind == "IDNPS" and number.startswith("8") and not (len(number) == 12 and luhn(number[1:])):
            self._notes.warn(f"{self.place}-5.1", "102", "a RPPS number whose key is wrong", always=True)
        return Person(number, family, given, authority or (PROFESSIONALS if kind == "IDNPS" else ""), kind)

    def organization(self) -> Organization | None:
        """PRT-8; a national number becomes a Struct_IdNat (``IDNST``)."""
        number, name, kind = self._get(8, 10), self._get(8, 1), self._get(8, 7).upper()
        if not (number or name):
            return None
        if kind in _FINESS and len(number) == 10 and number.isdecimal():
            self._notes.warn(f"{self.place}-8.10", "102", "a FINESS number of ten digits", always=True)
            number = number[1:] if number[0] == "1" else number
        digits = number[1:] if kind == "IDNST" and number.startswith("1") else number
        if kind in (*_FINESS, "IDNST") and len(digits) == 9 and digits.isdecimal() and not luhn(digits):
            self._notes.warn(f"{self.place}-8.10", "102", "a FINESS number whose key is wrong", always=True)
        found = Organization(number, name, self._authority(8, 6), kind)
        national = structure_id(found)
        return Organization(national, name, STRUCTURES, "IDNST") if national else found

    def _authority(self, field: int, component: int) -> str:
        """OID of an HD; some write it alone, as the whole component."""
        universal, name = self._get(field, component, 2), self._get(field, component, 1)
        return universal or (name if is_oid(name) else "")

    def device(self) -> str:
        """PRT-10.1."""
        return self._get(10, 1)

    def address(self) -> str:
        """PRT-15.4, or the component of PRT-15 or its neighbours that is an address."""
        found = self._get(15, 4)
        if "@" in found:
            return found
        for field in (15, 14, 16):
            for component in range(1, 13):
                text = self._get(field, component)
                if "@" in text:
                    self._notes.warn(f"{self.place}-15.4", "199", "an address that is misplaced", always=True)
                    return text
        return ""

    def recipient(self) -> Recipient:
        """One mailbox."""
        address = self.address()
        person, organization, device = self.person(), self.organization(), self.device()
        kind: RecipientKind = "professional"
        if address.lower().endswith(PATIENTS):
            kind = "patient"
        elif person is None:
            kind = "application" if device and organization is None else "organization"
        return Recipient(kind, address, person, organization, device, self.place)


def structure_id(organization: Organization) -> str:
    """Struct_IdNat of a structure (``1`` + FINESS, ``3`` + SIRET...), ``""`` when its number is local."""
    number, kind = organization.id, organization.kind
    if kind == "IDNST":
        return number
    if kind in _FINESS and len(number) == 9:
        return f"1{number}"
    if kind in ("SIREN", "SIRET") and number.isdecimal():
        return f"{2 if kind == 'SIREN' else 3}{number}"
    return number if not kind and organization.authority == STRUCTURES else ""
