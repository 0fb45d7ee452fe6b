"""PID of a message for the hospital's software, from the patient of a CDA document; and whether the mail fits it.

Source: ANS volet "Transmission au LPS d'un document CDA provenant d'un courriel MSSanté" 1.1; IHE PAM France 2.11.
"""

from __future__ import annotations

from typing import Literal

from channels.errors import MessageError
from transforms.cda.reader_people import address as read_address
from transforms.cda.reader_xml import Element, child, children, text, value
from transforms.ins import ins_key_is_right, ins_kind
from transforms.submission.document import INS_ROOTS, Facts, plain_name
from transforms.submission.er7_text import field, segment
from transforms.submission.model import Patient

_LABELS = {"NIR": "ASIP-SANTE-INS-NIR", "NIA": "ASIP-SANTE-INS-NIA"}
_TRAITS = ("family", "given", "birth_date", "sex", "birth_place")


def match(
    facts: Facts, said: Patient | None, domain: Literal["test", "production"], *, required: bool, complete: bool
) -> bool:
    """Whether the document has an INS that can be used; the automatic integration stops when it may not go on.

    said: the patient of METADATA.XML. required: a document without INS is refused. complete: traits too.

    Raises:
        MessageError: 903 no INS, 904 not the patient of METADATA.XML, 905 traits that lack.
    """
    own = facts.patient
    usable = bool(own.ins and ins_key_is_right(own.ins) and ins_kind(own.ins_oid, domain))
    if required and not usable:
        raise MessageError("the document has no INS that can be used here", "", "903")
    if said is not None and not _agrees(own, said):
        raise MessageError("the patient of METADATA.XML is not that of the document", "", "904")
    if usable and complete:
        missing = [name for name in _TRAITS if not getattr(own, name)]
        if missing or own.sex == "U":
            raise MessageError(f"a trait lacks that goes with an INS: {', '.join(missing or ['sex'])}", "", "905")
    return usable


def _agrees(own: Patient, said: Patient) -> bool:
    if said.ins and own.ins and said.ins != own.ins:
        return False
    for name in ("birth_date", "sex"):
        one, other = getattr(own, name), getattr(said, name)
        if one and other and one != other:
            return False
    names = (plain_name(own.family), plain_name(own.used_family))
    return not said.family or not own.family or plain_name(said.family) in names


def pid(role: Element, facts: Facts, *, qualified: bool) -> str:
    """The segment. role: ``patientRole``. qualified: the identity may be called validated (PID-32)."""
    own = facts.patient
    names = [field(own.family, own.given, own.birth_given_names, "", "", "", "L")]
    if own.used_family or own.used_given:
        names.append(field(own.used_family, own.used_given, "", "", "", "", "D"))
    return segment(
        "PID",
        {
            1: "1",
            3: "~".join(_number(root, number, qualified=qualified) for root, number in facts.numbers if number),
            5: "~".join(names),
            7: field(own.birth_date),
            8: field(own.sex),
            11: "~".join(_addresses(role, own)),
            13: "~".join(_telecoms(role)),
            32: "VALI" if qualified else "PROV",
        },
    )


def _number(root: str, number: str, *, qualified: bool) -> str:
    if root in INS_ROOTS:
        kind = _LABELS["NIA" if root.endswith(".9") else "NIR"]
        return f"{field(number)}^^^{kind}&{root}&ISO^INS" if qualified else f"{field(number)}^^^{kind}&{root}&ISO"
    return f"{field(number)}^^^&{field(root)}&ISO^PI"


def _addresses(role: Element, own: Patient) -> list[str]:
    written = []
    for element in children(role, "addr"):
        found = read_address(element)
        if found is None:
            continue
        if found.lines:
            first, *more = found.lines
            written.append(field(first, " ".join(more), "", "", "", "", "H"))
        else:
            kind = "C" if found.use == "TMP" else "H"
            written.append(field(found.street, found.more, found.city, found.state, found.postal_code, "", kind))
    if own.birth_place:
        city = text(child(role, "patient", "birthplace", "place", "addr"), "city")
        written.append(field("", "", city, "", "", "", "BDL", "", own.birth_place))
    return written


def _telecoms(role: Element) -> list[str]:
    written = []
    for element in children(role, "telecom"):
        scheme, _, rest = value(element).partition(":")
        if scheme == "tel" and rest:
            equipment = "CP" if element.get("use") == "MC" else "PH"
            written.append(field("", "PRN", equipment, *[""] * 8, rest))
        elif scheme == "mailto" and rest:
            written.append(field("", "NET", "Internet", rest))
    return written
