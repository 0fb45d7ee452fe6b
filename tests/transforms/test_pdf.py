"""The PDF copy shows what the report says, as PDF/A, the same bytes every time."""

import base64
import io
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from channels.errors import ParseError
from channels.message import Message
from tests.parts import require
from tests.transforms.laboratory import PDF, Validate, context, edited, fixture, validator
from tests.transforms.preflight import preflight
from transforms import er7
from transforms.cda import cr_bio
from transforms.ins_datamatrix import payload
from transforms.oru import read_report
from transforms.report import Report

pytest.importorskip("weasyprint")

from PIL import Image

from transforms.pdf import html, render

IMAGE = "OBX[5]"
"""Of the electrophoresis: its image."""
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*sRGB:ResourceWarning")


def report(name: str, *changes: tuple[str, int, str]) -> Report:
    return read_report(edited(name, *changes), context())


def text_of(pdf: bytes, folder: Path) -> str:
    tool = require("pdftotext", "poppler-utils")
    (folder / "report.pdf").write_bytes(pdf)
    done = subprocess.run(
        [tool, "-layout", str(folder / "report.pdf"), "-"], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_same_report_gives_the_same_bytes() -> None:
    one = report("oru_multi")
    assert render(one) == render(one)


def test_every_result_is_shown_with_its_unit_range_and_flag(tmp_path: Path) -> None:
    one = report("oru_multi")
    shown = text_of(render(one), tmp_path)
    rows = "".join(shown.split())
    for result in one.results():
        assert result.unit is not None
        assert result.range is not None
        row = f"{result.values[0].source}{result.unit.source}{result.range.source}"
        assert "".join(row.split()) in rows
    assert "Anormalement" in shown
    assert "Patiente à jeun." in shown
    assert "Anémie microcytaire modérée : à confronter au bilan martial." in shown


def test_who_and_which_version_are_shown(tmp_path: Path) -> None:
    shown = re.sub(r"\s+", " ", text_of(render(report("oru_multi")), tmp_path))
    for words in (
        "Laboratoire de biologie médicale de Testville",
        "MODELE",
        "ALIX LOU",
        "15/06/1990",
        "2 90 06 75 056 002 27",
        "NIR de test",
        "Dr CAMILLE MEDICO",
        "Compte rendu complet — version 1",
        "Dr Anne DURAND",
        "RPPS 01000000058",
        "Page 1 / 2",
    ):
        assert words in shown


@pytest.mark.parametrize("count", range(9, 15))
def test_the_signature_is_never_alone_on_its_page(count: int, tmp_path: Path) -> None:
    pages = text_of(render(read_report(many(count), context())), tmp_path).rstrip("\f").split("\f")
    assert "Compte rendu validé le" in pages[-1]
    before = pages[-1].partition("Compte rendu validé le")[0]
    assert len(before.strip().splitlines()) > 1  # the running title, and what is signed


def test_a_long_comment_begins_under_its_result_and_goes_on_over_the_page(tmp_path: Path) -> None:
    pages = text_of(render(read_report(many(3, 90), context())), tmp_path).rstrip("\f").split("\f")
    assert "Ligne 0 d'un long commentaire" in pages[0]
    assert "Ligne 89 d'un long commentaire" in pages[-1]
    shown = " ".join(pages)
    assert all(f"Ligne {number} d'un" in shown for number in range(90))


def test_a_long_text_begins_where_its_result_stands(tmp_path: Path) -> None:
    text = "\\.br\\".join(f"Ligne {number} de la conclusion" for number in range(120))
    changes = [("OBX", 2, "FT"), ("OBX", 5, text), ("OBX", 6, ""), ("OBX", 7, ""), ("OBX", 8, "")]
    pages = text_of(render(report("oru_crp", *changes)), tmp_path).rstrip("\f").split("\f")
    assert "Ligne 0 de la conclusion" in pages[0]
    assert "Ligne 119 de la conclusion" in pages[-1]
    assert "".join(pages).count("de la conclusion") == 120


def test_a_partial_report_says_so(tmp_path: Path) -> None:
    shown = text_of(render(report("oru_crp", ("OBX", 11, "P"))), tmp_path)
    assert "Compte rendu partiel" in shown
    assert "Résultat provisoire" in shown


def test_it_is_pdf_a_with_its_fonts_inside() -> None:
    pikepdf = pytest.importorskip("pikepdf")
    with pikepdf.open(io.BytesIO(render(report("oru_multi")))) as pdf:
        metadata = pdf.Root.Metadata.read_bytes()
        assert b'pdfaid:part="1"' in metadata or b"<pdfaid:part>1<" in metadata
        assert pdf.Root.OutputIntents is not None
        assert "/Encrypt" not in pdf.trailer
        fonts = [
            descendant
            for page in pdf.pages
            for font in page.Resources.Font.values()
            for descendant in (font.DescendantFonts if "/DescendantFonts" in font else [font])
        ]
        assert fonts
        assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font.FontDescriptor.keys()) for font in fonts)


