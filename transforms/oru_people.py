"""Patient, stay, professionals and laboratories of an ORU.

Source: IHE PAM France 2.11 (PID, PV1), French constraints on data types 1.8.2 (CX, XPN, XCN, XAD, XTN); INS reference.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from channels.errors import MappingError, ProfileError
from transforms.ins import ins_key_is_right, ins_kind
from transforms.oru_lines import Line
from transforms.oru_rules import Rules, organization, required
from transforms.report import (
    RPPS_ROOT,
    Address,
    Coding,
    Encounter,
    Identifier,
    Ins,
    Laboratory,
    Moment,
    Patient,
    Person,
    Telecom,
)
from transforms.tables import value_set

_COG = re.compile(r"[0-9]{5}|2[AB][0-9]{3}")
_SAID = {"Y": True, "N": False}
_SEXES = {
    **dict.fromkeys(("F", "FEMALE", "FEMININ", "FÉMININ", "2"), "F"),
    **dict.fromkeys(("M", "MALE", "MASCULIN", "1"), "M"),
    **dict.fromkeys(("U", "O", "A", "N", "UN", "UNKNOWN", "OTHER"), "UN"),
}
_CLASSES = {
    "I": Coding("IMP", "Hospitalisation (établissement, y compris HAD)", "2.16.840.1.113883.5.4"),
    "E": Coding("EMER", "Passage aux urgences (établissement)", "2.16.840.1.113883.5.4"),
    "R": Coding("SEANCE", "Séance (établissement ou libéral)", "1.2.250.1.213.1.1.4.2.291"),
}
_OUTPATIENT = {
    "ETABLISSEMENT": Coding("EXTERNE", "Acte et consultation externe (établissement)", "1.2.250.1.213.1.1.4.2.291"),
    "AMBULATOIRE": Coding("AMB", "Ambulatoire (hors établissement)", "2.16.840.1.113883.5.4"),
}
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~@+")
_ADDRESS_USES = {"H": "H", "C": "TMP"}


def patient(pid: Line, rules: Rules) -> Patient:
    """The patient. The INS is taken only from a validated identity, in the site's domain, with the right key.

    A validated identity whose INS is faulty is refused, or loses it: ``laboratory.faulty_ins``.

    Raises:
        ProfileError: a mandatory trait lacks (PID-3, PID-5, PID-7, PID-8; with an INS also the birth place).
        MappingError: the sex is not of the table.
    """
    ins = _ins(pid, rules)
    birth, used = _names(pid)
    date = rules.when(pid.value(7), pid.at(7))
    if date is None:
        raise ProfileError("the birth date is required", pid.at(7))
    place = next(((one, number) for number, one in enumerate(pid.all(11), 1) if _cell(one, 7).upper() == "BDL"), None)
    county = _cell(place[0], 9) if place else ""
    found = Patient(
        *birth,
        sex=_sex(pid),
        birth_date=Moment(date.digits[:8], place=date.place),
        ins=ins,
        ids=_local_ids(pid, rules),
        used_family=used[0],
        used_given=used[1],
        birth_place=county,
        birth_city=_cell(place[0], 3) if place else "",
        multiple_birth=_SAID.get(pid.value(24).upper()),
        birth_order=pid.value(25) if pid.value(25).isdecimal() and pid.value(24).upper() != "N" else "",
        deceased=_deceased(pid, rules),
        addresses=tuple(filter(None, map(address, pid.all(11)))),
        telecoms=tuple(dict.fromkeys(filter(None, map(telecom, [*pid.all(13), *pid.all(14)])))),
        place=pid.place,
    )
    return _complete(found, pid, rules)


def _complete(found: Patient, pid: Line, rules: Rules) -> Patient:
    """The same patient, its INS removed if it is faulty and the site says to withhold such a one."""
    fault = _ins_fault(found, pid) if found.ins else None
    if fault and rules.laboratory.faulty_ins == "refuse":
        raise fault
    if fault:
        found = replace(found, ins=None)
    if not _COG.fullmatch(found.birth_place):
        found = replace(found, birth_place="")  # only with an INS must there be one
    if not found.ins and not found.ids:
        raise ProfileError("the patient has neither a local number (type PI) nor a qualified INS", pid.at(3))
    return found


def _ins_fault(found: Patient, pid: Line) -> ProfileError | None:
    """What forbids to send the INS of a validated identity: its key, or a trait that must go with it."""
    if found.ins and not ins_key_is_right(found.ins.number):
        return ProfileError("the INS of a validated identity has a wrong key", f"{found.ins.place}.1", "102")
    if not _COG.fullmatch(found.birth_place):
        return ProfileError("with an INS, the code of the birth place is required (BDL repetition, .9)", pid.at(11))
    if len(found.birth_date.digits) != len("YYYYMMDD") or found.sex == "UN" or not found.family or not found.given:
        return ProfileError("with an INS: birth name, first given name, birth date, and sex M or F", pid.at(5))
    return None


def _cell(parts: list[str], number: int) -> str:
    return parts[number - 1].strip() if number <= len(parts) else ""


def _ins(pid: Line, rules: Rules) -> Ins | None:
    if not any(_cell(one, 1).upper() == "VALI" for one in pid.all(32)):
        return None
    found: dict[str, Ins] = {}
    for number, parts in enumerate(pid.all(3), 1):
        if _cell(parts, 5).upper() != "INS" or not _cell(parts, 1):
            continue
        oid = _hd(pid, 3, number, 4)[1]
        kind = ins_kind(oid, rules.ins_domain)
        if not kind:
            continue
        found.setdefault(kind, Ins(_cell(parts, 1), oid, f"{pid.place}-3[{number}]"))
    return found.get("NIR") or found.get("NIA")


def _hd(line: Line, field: int, repetition: int, component: int) -> tuple[str, str]:
    """Name and universal id of an assigning authority."""
    subs = line.subs(field, component, repetition)
    return _cell(subs, 1), _cell(subs, 2)


def _local_ids(pid: Line, rules: Rules) -> tuple[Identifier, ...]:
    """Local numbers: repetitions of type PI; without any, those that have no type."""
    repetitions = list(enumerate(pid.all(3), 1))
    chosen = [one for one in repetitions if _cell(one[1], 5).upper() == "PI" and _cell(one[1], 1)]
    chosen = chosen or [one for one in repetitions if not _cell(one[1], 5) and _cell(one[1], 1)]
    found: dict[str, Identifier] = {}
    for number, parts in chosen:
        place = f"{pid.place}-3[{number}]"
        one = Identifier(_cell(parts, 1), rules.root(_hd(pid, 3, number, 4), "patient", f"{place}.4"), place)
        if found.setdefault(one.root, one).value != one.value:
            raise ProfileError(
                "two numbers of the patient in one numbering space (laboratory.authorities)", place, "204"
            )
    return tuple(found.values())


def _names(pid: Line) -> tuple[tuple[str, str, str], tuple[str, str]]:
    """Birth family name, first given name, all birth given names; names in use."""
    kinds: dict[str, list[str]] = {}
    for parts in pid.all(5):
        kind = _cell(parts, 7) or _cell(parts, 8)
        kinds.setdefault(kind.upper() if len(kind) == 1 else "", parts)
    legal = kinds.get("L") or kinds.get("") or kinds.get("M") or kinds.get("B")
    used = kinds.get("D")
    if legal is None and used is None:
        raise ProfileError("the patient's name is required", pid.at(5))
    own = used or []
    usual = (_cell(own, 1), _cell(own, 2))
    if legal is None:
        birth = ("", "", usual[1])
    else:
        given = _cell(legal, 2)
        birth = (_cell(legal, 1), given, _cell(legal, 3) or given)
    if not (birth[0] or usual[0]) or not birth[2]:
        raise ProfileError("family name and given name are required", pid.at(5))
    return birth, usual


def _sex(pid: Line) -> str:
    text = pid.value(8).upper()
    if not text:
        raise ProfileError("the sex is required", pid.at(8))
    if text not in _SEXES:
        raise MappingError("not a sex of HL7 table 0001", pid.at(8))
    return _SEXES[text]


def _deceased(pid: Line, rules: Rules) -> Moment | Literal["yes", "no"] | None:
    said: dict[str, Literal["yes", "no"]] = {"Y": "yes", "N": "no"}
    return rules.when(pid.value(29), pid.at(29)) or said.get(pid.value(30).upper())


def address(parts: list[str]) -> Address | None:
    """An XAD; None for the birth place, a bad address, or nothing."""
    kind = _cell(parts, 7).upper()
    if kind in ("BDL", "N", "BA"):
        return None
    more = ", ".join(part.strip() for part in _cell(parts, 2).split("^") if part.strip())
    street, city, state, code, country = (_cell(parts, number) for number in (1, 3, 4, 5, 6))
    if not any((street, more, city, state, code, country)):
        return None
    return Address((), street, more, code, city, state, country, _ADDRESS_USES.get(kind, ""))


def telecom(parts: list[str]) -> Telecom | None:
    """An XTN: mail in the fourth component, number in the twelfth, else where older senders write it."""
    mail = _cell(parts, 4)
    if "@" in mail:
        return Telecom(f"mailto:{_uri(mail)}")
    number = _cell(parts, 12) or _cell(parts, 1) or "".join(_cell(parts, part) for part in (5, 6, 7))
    bare = "".join(sign for sign in number if sign not in " .-/()")
    use = "MC" if _cell(parts, 3).upper() == "CP" else {"PRN": "H", "WPN": "WP"}.get(_cell(parts, 2).upper(), "")
    return Telecom(f"tel:{_uri(bare)}", use) if bare else None


def _uri(text: str) -> str:
    """Percent-encoded where a URI needs it."""
    return "".join(sign if sign in _SAFE else "".join(f"%{byte:02X}" for byte in sign.encode()) for sign in text)


def encounter(pv1: Line | None, rules: Rules, collected: Moment | None) -> Encounter:
    """The stay; without PV1-44 it begins with the sampling."""
    if pv1 is None:
        return Encounter(start=collected)
    kind = pv1.value(2).upper()
    code = _OUTPATIENT[rules.laboratory.practice_setting] if kind == "O" else _CLASSES.get(kind)
    number = pv1.value(19)
    identifier = Identifier(number, rules.root(_hd(pv1, 19, 1, 4), "visit", pv1.at(19)), pv1.at(19)) if number else None
    start = rules.when(pv1.value(44), pv1.at(44)) or collected
    end = rules.when(pv1.value(45), pv1.at(45))
    if start and end and end.digits <= start.digits:
        end = None
    return Encounter(identifier, code, start, end)


def professional(parts: list[str], authority: str, rules: Rules, place: str) -> Person | None:
    """An XCN: someone of the settings (by RPPS or alias), else as the message says; None when empty.

    authority: universal id of XCN-9. A number without a national authority is local: it is not carried.

    Raises:
        MappingError: someone without a name, whom the settings do not know.
    """
    number, family, given = _cell(parts, 1), _cell(parts, 2), _cell(parts, 3)
    if not number and not family:
        return None
    known = rules.biologist(number) if number else None
    if known:
        return rules.professional(known)
    if not family:
        raise MappingError("a person without a name, whom laboratory.biologists does not know", place)
    kind = _cell(parts, 13).upper()
    national = authority == RPPS_ROOT or kind in ("RPPS", "IDNPS", "ADELI")
    prefix, suffix = titles(_cell(parts, 6))
    return Person(family, given, prefix, suffix, _national(number, kind) if national else "", place=place)


def _national(number: str, kind: str) -> str:
    """With its leading digit: 8 before an RPPS (11 digits), 0 before an ADELI (9)."""
    if not number.isalnum():
        return ""
    if len(number) == 11 and kind != "IDNPS":
        return f"8{number}"
    return f"0{number}" if len(number) == 9 else number


def titles(text: str) -> tuple[str, str]:
    """Civility (``M``, ``MME``) and title (``DR``, ``PR``) of a prefix."""
    bare = text.upper().rstrip(".")
    if bare in ("M", "MR", "MONSIEUR"):
        return "M", ""
    if bare in ("MME", "MLLE", "MADAME"):
        return "MME", ""
    return "", {"DR": "DR", "DOCTEUR": "DR", "PR": "PR", "PROFESSEUR": "PR"}.get(bare, "")


def people(line: Line, field: int, rules: Rules) -> list[Person]:
    """Every repetition of an XCN field."""
    found = []
    for number, parts in enumerate(line.all(field), 1):
        place = f"{line.place}-{field}[{number}]" if number > 1 else line.at(field)
        one = professional(parts, _hd(line, field, number, 9)[1], rules, place)
        if one:
            found.append(one)
    return found


def responsible(line: Line, rules: Rules) -> Person | None:
    """The biologist of OBR-32 (NDL, whose first component is a CNN; or an XCN by senders that write one).

    Raises:
        MappingError: the biologist has no RPPS, in the message or in the settings.
        ProfileError: the profession is unknown and the site has no ``laboratory.profession``.
    """
    field = 32
    parts = line.parts(field)
    if not parts:
        return None
    subs = line.subs(field, 1)
    if len(subs) > 1:
        cells = [*subs[:3], "", "", _cell(subs, 6), "", "", "", "", "", "", ""]
        found = professional(cells, RPPS_ROOT if _is_rpps(subs) else "", rules, line.at(field))
    else:
        kind = _cell(parts, 13).upper()
        national = _hd(line, field, 1, 9)[1] == RPPS_ROOT or kind in ("RPPS", "IDNPS")
        found = professional(parts, RPPS_ROOT if national else "", rules, line.at(field))
    if found is None or found.profession:
        return found
    if not found.id:
        raise MappingError(
            "the biologist has no RPPS number, and laboratory.biologists does not know this one", line.at(field)
        )
    profession = required(rules.laboratory.profession, "laboratory.profession", line.at(field))
    own = rules.own
    titles = (found.prefix, found.suffix, found.id, rules.profession(profession, "laboratory.profession"))
    return Person(found.family, found.given, *titles, own.address, own.telecom, own, found.place)


def _is_rpps(subs: list[str]) -> bool:
    """CNN: assigning authority in 9 (name) and 10 (universal id)."""
    return (
        _cell(subs, 10) == RPPS_ROOT
        or _cell(subs, 9).upper().startswith("ASIP-SANTE")
        or _cell(subs, 8).upper() == "RPPS"
    )


def own_laboratory(rules: Rules) -> Laboratory:
    """The laboratory of the settings, which signs."""
    settings = rules.laboratory
    director = required(settings.director, "laboratory.director")
    required(settings.address, "laboratory.address")
    required(settings.telecom, "laboratory.telecom")
    label = value_set("facility_types")[settings.facility_type]
    kind = Coding(settings.facility_type, label, "1.2.250.1.71.4.2.4")
    return Laboratory(rules.own, rules.professional(director), kind)


def other_laboratory(obx: Line, rules: Rules) -> Laboratory | None:
    """Who made the test when it is not the laboratory itself: OBX-23, else OBX-15.

    Raises:
        MappingError: a laboratory that the settings do not know.
    """
    for field, names in ((23, (1, 10, 3)), (15, (1, 2))):
        given = {obx.value(field, component) for component in names} - {""}
        if not given:
            continue
        settings = rules.laboratory
        if _named(given, settings.finess, settings.name, settings.aliases):
            return None
        for other in settings.subcontractors:
            if _named(given, other.finess, other.name, other.aliases):
                director = rules.professional(other.director)
                made = organization(other, other.practice_setting)
                at = (made.address, made.telecom, None, obx.at(field))
                titles = (director.prefix, director.suffix, director.id, director.profession)
                return Laboratory(made, Person(director.family, director.given, *titles, *at), place=obx.at(field))
        raise MappingError("a laboratory that is neither ours nor in laboratory.subcontractors", obx.at(field))
    return None


def _named(given: set[str], finess: str, name: str, aliases: tuple[str, ...]) -> bool:
    known = {finess, f"1{finess}", name.casefold(), *(one.casefold() for one in aliases)}
    return any(one in known or one.casefold() in known for one in given)
