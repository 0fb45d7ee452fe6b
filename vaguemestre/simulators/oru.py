"""Reports of an invented laboratory, as an SGL sends them: ORU^R01 of numeric panels.

Codes of the laboratory first, LOINC beside; units as French laboratories write them.
Source: IHE LAB-3 (ORU^R01 of HL7 v2.5); LOINC codes of the French circuit of biology.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from vaguemestre.simulators.people import BIOLOGIST, DOCTORS


class _Test(NamedTuple):
    code: str
    label: str
    loinc: str
    unit: str
    low: float
    high: float
    decimals: int


class _Panel(NamedTuple):
    code: str
    label: str
    loinc: str
    loinc_label: str
    discipline: str
    specimen: str
    tests: tuple[_Test, ...]


_NFS = _Panel("NFS", "Hémogramme", "58410-2", "Hémogramme complet sur automate", "HM", "BLDV^Sang veineux^HL70487", (
    _Test("GB", "Leucocytes", "6690-2", "G/L", 4, 10, 2),
    _Test("GR", "Hématies", "789-8", "T/L", 3.8, 5.9, 2),
    _Test("HB", "Hémoglobine", "718-7", "g/dL", 11.5, 17, 1),
    _Test("HT", "Hématocrite", "20570-8", "%", 34, 50, 1),
    _Test("VGM", "Volume globulaire moyen", "30428-7", "fL", 80, 98, 1),
    _Test("CCMH", "C.C.M.H.", "28540-3", "g/dL", 31, 36, 1),
    _Test("TCMH", "T.C.M.H.", "28539-5", "pg", 27, 33, 1),
    _Test("PLQ", "Plaquettes", "777-3", "G/L", 150, 400, 0),
    _Test("PNN", "Polynucléaires neutrophiles", "26511-6", "%", 40, 75, 1),
    _Test("LYM", "Lymphocytes", "26478-8", "%", 20, 45, 1),
    _Test("MON", "Monocytes", "26485-3", "%", 2, 10, 1),
))  # fmt: skip
_IONO = _Panel("IONO", "Ionogramme sanguin", "24326-1", "Electrolytes 1998 panel", "CH", "PLAS^Plasma^HL70487", (
    _Test("NA", "Sodium", "2951-2", "mmol/L", 136, 145, 0),
    _Test("K", "Potassium", "2823-3", "mmol/L", 3.5, 5.1, 2),
    _Test("CL", "Chlorures", "2075-0", "mmol/L", 98, 107, 0),
    _Test("CO2", "Bicarbonates", "1963-8", "mmol/L", 22, 29, 1),
    _Test("UREE", "Urée", "22664-7", "mmol/L", 2.5, 7.8, 1),
    _Test("CREA", "Créatinine", "14682-9", "µmol/L", 45, 104, 0),
    _Test("PROT", "Protéines totales", "2885-2", "g/L", 64, 83, 1),
))  # fmt: skip
_CRP = _Panel("CRP", "Protéine C réactive", "1988-5", "C Réactive protéine", "CH", "SER^Sérum^HL70487", (
    _Test("CRP", "CRP", "1988-5", "mg/L", 0, 5, 1),
))  # fmt: skip
PANELS = (_NFS, _IONO, _CRP)
RESULTS = sum(len(panel.tests) for panel in PANELS)


def write(order: int, random: Random, now: datetime, pdf_bytes: int = 0) -> list[str]:
    """The segments after PV1: a blood count, an ionogram and a CRP, each with its order and specimen.

    order: number of the request, unique. pdf_bytes: size of a PDF copy of the report to add (0: none).
    """
    taken = now - timedelta(minutes=random.randrange(60, 180))
    requester = random.choice(DOCTORS)
    segments: list[str] = []
    for rank, panel in enumerate(PANELS, 1):
        segments += _panel(panel, rank, f"{order:07}{rank}", requester.xcn, random, taken, now)
    if pdf_bytes:
        segments.append(f"OBR|{len(PANELS) + 1}|DPI-{order:07}9^DPI|LAB-{order:07}9^SGL|CR^Compte rendu^L{'|' * 21}F")
        segments.append(f"OBX|1|ED|PDF^Compte rendu PDF^L||^APPLICATION^PDF^Base64^{_pdf(pdf_bytes)}||||||F")
    return segments


def _panel(
    panel: _Panel, rank: int, number: str, requester: str, random: Random, taken: datetime, now: datetime
) -> list[str]:
    at, received, ended = (f"{one:%Y%m%d%H%M%S}" for one in (taken, taken + timedelta(minutes=40), now))
    placer, filler = f"DPI-{number}^DPI", f"LAB-{number}^SGL"
    service = f"{panel.code}^{panel.label}^L^{panel.loinc}^{panel.loinc_label}^LN"
    obr = (
        f"OBR|{rank}|{placer}|{filler}|{service}|||{at}|||||||{received}||{requester}||||||{ended}||{panel.discipline}|F"
        f"|||||||{BIOLOGIST.ndl}"
    )
    segments = [f"ORC|RE|{placer}|{filler}|P-{number[:-1]}^DPI||CM|||{at}|||{requester}", obr]
    for line, test in enumerate(panel.tests, 1):
        spread = test.high - test.low
        value = max(10**-test.decimals, random.gauss((test.low + test.high) / 2, spread / 2.5))
        flag = "L" if value < test.low else "H" if value > test.high else "N"
        segments.append(
            f"OBX|{line}|NM|{test.code}^{test.label}^L^{test.loinc}^{test.label}^LN||{value:.{test.decimals}f}|{test.unit}"
            f"|{test.low:g} - {test.high:g}|{flag}|||F|||{at}"
        )
    segments.append(f"SPM|1|^{number}&SGL||{panel.specimen}|||||||||||||{at}|{received}")
    return segments


def _pdf(size: int) -> str:
    """A PDF of one blank page, made longer by a comment, as Base64 of about ``size`` characters."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>",
    )
    document = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    filling = size * 3 // 4 - 500
    if filling > 0:
        document += b"%" + Random(size).randbytes(filling).hex().encode()[:filling] + b"\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(document))
        document += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(document)
    document += b"xref\n0 4\n0000000000 65535 f \n" + table
    document += b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start
    return base64.b64encode(document).decode("ascii")