def many(count: int, comment: int = 0) -> Message:
    """The first panel of ``oru_multi`` with so many results, the last one with a comment of so many lines."""
    lines = fixture("oru_multi").body.decode().rstrip("\r").split("\r")
    begin = next(number for number, line in enumerate(lines) if line.startswith("OBX"))
    results = [line for line in lines if line.startswith("OBX")]
    chosen = [results[number % len(results)] for number in range(count)]
    said = [f"NTE|{number}|L|Ligne {number} d'un long commentaire : é, œ, µ, ≤, 10⁹/L." for number in range(comment)]
    return er7.message(("\r".join([*lines[:begin], *chosen, *said]) + "\r").encode())


def picture(mode: str, kind: str) -> Message:
    """The electrophoresis with another image: ``mode`` of Pillow, written as ``kind``."""
    made = io.BytesIO()
    Image.new(mode, (40, 20)).save(made, kind)
    field = f"SGL^IM^{kind}^Base64^{base64.b64encode(made.getvalue()).decode()}"
    return edited("oru_electrophorese", (IMAGE, 5, field))


PRINTED: dict[str, Callable[[], Message]] = {
    "one result": lambda: fixture("oru_crp"),
    "sixty results and a long comment": lambda: many(60, 90),
    "urine culture": lambda: fixture("oru_ecbu"),
    "blood culture": lambda: fixture("oru_hemoculture"),
    "an image": lambda: fixture("oru_electrophorese"),
    "a transparent image": lambda: picture("RGBA", "PNG"),
    "grey and transparent": lambda: picture("LA", "PNG"),
    "an image for printers": lambda: picture("CMYK", "JPEG"),
    "a palette": lambda: picture("P", "GIF"),
    "no INS": lambda: edited("oru_crp", ("PID", 32, "PROV")),
}


@pytest.mark.parametrize("name", PRINTED)
def test_an_independent_checker_finds_pdf_a_1b(name: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(render(read_report(PRINTED[name](), context())))
    assert preflight(path) == []


def test_the_independent_checker_sees_what_is_no_pdf_a(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    assert preflight(path)


def test_an_image_that_cannot_be_shown_is_refused_with_its_place() -> None:
    made = io.BytesIO()
    Image.effect_noise((40, 20), 50).save(made, "PNG")
    broken = bytearray(made.getvalue())
    broken[41:60] = b"\xff" * 19
    data = base64.b64encode(bytes(broken)).decode()
    one = report("oru_electrophorese", (IMAGE, 5, f"SGL^IM^PNG^Base64^{data}"))
    with pytest.raises(ParseError) as refused:
        render(one)
    assert refused.value.place == f"{IMAGE}-5.5"


@pytest.mark.parametrize("name", ["oru_multi", "oru_crp"])
def test_the_datamatrix_is_scanned_from_the_printed_page(name: str, tmp_path: Path) -> None:
    zxing = pytest.importorskip("zxingcpp")
    tool = require("pdftoppm", "poppler-utils")
    one = report(name)
    assert one.patient.ins is not None
    (tmp_path / "report.pdf").write_bytes(render(one))
    printed = [tool, "-r", "200", "-f", "1", "-l", "1", "-gray", str(tmp_path / "report.pdf"), str(tmp_path / "page")]
    subprocess.run(printed, check=True)
    (page,) = tmp_path.glob("page*.pgm")
    (symbol,) = zxing.read_barcodes(grey(page), formats=zxing.BarcodeFormat.DataMatrix)
    assert symbol.bytes == payload(one.patient, one.patient.ins).encode("ascii")
    assert b"\x1d" in symbol.bytes


def grey(path: Path) -> memoryview:
    """Rows of a PGM image."""
    kind, width, height, depth, pixels = path.read_bytes().split(maxsplit=4)
    assert (kind, depth) == (b"P5", b"255")
    return memoryview(pixels).cast("B", (int(height), int(width)))


def test_markup_in_the_message_is_only_text() -> None:
    one = report("oru_crp", ("OBX", 2, "ST"), ("OBX", 5, "<script>a</script> \\T\\ <img src='x'>"), ("OBX", 6, ""))
    page = html(one)
    assert "<script" not in page
    assert "<img" not in page
    assert render(one).startswith(b"%PDF-1.4")


def test_a_report_without_pdf_gets_ours_as_its_copy() -> None:
    message = fixture("oru_crp")
    document = cr_bio(message, context())
    (copy,) = etree.fromstring(document.body).xpath(
        "//c:observationMedia/c:value/text()", namespaces={"c": "urn:hl7-org:v3"}
    )
    assert base64.b64decode(str(copy)) == render(read_report(message, context()))
    assert cr_bio(message, context()).body == document.body


@pytest.mark.timeout(120)
def test_the_whole_document_is_valid_under_the_official_rules(shared: Path, tmp_path: Path) -> None:
    validate: Validate = validator(shared, tmp_path)
    documents = {
        f"{name}-{domain}": cr_bio(fixture(name), context(domain)).body
        for name in ("oru_multi", "oru_with_pdf")
        for domain in ("test", "production")
    }
    assert validate(documents) == []
