"""The meta OBX of a request: visibility, destinations, wanted acknowledgements, texts of the mails.

Source: ANS volet "Transmission de documents CDA en HL7v2" 2.1 (MetaDMPMSS), with the names of 2.0 and 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from channels.errors import MessageError
from transforms.document_rules import decoded_base64
from transforms.er7 import Er7, Segment
from transforms.submission.model import Visibility
from transforms.submission.notes import Notes

REQUIRED = (
    "MASQUE_PS",
    "INVISIBLE_PATIENT",
    "INVISIBLE_REP_LEGAUX",
    "CONNEXION_SECRETE",
    "MODIF_CONF_CODE",
    "DESTDMP",
    "DESTMSSANTEPS",
    "DESTMSSANTEPAT",
)
OPTIONAL = ("ACK_RECEPTION", "ACK_LECTURE_MSS")
TEXTS = ("CORPSMAIL_PS", "CORPSMAIL_PATIENT")
_ALIASES = {
    "INVISIBLE_REPRESENTANTS_LEGAUX": "INVISIBLE_REP_LEGAUX",
    "MODIF_CONFIDENTIALITYCODE": "MODIF_CONF_CODE",
    "ACK_LECTURE": "ACK_LECTURE_MSS",
}
_LOT = "COMP_LOT"
_KNOWN = frozenset((*REQUIRED, *OPTIONAL, *TEXTS, _LOT))


def flag_name(obx: Segment) -> str:
    """The official name of the meta OBX that a segment is, ``""`` when it is none."""
    name = "".join(obx.get("3.1").split()).upper()
    name = _ALIASES.get(name, name)
    return name if name in _KNOWN else ""


@dataclass(slots=True)
class Flags:
    """values: name -> ``Y`` or ``N`` for those that the message has. places: name -> ``OBX[7]-5``.

    texts: name -> text of a mail. closes: the patient cannot answer. lot: identifiers of COMP_LOT.
    """

    values: dict[str, bool] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    closes: bool = False
    lot: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> bool:
        """Whether a flag is set; one that the message lacks is not."""
        return self.values.get(name, False)

    def place(self, name: str) -> str:
        """Where a flag stands, or would."""
        return self.places.get(name, "OBX")

    @property
    def visibility(self) -> Visibility:
        """The flags that concern visibility."""
        return Visibility(
            self["MASQUE_PS"],
            self["INVISIBLE_PATIENT"],
            self["INVISIBLE_REP_LEGAUX"],
            self["CONNEXION_SECRETE"],
            self["MODIF_CONF_CODE"],
        )


def read_flags(parsed: Er7, notes: Notes) -> Flags:
    """Every meta OBX, in any order.

    Raises:
        MessageError: a flag that is neither Y nor N, or whose name is not known while another one lacks (103).
    """
    found, last, number, unknown = Flags(), "", 0, ""
    for segment in parsed.segments:
        if segment.id == "NTE":
            if last == "DESTMSSANTEPAT" and segment.get("4.1").strip().upper() == "FIN":
                found.closes = True
        elif segment.id == "OBX":
            number += 1
            last = flag_name(segment)
            place = f"OBX[{number}]" if number > 1 else "OBX"
            if last:
                _read(found, last, segment, place, notes)
            elif segment.get("3.3").strip() == "MetaDMPMSS":
                unknown = f"{place}-3"
                notes.warn(unknown, "103", "a flag that the volet does not know")
    missing = [name for name in REQUIRED if name not in found.values]
    if missing and unknown:
        raise MessageError("a flag that the volet does not know, and one of the volet lacks", unknown, "103")
    if missing:
        notes.warn("OBX", "101", f"flags that lack count as N: {', '.join(missing)}")
    return found


def _read(found: Flags, name: str, obx: Segment, place: str, notes: Notes) -> None:
    if name in found.places and name != _LOT:
        notes.warn(f"{place}-3", "198", f"{name} is there twice: the first one counts")
        return
    found.places[name] = f"{place}-5"
    if name in TEXTS:
        found.texts[name] = _text(obx, place, notes)
    elif name == _LOT:
        root, extension = obx.get("5.1").strip(), obx.get("5.2").strip()
        if root:
            found.lot = (*found.lot, f"{root}^{extension}" if extension else root)
    else:
        value = obx.get("5.1").strip().upper()
        if value not in ("Y", "N"):
            raise MessageError(f"{name} is neither Y nor N", f"{place}-5", "103" if value else "101")
        found.values[name] = value == "Y"


def _text(obx: Segment, place: str, notes: Notes) -> str:
    """Text of a mail; ``""``, the default text, when it cannot be decoded."""
    data = obx.get("5.5") if obx[2].strip() == "ED" else obx.get("5")
    if obx[2].strip() != "ED" or obx.get("5.4").strip().upper() in ("", "A"):
        return data
    content = decoded_base64(data)
    if content is None:
        notes.warn(f"{place}-5.5", "102", "a mail text in Base64 cannot be decoded: the default text is sent")
        return ""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        notes.warn(f"{place}-5.5", "102", "a mail text is not UTF-8", always=True)
        return content.decode("cp1252", "replace")
