"""Who is in a report: the patient, professionals, organizations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transforms.report.values import Coding, Identifier, Moment

RPPS_ROOT = "1.2.250.1.71.4.2.1"
FINESS_ROOT = "1.2.250.1.71.4.2.2"


@dataclass(frozen=True, slots=True)
class Telecom:
    """A URI such as ``tel:0240000000``. use: CDA code (H, WP, MC) or ``""``."""

    uri: str
    use: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Either parts or lines. use: CDA code (H, TMP) or ``""``."""

    lines: tuple[str, ...] = ()
    street: str = ""
    more: str = ""
    postal_code: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    use: str = ""

    def shown(self) -> tuple[str, ...]:
        """Line by line, as printed."""
        town = " ".join(part for part in (self.postal_code, self.city) if part)
        return self.lines or tuple(part for part in (self.street, self.more, town, self.state, self.country) if part)


@dataclass(frozen=True, slots=True)
class Organization:
    """id: FINESS with its leading digit (``1`` + 9), or ``""``."""

    name: str
    id: str = ""
    address: Address | None = None
    telecom: Telecom | None = None
    practice_setting: str = ""
    accreditation: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A professional. id: national number with its leading digit (``8`` + RPPS), or ``""``."""

    family: str
    given: str = ""
    prefix: str = ""
    suffix: str = ""
    id: str = ""
    profession: Coding | None = None
    address: Address | None = None
    telecom: Telecom | None = None
    organization: Organization | None = None
    place: str = ""

    def shown(self) -> str:
        """``Dr Anne BIOLOGISTE``."""
        title = {"DR": "Dr", "PR": "Pr", "M": "M.", "MME": "Mme"}.get(self.suffix or self.prefix, "")
        return " ".join(part for part in (title, self.given, self.family) if part)


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Who made the tests."""

    organization: Organization
    director: Person
    facility_type: Coding | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """Who validated, and when if known."""

    person: Person
    time: Moment | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Someone close to the patient. kind: CDA class: ECON to call in an emergency, NOK trusted person, CON other."""

    person: Person
    kind: str
    relation: Coding | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Ins:
    """The national health identity, qualified."""

    number: str
    root: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """The patient. sex: M, F or UN; birth_place: COG code of the commune or country.

    birth_given_names: the whole list; given: the first of them.
    used_family, used_given: the names in use, when they are given.
    birth_order: of twins and more, digits. guardians: legal representatives.
    """

    family: str
    given: str
    birth_given_names: str
    sex: str
    birth_date: Moment
    ins: Ins | None = None
    ids: tuple[Identifier, ...] = ()
    used_family: str = ""
    used_given: str = ""
    birth_place: str = ""
    birth_city: str = ""
    multiple_birth: bool | None = None
    birth_order: str = ""
    guardians: tuple[Person, ...] = ()
    deceased: Moment | Literal["yes", "no"] | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    place: str = "PID"
