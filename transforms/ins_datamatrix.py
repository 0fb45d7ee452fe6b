"""The INS as a datamatrix, to be scanned from a printed report.

Source: ANS, "INS: guide d'implémentation du datamatrix"; blocks IS01, S1 to S7. Only for a qualified identity.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from channels.errors import ConfigError, ParseError
from transforms.report import Ins, Patient

_SEPARATOR = "\x1d"
_LONGEST = {"S2": 20, "S3": 100, "S4": 100, "S7": 5}
_AIM = re.compile(r"\][A-Za-z][0-9]")
_INS = r"IS01[0-9A-Z]{22}\x1d?S1(?P<ins>[0-9]{5}(?:[0-9]{2}|2[AB])[0-9]{8})\x1d?S2"
_REST = (
    r"S5(?P<sex>[MF])\x1d?S6(?P<day>[0-9]{2})-(?P<month>[0-9]{2})-(?P<year>[0-9]{4})\x1d?"
    r"(?:S7(?P<place>[0-9AB]{5}))?\x1d?"
)
_WHOLE = re.compile(
    _INS + r"(?P<oid>[0-9.]{20}|[0-9.]{19}(?=\x1d))\x1d?"
    r"S3(?P<given>[^\x1d]{100}|[^\x1d]{1,99}(?=\x1d))\x1d?"
    r"S4(?P<family>[^\x1d]{100}|[^\x1d]{1,99}(?=\x1d))\x1d?" + _REST
)
_SWALLOWED = re.compile(
    _INS + r"(?P<oid>[0-9.]{19,20})S3(?P<given>[^0-9\x1d]{1,100})S4(?P<family>[^0-9\x1d]{1,100})" + _REST
)
"""Without separators, the digit of a mark tells where a name ends: names have none."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a symbol says. ins: 15 characters; given: names with spaces between; birth_date: ``1979-03-28``.

    birth_place: COG code, ``""`` when the symbol has none. The key of the INS is not judged here.
    """

    ins: str
    oid: str
    given: str
    family: str
    sex: str
    birth_date: str
    birth_place: str = ""

    def __repr__(self) -> str:
        """Nothing of the person: representations end in logs."""
        return "<Scanned>"


def payload(patient: Patient, ins: Ins) -> str:
    """What the symbol says: the INS, its OID and the traits that go with it, in capitals without accents."""
    date = patient.birth_date.digits
    blocks = [
        ("S1", ins.number),
        ("S2", ins.root),
        ("S3", _capitals(patient.birth_given_names.replace(",", " "))[:100]),
        ("S4", _capitals(patient.family)[:100]),
        ("S5", patient.sex),
        ("S6", f"{date[6:8]}-{date[4:6]}-{date[:4]}"),
    ]
    if patient.birth_place:
        blocks.append(("S7", patient.birth_place))
    last = len(blocks) - 1
    text = "IS01" + "0" * 22
    for number, (name, value) in enumerate(blocks):
        short = number < last and len(value) < _LONGEST.get(name, 0)
        text += f"{name}{value}{_SEPARATOR if short else ''}"
    return text


def read(text: str) -> Scanned:
    """What a scanner gives: the AIM prefix (``]d1``) and a line end are passed over.

    A scanner that swallows the separators (GS) is borne, when no name has a digit.

    Raises:
        ParseError: it is not an INS datamatrix, or a block lacks or is not in its form.
    """
    content = text.strip(" \t\r\n")
    prefix = _AIM.match(content)
    content = content[prefix.end() :] if prefix else content
    content = content.removeprefix(_SEPARATOR)
    found = _WHOLE.fullmatch(content) or _SWALLOWED.fullmatch(content)
    if found is None:
        raise ParseError("not an INS datamatrix: IS01, then blocks S1 to S6 and perhaps S7, each in its form")
    date = f"{found['year']}-{found['month']}-{found['day']}"
    names = (found["given"], found["family"])
    return Scanned(found["ins"], found["oid"], *names, found["sex"], date, found["place"] or "")


def svg(patient: Patient) -> str:
    """The symbol (square, ECC 200) as SVG; ``""`` without a qualified INS.

    Raises:
        ConfigError: the package ppf.datamatrix is not installed.
    """
    if patient.ins is None:
        return ""
    try:
        from ppf.datamatrix import DataMatrix
    except ImportError as error:
        raise ConfigError("the INS datamatrix needs the package ppf.datamatrix: vaguemestre[pdf]") from error
    matrix = DataMatrix(payload(patient, patient.ins)).matrix
    return _drawn(matrix)


def _drawn(matrix: list[list[int]]) -> str:
    """Black squares, row by row, and the quiet zone of one square around them."""
    path = "".join(
        f"M{column + 1} {row + 1}h1v1h-1z"
        for row, line in enumerate(matrix)
        for column, cell in enumerate(line)
        if cell
    )
    width, height = len(matrix[0]) + 2, len(matrix) + 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="INS à scanner"><rect width="{width}" height="{height}" fill="#fff"/>'
        f'<path d="{path}" fill="#000" shape-rendering="crispEdges"/></svg>'
    )


def _capitals(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.upper().replace("Œ", "OE").replace("Æ", "AE"))
    return " ".join("".join(sign for sign in bare if sign.isascii()).split())
