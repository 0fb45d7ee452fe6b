"""Invented people: patients with test INS numbers, doctors, and the places that a number of the French register names.

Source: RNIV (traits); IHE PAM France 2.11, PID; COG of INSEE (codes of communes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

TEST_INS = "ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO"
IPP_AUTHORITY = "CH-TESTVILLE&1.2.250.1.999999.1.1&ISO"

_FAMILIES = (
    "MODELE", "ESSAI", "TESTARD", "DEMOISEL", "FICTIF", "EXEMPLE", "INVENTE", "PATIENCE", "LESIMULE", "DUBANC",
    "D'ARTIFICE", "LE FACTICE", "SAINT-ESSAI", "DE LA MAQUETTE", "CALIBRE", "ETALON", "PROTOTYPE", "ECHANTILLON",
)  # fmt: skip
_WOMEN = (
    ("ALIX", "Alix"), ("ZOE", "Zoé"), ("ELOISE", "Éloïse"), ("ANAIS", "Anaïs"), ("MARIE-CECILE", "Marie-Cécile"),
    ("HELENE", "Hélène"), ("OLYMPE", "Olympe"), ("AGNES", "Agnès"), ("NOEMIE", "Noémie"), ("LAETITIA", "Lætitia"),
)  # fmt: skip
_MEN = (
    ("ANDRE", "André"), ("FRANCOIS", "François"), ("JEROME", "Jérôme"), ("LOIC", "Loïc"), ("GAEL", "Gaël"),
    ("ANTHELME", "Anthelme"), ("BENOIT", "Benoît"), ("REMI", "Rémi"), ("CESAR", "César"), ("NOEL", "Noël"),
)  # fmt: skip
_COMMUNES = (
    ("75056", "PARIS", "75013"), ("69123", "LYON", "69003"), ("13055", "MARSEILLE", "13005"),
    ("2A004", "AJACCIO", "20000"), ("2B033", "BASTIA", "20200"), ("59350", "LILLE", "59000"),
    ("29019", "BREST", "29200"), ("97411", "SAINT-DENIS", "97400"), ("67482", "STRASBOURG", "67000"),
    ("31555", "TOULOUSE", "31000"), ("99350", "", ""), ("99139", "", ""),
)  # fmt: skip
_STREETS = (
    "rue de l'Église", "allée des Hêtres", "impasse du Forçat", "avenue du Maréchal-Essai", "place de la Forêt",
    "rue du Cœur-Volant", "chemin de la Grève", "boulevard de l'Hôpital",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patient:
    """One invented patient.

    number: from 1, unique in one traffic. ipp: hospital number. ins: test INS with its key, 15 characters.
    status: PID-32. sends_ins: whether the GAP sends the INS; it should only when the status is VALI, and it errs.
    """

    number: int
    ipp: str
    ins: str
    status: str
    sends_ins: bool
    sex: str
    family: str
    given: str
    used_given: str
    used_family: str
    born: date
    birth_place: str
    address: str
    phone: str

    def pid(self, account: str = "", *, ins: bool = True) -> str:
        """The PID segment in the default delimiters."""
        identifiers = f"{self.ipp}^^^{IPP_AUTHORITY}^PI"
        if ins and self.sends_ins:
            identifiers += f"~{self.ins}^^^{TEST_INS}^INS"
        names = f"{self.family}^{self.given}^{self.given}^^{'Mme' if self.sex == 'F' else 'M.'}^^L"
        names += f"~{self.used_family}^{self.used_given}^^^^^D"
        account_id = f"{account}^^^CH-TESTVILLE^AN" if account else ""
        places = f"{self.address}^FRA^H~^^^^^^BDL^^{self.birth_place}"
        return (
            f"PID|1||{identifiers}||{names}||{self.born:%Y%m%d}|{self.sex}|||{places}||^PRN^CP^^^^^^^^^{self.phone}"
            f"|||||{account_id}||||||||||||||{self.status}"
        )


def ins_key(thirteen: str) -> str:
    """The two digits that follow the 13 of a French register number; Corsica counts as 19 and 18.

    Source: Référentiel INS; NIR of INSEE.
    """
    digits = thirteen.replace("2A", "19", 1) if thirteen[5:7] == "2A" else thirteen
    digits = digits.replace("2B", "18", 1) if digits[5:7] == "2B" else digits
    return f"{97 - int(digits) % 97:02}"


def patient(number: int, random: Random, today: date) -> Patient:
    """An invented patient: 7 in 10 have a qualified identity; 1 in 20 has an INS that should not be sent."""
    sex = random.choice("FM")
    given, used_given = random.choice(_WOMEN if sex == "F" else _MEN)
    family = random.choice(_FAMILIES)
    born = today - timedelta(days=random.randrange(30, 95 * 365))
    code, city, postcode = random.choice(_COMMUNES)
    status, sends_ins = random.choices(
        (("VALI", True), ("VALI", False), ("PROV", False), ("PROV", True), ("VIDE", False)), (70, 10, 10, 5, 5)
    )[0]
    return Patient(
        number=number,
        ipp=f"{700000 + number}",
        ins=_ins(sex, born, code, random.randrange(1, 1000)),
        status=status,
        sends_ins=sends_ins,
        sex=sex,
        family=family,
        given=given,
        used_given=used_given,
        used_family=f"{family}-{random.choice(_FAMILIES[:8])}" if random.random() < 0.2 else family,
        born=born,
        birth_place=code,
        address=f"{random.randrange(1, 200)} {random.choice(_STREETS)}^^{city or 'PARIS'}^^{postcode or '75013'}",
        phone=f"06{random.randrange(10**8):08}",
    )


def _ins(sex: str, born: date, commune: str, order: int) -> str:
    thirteen = f"{1 if sex == 'M' else 2}{born:%y%m}{commune}{order:03}"
    return thirteen + ins_key(thirteen)


@dataclass(frozen=True, slots=True)
class Doctor:
    """An invented doctor, known by an RPPS number."""

    rpps: str
    family: str
    given: str

    @property
    def xcn(self) -> str:
        """As an XCN, national number with its leading digit."""
        authority = "ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO"
        return f"8{self.rpps}^{self.family}^{self.given}^^^DR^^^{authority}^D^^^IDNPS"

    @property
    def ndl(self) -> str:
        """As the first component of an NDL (OBR-32)."""
        return f"8{self.rpps}&{self.family}&{self.given}&&&DR&&&ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO"


DOCTORS = (
    Doctor("01000000017", "MEDICO", "CAMILLE"),
    Doctor("01000000025", "PRATI", "SACHA"),
    Doctor("01000000033", "PIQUE", "ROBIN"),
)
BIOLOGIST = Doctor("01000000058", "DURAND", "ANNE")
