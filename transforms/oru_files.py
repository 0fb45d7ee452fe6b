"""Files in OBX-5 (ED): the PDF of the report, reports of other laboratories, images."""

from __future__ import annotations

import base64
import binascii
import re

from channels.errors import MappingError, ParseError, ProfileError
from transforms.oru_lines import Line
from transforms.oru_people import other_laboratory
from transforms.oru_rules import Rules
from transforms.report import Attachment

_DATA_URL = re.compile(r"data:[a-z/+.-]+;base64,", re.IGNORECASE)
_IMAGES = {"PNG": "image/png", "JPEG": "image/jpeg", "JPG": "image/jpeg", "GIF": "image/gif"}
_SIGNATURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8"}
_ENDS = {"image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9", "image/gif": b";"}
_DOCUMENTS = frozenset({"XML", "CDA", "X-HL7-CDA-LEVEL-THREE", "X-HL7-CDA-LEVEL-ONE"})


def attachment(obx: Line, kind: str, rules: Rules) -> Attachment:
    """A PDF, an image or a CDA document.

    Raises:
        ProfileError: a file by reference, or of a type that a report has no place for.
        ParseError: it cannot be decoded, or is not what it says.
        MappingError: a PDF of which nothing says whether it is the report or comes with it.
    """
    parts = [part.strip() for part in obx.parts(5)] + [""] * 5
    _, main, sub, encoding, data = parts[:5]
    if kind == "RP":
        raise ProfileError(
            "a file by reference is not fetched: the report needs the file itself (ED)", obx.at(5), "102"
        )
    names = {sub.upper(), main.upper().removeprefix("APPLICATION/").removeprefix("IMAGE/")}
    other = other_laboratory(obx, rules)
    title = obx.value(3, 2) or obx.value(3, 5)
    by = other.organization.name if other else ""
    if names & _DOCUMENTS:
        return Attachment("text/xml", _decoded(data, encoding, obx), title, by, obx.place)
    image = next((kind for name, kind in _IMAGES.items() if name in names), "")
    if image:
        return Attachment(image, _checked(_decoded(data, encoding, obx), image, obx), title, by, obx.place)
    if "PDF" not in names:
        raise ProfileError("a file that is neither a PDF, an image (PNG, JPEG, GIF) nor a CDA", f"{obx.at(5)}.3", "102")
    known = rules.laboratory.pdf_codes
    if other is None and obx.value(3) not in known and obx.value(3, 4) not in known:
        raise MappingError("a PDF whose code is not in laboratory.pdf_codes: report or enclosure?", obx.at(3))
    return Attachment("application/pdf", _whole_pdf(_decoded(data, encoding, obx), obx), title, by, obx.place)


def _decoded(data: str, encoding: str, obx: Line) -> str:
    """Clean base64 of the file."""
    text = "".join(_DATA_URL.sub("", data, count=1).split()).rstrip("=")
    try:
        if encoding.upper() == "HEX":
            file = bytes.fromhex(text)
        elif encoding.upper() in ("BASE64", ""):
            text = text.replace("-", "+").replace("_", "/")
            file = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        elif encoding.upper() == "A":
            file = data.encode()
        else:
            raise ParseError("the encoding of a file is Base64, Hex or A", f"{obx.at(5)}.4", "102")
    except (ValueError, binascii.Error):
        raise ParseError("the file cannot be decoded", f"{obx.at(5)}.5", "102") from None
    return base64.b64encode(file).decode("ascii")


def _whole_pdf(data: str, obx: Line) -> str:
    file = base64.b64decode(data)
    if not file.startswith(b"%PDF-") or b"%%EOF" not in file[-2048:]:
        raise ParseError("the file is not a whole PDF", f"{obx.at(5)}.5", "102")
    return data


def _checked(data: str, media_type: str, obx: Line) -> str:
    file = base64.b64decode(data)
    if not file.startswith(_SIGNATURES[media_type]):
        raise ParseError("the file is not the image that it says", f"{obx.at(5)}.5", "102")
    if _ENDS[media_type] not in file[-1024:]:  # some devices write more behind the end
        raise ParseError("the file is not a whole image", f"{obx.at(5)}.5", "102")
    return data
