"""What INSi answers: results and faults, read by the names of elements whatever their order, and checked.

Source: INSi, ``RESULTAT`` (CR, INDIVIDU: INSACTIF, TIQ), ``IndividuVerifie``; SOAP 1.2 faults, ``siram:Erreur``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from lxml import etree

from channels.errors import ConfigError
from connectors.insi.assertion import Element
from connectors.insi.requests import SOAP
from connectors.insi.traits import Traits, commune, given_names, in_alphabet
from connectors.shared.code_table import COLUMNS, code_rows
from transforms.ins import ins_key_is_right, ins_kind

FaultAction = Literal["retry", "refuse", "message"]
"""retry: theirs, later. refuse: ours, of this site or product. message: ours, of this message."""
_CODE = re.compile(r"[A-Za-z]{1,15}[_.:-][A-Za-z0-9]{1,8}|[0-9]{2,4}")
_SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"


class Broken(Exception):
    """The answer is not one, or says what cannot be. The text says the rule, and no value."""


class Fault(Exception):  # SOAP's own word
    """A SOAP fault. codes: functional ones, the most precise first; sender: it says that the request is at fault."""

    def __init__(self, codes: tuple[str, ...], *, sender: bool) -> None:
        self.codes, self.sender = codes, sender
        super().__init__("SOAP fault")


@dataclass(frozen=True, slots=True)
class Individual:
    """An identity as INSi knows it: the INS in use (15 characters), its OID, its traits."""

    number: str
    oid: str
    traits: Traits

    def __repr__(self) -> str:
        """Nothing of the person."""
        return "<Individual>"


@dataclass(frozen=True, slots=True)
class Answer:
    """code: ``00`` one, ``01`` none, ``02`` several. individual: with ``00`` only."""

    code: str
    individual: Individual | None = None


def body_of(data: bytes) -> Element:
    """What stands in the body of an answer. Raises Fault, or Broken when it is no SOAP envelope."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError):
        raise Broken("the answer is no XML") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Broken("the answer has a DTD")
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace not in (SOAP, _SOAP_1_1):
        raise Broken("the answer is no SOAP envelope")
    body = root.find(f"{{{name.namespace}}}Body")
    first = next((one for one in body.iterchildren(etree.Element)), None) if body is not None else None
    if first is None:
        raise Broken("the answer is empty")
    if etree.QName(first).namespace == name.namespace and _local(first) == "Fault":
        raise _fault(first)
    return first


def read_search(element: Element, domain: str) -> Answer:
    """The answer to a search. domain: ``production`` or ``test``; an INS of the other one is no answer.

    Raises:
        Broken: a rule that the answer breaks.
    """
    code = _text(element, "CodeCR")
    if code not in ("00", "01", "02"):
        raise Broken("the answer has no code that is known (CodeCR)")
    if code != "00":
        return Answer(code)
    person = _one(element, "INDIVIDU")
    if person is None:
        raise Broken("an identity was found, and is not there (INDIVIDU)")
    active, traits = _one(person, "INSACTIF"), _one(person, "TIQ")
    if active is None or traits is None:
        raise Broken("the identity has no INS or no traits (INSACTIF, TIQ)")
    found = Individual(
        _text(active, "NumIdentifiant") + _text(active, "Cle").zfill(2), _text(active, "OID"), _read_traits(traits)
    )
    if not ins_key_is_right(found.number):
        raise Broken("the key of the INS is wrong")
    if not ins_kind(found.oid, domain):
        raise Broken("the INS is of another domain (OID) than `ins_domain` of site.yaml")
    if not found.traits.complete or not found.traits.birth_place:
        raise Broken("the identity lacks a trait")
    return Answer(code, found)


def read_verification(element: Element) -> bool:
    """The answer to a verification. Raises Broken."""
    if _text(element, "CodeCR") not in ("", "00"):
        raise Broken("the verification has a code that is not known (CodeCR)")
    leaves = [one for one in element.iter(etree.Element) if not len(one)]
    said = {(one.text or "").strip().lower() for one in leaves} & {"true", "false"}
    if len(said) == 1:
        return said == {"true"}
    raise Broken("the verification says neither yes nor no")


def _read_traits(element: Element) -> Traits:
    given = given_names(_text(element, "ListePrenom") or _text(element, "Prenom"))
    sex = _text(element, "Sexe").upper()
    return Traits(
        in_alphabet(_text(element, "NomNaissance")),
        given,
        sex if sex in ("M", "F") else "",
        _text(element, "DateNaissance"),
        commune(_text(element, "LieuNaissance")),
    )


def _fault(element: Element) -> Fault:
    values: list[str] = []
    details: list[str] = []
    for one in element.iter(etree.Element):
        name, text = _local(one), (one.text or "").strip()
        if name in ("Value", "faultcode"):
            values.append(text.rpartition(":")[2])
        if name == "Erreur":
            details += [str(one.get("code") or ""), *(_text(one, "code"), _text(one, "Code"))]
    codes = tuple(code for code in (*details, *reversed(values[1:])) if _CODE.fullmatch(code))
    return Fault(codes, sender=values[:1] in (["Sender"], ["Client"]))


class FaultTable:
    """Codes of faults and what to do. One that it lacks follows SOAP: the sender's fault, or theirs."""

    def __init__(self, rules: Mapping[str, FaultAction]) -> None:
        self._rules = rules

    def decide(self, fault: Fault) -> tuple[FaultAction, str]:
        """What to do, and the code that says so."""
        for code in fault.codes:
            if code in self._rules:
                return self._rules[code], code
        code = fault.codes[0] if fault.codes else ("Sender" if fault.sender else "Receiver")
        return ("refuse" if fault.sender else "retry"), code


def fault_table(site: Path | None) -> FaultTable:
    """The built-in table, with the rows of a file of the site over it. Raises ConfigError."""
    rules: dict[str, FaultAction] = {}
    for place, row in code_rows("connectors.insi", "fault-codes.csv", site, "faults"):
        if len(row) != len(COLUMNS) or not _CODE.fullmatch(row[0]) or row[1] not in get_args(FaultAction):
            choices = ", ".join(get_args(FaultAction))
            raise ConfigError(f"{place}: a row has a code, an action among {choices}, a label")
        rules[row[0]] = cast("FaultAction", row[1])
    return FaultTable(rules)


def _local(element: Element) -> str:
    return etree.QName(element).localname


def _all(element: Element, name: str) -> list[Element]:
    """Elements of this local name, in whatever namespace; the element itself among them."""
    return [one for one in element.iter(etree.Element) if _local(one) == name]


def _one(element: Element, name: str) -> Element | None:
    return next(iter(_all(element, name)), None)


def _text(element: Element, name: str) -> str:
    """Text of the first element of this name; of all of them, for a name that repeats in a list of given names."""
    found = _all(element, name)
    if name == "Prenom":
        return " ".join((one.text or "").strip() for one in found)
    return (found[0].text or "").strip() if found else ""
