"""A report to look at: JSON, PDF and HTML, from an ORU and from a CR-Bio; safe to show; the INS to scan."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import etree, html
from typer.testing import CliRunner

from channels.message import Message
from tests.transforms.laboratory import COPY, MESSAGES, context, edited, fixture
from transforms.cda import write
from transforms.ins_datamatrix import payload, svg
from transforms.oru import read_report
from transforms.page import page
from transforms.views import as_html, as_json, as_pdf, report_of
from vaguemestre.cli import app

NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))


def document(name: str) -> Message:
    return Message(write(read_report(fixture(name), context()), COPY), "cda")


@pytest.mark.parametrize("name", NAMES)
def test_json_holds_every_number_with_its_digits_and_is_the_same_twice(name: str) -> None:
    made = as_json(fixture(name), context())
    assert made.body == as_json(fixture(name), context()).body
    data = json.loads(made.body)
    shown = [value for result in _results(data) for value in result.get("values", [])]
    expected = [value for result in read_report(fixture(name), context()).results() for value in result.values]
    assert [one["kind"] for one in shown] == [type(one).__name__.lower() for one in expected]
    digits = re.findall(r'"digits": "([^"]*)"', json.dumps(shown))
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", one) or len(one) >= len("YYYYMMDD") for one in digits)


def _results(data: Any) -> list[Any]:
    """Every result of the JSON, isolates and sub-chapters included, in the order of ``Report.results``."""
    panels = [
        panel for chapter in data["chapters"] for part in (chapter, *chapter.get("sub_chapters", ()))
        for panel in part.get("panels", ())
    ]  # fmt: skip
    return [result for panel in panels for result in _of(panel)]


def _of(panel: Any) -> list[Any]:
    found = list(panel.get("results", ()))
    for isolate in panel.get("isolates", ()):
        found += isolate.get("results", ())
        found += [result for one in isolate.get("panels", ()) for result in _of(one)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_cr_bio_and_the_oru_it_came_from_show_the_same_results(name: str) -> None:
    one, other = (html.fromstring(as_html(message, context()).body) for message in (fixture(name), document(name)))
    assert _cells(one) == _cells(other)
    assert _cells(one)


def _cells(root: Any) -> list[str]:
    return [" ".join(cell.text_content().split()) for cell in root.xpath("//td[contains(@class, 'value')]")]


HOSTILE = "<script>alert(1)</script><img src=x onerror=a>\\T\\\"'"


@pytest.mark.parametrize(
    "place, field, raw",
    [
        ("OBX", 5, HOSTILE), ("OBX", 3, f"A^{HOSTILE}^L"), ("OBX", 6, ""), ("OBX", 7, HOSTILE), ("OBX", 8, "<b>"),
        ("PID", 11, f"{HOSTILE}^^V^^1^^H~^^PARIS^^^^BDL^^75056"), ("OBR", 4, f"A^{HOSTILE}^L"), ("OBR", 13, HOSTILE),
        ("PV1", 19, f"{HOSTILE}^^^^VN"), ("ORC", 12, f"^{HOSTILE}^A"),
    ],
)  # fmt: skip
def test_markup_in_a_message_is_only_text(place: str, field: int, raw: str) -> None:
    message = edited("oru_crp", ("OBX", 2, "ST"), ("OBX", 6, ""), (place, field, raw))
    made = as_html(message, context()).body.decode()
    root = html.fromstring(made)
    tags = {element.tag for element in root.iter(etree.Element)}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "form", "a"}
    assert all(not name.startswith("on") for element in root.iter(etree.Element) for name in element.attrib)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_loads_nothing_and_says_so_to_the_browser(name: str) -> None:
    root = html.fromstring(page(read_report(fixture(name), context())))
    (policy,) = root.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert "default-src 'none'" in policy
    sources = root.xpath("//@src | //@href | //@action | //@data")
    assert all(str(one).startswith("data:image/") for one in sources)
    assert "url(" not in page(read_report(fixture(name), context()))


def test_an_image_whose_type_is_hostile_cannot_leave_its_attribute() -> None:
    body = document("oru_electrophorese").body.replace(b"image/png", b"image/png&quot;'&gt;&lt;script&gt;")
    assert b"<script" not in as_html(Message(body, "cda"), context()).body


def test_pdf_of_an_oru_and_of_a_cr_bio() -> None:
    pytest.importorskip("weasyprint")
    for message in (fixture("oru_electrophorese"), document("oru_electrophorese")):
        made = as_pdf(message, context())
        assert made.format == "pdf"
        assert made.body.startswith(b"%PDF-1.4")
        assert b"pdfaid:part" in made.body
        assert as_pdf(message, context()).body == made.body


def test_the_way_of_writing_is_found_by_its_first_character() -> None:
    assert report_of(Message(b"\xef\xbb\xbf" + document("oru_crp").body, "raw"), context()).patient.family == "MODELE"


# the INS to scan


def test_the_datamatrix_says_the_ins_and_its_traits() -> None:
    patient = read_report(fixture("oru_crp"), context()).patient
    assert patient.ins is not None
    assert payload(patient, patient.ins) == (
        "IS010000000000000000000000S1290067505600227S21.2.250.1.213.1.4.10S3ALIX LOU\x1dS4MODELE\x1dS5F"
        "S615-06-1990S775056"
    )


def test_the_oid_of_production_is_shorter_and_ends_with_a_separator() -> None:
    nir = "290067505600227^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.8&ISO^INS"
    message = edited("oru_crp", ("PID", 3, f"700123^^^CH^PI~{nir}"))
    patient = read_report(message, context("production")).patient
    assert patient.ins is not None
    assert "S21.2.250.1.213.1.4.8\x1dS3" in payload(patient, patient.ins)


def test_no_symbol_without_a_qualified_identity() -> None:
    patient = read_report(edited("oru_crp", ("PID", 32, "PROV")), context()).patient
    assert svg(patient) == ""
    assert "INS à scanner" not in page(read_report(edited("oru_crp", ("PID", 32, "PROV")), context()))


def test_the_symbol_is_square_with_its_finder_pattern_and_quiet_zone() -> None:
    pytest.importorskip("ppf.datamatrix")
    symbol = svg(read_report(fixture("oru_crp"), context()).patient)
    root = etree.fromstring(symbol)
    _, _, width, height = map(int, root.get("viewBox", "").split())
    assert width == height
    cells = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1", symbol)}
    assert all((1, row) in cells for row in range(1, height - 1))
    assert all((column, height - 2) in cells for column in range(1, width - 1))
    assert not any(0 in one or width - 1 in one for one in cells)


# the command


@pytest.mark.parametrize(
    "name, start", [("report", b"{"), ("report.json", b"{"), ("html", b"<!doctype html>"), ("pdf", b"%PDF-")]
)
def test_convert_shows_an_oru_and_a_cr_bio(name: str, start: bytes, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint")
    source = tmp_path / "report.xml"
    source.write_bytes(document("oru_crp").body)
    for file in (source, MESSAGES / "oru_crp.hl7"):
        done = CliRunner().invoke(app, ["convert", name, str(file)])
        assert done.exit_code == 0, done.stderr
        assert done.stdout_bytes.startswith(start)
