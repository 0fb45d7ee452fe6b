"""The INS as a datamatrix, to be scanned from a printed report.

Source: ANS, "INS: guide d'implémentation du datamatrix"; blocks IS01, S1 to S7. Only for a qualified identity.
"""

from __future__ import annotations

import unicodedata

from channels.errors import ConfigError
from transforms.report import Ins, Patient

_SEPARATOR = "\x1d"
_LONGEST = {"S2": 20, "S3": 100, "S4": 100, "S7": 5}


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
