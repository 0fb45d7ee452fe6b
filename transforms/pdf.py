"""The report as a PDF/A that a biologist would sign: the copy that a CR-Bio must hold when the laboratory sent none.

The same report gives the same bytes: dates and identifiers come from it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import cache
from typing import Any

from lxml import etree
from PIL import Image, ImageFile
from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher, URLFetcherResponse

from channels.errors import ParseError
from transforms.page import html, style
from transforms.report import Attachment, Panel, Report
from transforms.uris import decoded

__all__ = ["html", "render", "render_page"]


ImageFile.LOAD_TRUNCATED_IMAGES = False  # weasyprint shows what is left of a broken image; a report must not
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


_PLAIN = frozenset({"1", "L", "P", "RGB"})


def render(report: Report) -> bytes:
    """PDF/A-1b of the report.

    Raises:
        ParseError: an image of the report that cannot be shown.
    """
    for image in _images(report):
        try:
            _opaque(base64.b64decode(image.data))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow says of broken files
            raise ParseError("an image that cannot be shown", f"{image.place}-5.5", "102") from None
    return render_page(html(report), report.version.id)


def render_page(text: str, identifier: str) -> bytes:
    """PDF/A-1b of a page of HTML. identifier: of the document, the same for the same content."""
    page = HTML(string=text, url_fetcher=_NoFile(), base_url=None)
    made: bytes = page.write_pdf(
        stylesheets=[_style()],
        font_config=_fonts(),
        pdf_variant="pdf/a-1b",
        pdf_identifier=identifier.encode(),
        finisher=_finished,
    )
    return made


def _images(report: Report) -> Iterator[Attachment]:
    panels: list[Panel] = list(report.panels())
    for panel in panels:
        yield from panel.images
        panels += [one for isolate in panel.isolates for one in isolate.panels]


def _opaque(data: bytes) -> bytes:
    """The image on white where it is transparent, and in RGB: PDF/A-1 knows no transparency, and one colour space."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if image.mode in _PLAIN and not image.has_transparency_data:
            return data
        seen = image.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    white.alpha_composite(seen)
    made = io.BytesIO()
    white.convert("RGB").save(made, "PNG")
    return made.getvalue()


def _finished(_: Any, pdf: Any) -> None:
    """What PDF/A-1 asks for and weasyprint does not do: no smoothing of images; metadata that every reader finds.

    Some readers look for a name space at the ``rdf:Description`` that uses it, where XMP's own examples have it.

    Source: ISO 19005-1, 6.2.4 (Interpolate) and 6.7 (metadata).
    """
    for one in pdf.objects:
        extra = getattr(one, "extra", {})
        if extra.get("Subtype") == "/Image":
            extra.pop("Interpolate", None)
        elif extra.get("Type") == "/Metadata":
            one.stream = [_own_names(b"".join(one.stream))]


def _own_names(packet: bytes) -> bytes:
    begin, end = packet.index(b"<rdf:RDF"), packet.index(b"</rdf:RDF>") + len(b"</rdf:RDF>")
    described = b"".join(etree.tostring(one, encoding="UTF-8") for one in etree.fromstring(packet[begin:end]))
    return packet[:begin] + f'<rdf:RDF xmlns:rdf="{_RDF}">'.encode() + described + packet[end - len(b"</rdf:RDF>") :]


class _NoFile(URLFetcher):  # type: ignore[misc]  # weasyprint has no types
    """Nothing is fetched: the page holds all that it shows, images too."""

    def fetch(self, url: str, headers: Any = None) -> URLFetcherResponse:  # noqa: ARG002  # what weasyprint calls
        """An image that the page holds. Raises ValueError for anything else."""
        media_type, comma, data = url.removeprefix("data:").partition(";base64,")
        if not url.startswith("data:image/") or not comma:
            raise ValueError("a report loads no other file")
        return URLFetcherResponse(url, _opaque(base64.b64decode(decoded(data))), {"Content-Type": media_type})


@cache
def _fonts() -> FontConfiguration:
    return FontConfiguration()


@cache
def _style() -> CSS:
    return CSS(string=style("pdf"), font_config=_fonts(), url_fetcher=_NoFile())
