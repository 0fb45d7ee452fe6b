"""The PDF copy shows what the report says, as PDF/A, the same bytes every time."""

import base64
import io
import re
import subprocess
from pathlib import Path

import pytest
from lxml import etree

from tests.parts import require
from tests.transforms.laboratory import Validate, context, edited, fixture, validator
from transforms.cda import cr_bio
from transforms.oru import read_report
from transforms.report import Report

pytest.importorskip("weasyprint")

from transforms.pdf import html, render

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
