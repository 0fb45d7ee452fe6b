"""The report as a PDF/A that a biologist would sign: the copy that a CR-Bio must hold when the laboratory sent none.

The same report gives the same bytes: dates and identifiers come from it.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher, URLFetcherResponse

from transforms.page import html, style
from transforms.report import Report
from transforms.uris import decoded

__all__ = ["html", "render", "render_page"]


def render(report: Report) -> bytes:
    """PDF/A-1b of the report."""
    return render_page(html(report), report.version.id)


def render_page(text: str, identifier: str) -> bytes:
    """PDF/A-1b of a page of HTML. identifier: of the document, the same for the same content."""
    page = HTML(string=text, url_fetcher=_NoFile(), base_url=None)
    made: bytes = page.write_pdf(
        stylesheets=[_style()],
        font_config=_fonts(),
        pdf_variant="pdf/a-1b",
        pdf_identifier=identifier.encode(),
    )
    return made


class _NoFile(URLFetcher):  # type: ignore[misc]  # weasyprint has no types
    """Nothing is fetched: the page holds all that it shows, images too."""

    def fetch(self, url: str, headers: Any = None) -> URLFetcherResponse:  # noqa: ARG002  # what weasyprint calls
        """An image that the page holds. Raises ValueError for anything else."""
        media_type, comma, data = url.removeprefix("data:").partition(";base64,")
        if not url.startswith("data:image/") or not comma:
            raise ValueError("a report loads no other file")
        return URLFetcherResponse(url, base64.b64decode(decoded(data)), {"Content-Type": media_type})


@cache
def _fonts() -> FontConfiguration:
    return FontConfiguration()


@cache
def _style() -> CSS:
    return CSS(string=style("pdf"), font_config=_fonts(), url_fetcher=_NoFile())
