"""Our own rules on the body: templates, references, files.

Source: CI-SIS volet CR d'examens de biologie médicale 2024.01, for what it says and no rule of ANS checks.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from transforms.validation.view import IHE_RESULT, RESULT, Found, View, section

_URL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
_PAIRS = {
    "observation": {IHE_RESULT: RESULT},
    "organizer": {
        "1.3.6.1.4.1.19376.1.3.1.4": "1.2.250.1.213.1.1.3.78",
        "1.3.6.1.4.1.19376.1.3.1.5": "1.2.250.1.213.1.1.3.79",
    },
    "procedure": {"1.3.6.1.4.1.19376.1.3.1.2": "1.2.250.1.213.1.1.3.77"},
    "entry": {"1.3.6.1.4.1.19376.1.3.1": "1.2.250.1.213.1.1.3.21"},
    "section": {
        "1.3.6.1.4.1.19376.1.3.3.2.1": "1.2.250.1.213.1.1.2.70",
        "1.3.6.1.4.1.19376.1.3.3.2.2": "1.2.250.1.213.1.1.2.71",
    },
}


def templates(view: View) -> Iterator[Found]:
    """An entry that has the template of IHE has the French one too, and the reverse: else its rules are never tried."""
    for name, pairs in _PAIRS.items():
        for element in view.elements(name):
            found = view.templates(element)
            for ihe, french in pairs.items():
                if (ihe in found) != (french in found):
                    yield Found(element, f"the template {french if ihe in found else ihe} is forgotten")
    for act in view.elements("act"):
        if act.getparent().tag.endswith("}entry") and not view.templates(act.getparent()):
            yield Found(act, "the data of a report without any template", "warning")
    for organizer in view.elements("organizer"):
        if organizer.get("classCode") in ("BATTERY", "CLUSTER") and not view.templates(organizer):
            yield Found(organizer, "a group of results without any template")
        for observation in view.all("cda:component/cda:observation[not(cda:templateId)]", organizer):
            yield Found(observation, "a result without any template")


def references(view: View) -> Iterator[Found]:
    """References point to something of the same section; identifiers are unique."""
    seen: set[str] = set()
    for element in view.all("//*[@ID]"):
        name = element.get("ID")
        if name in seen:
            yield Found(element, "an ID that is used twice")
        seen.add(name)
    for reference in view.elements("reference"):
        text = reference.get("value")
        if text is None:
            continue
        target = view.target(reference)
        if text.startswith("#"):
            if target is None:
                yield Found(reference, "points to no ID of the document")
            elif section(reference) is not section(target):
                yield Found(reference, "points to another section", "warning")
        elif not _URL.match(text):
            yield Found(reference, "neither #ID nor a URL")
    for media in view.elements("renderMultiMedia"):
        for name in media.get("referencedObject", "").split():
            if name not in view.by_id:
                yield Found(media, "shows a file that is not there")


def one_reference_each(view: View) -> Iterator[Found]:
    """Two results are not shown by the same words."""
    seen: set[str] = set()
    for result in view.results:
        for reference in view.all("cda:code/cda:originalText/cda:reference/@value", result):
            if str(reference) in seen:
                yield Found(result, "shown by the words of another result", "warning")
            seen.add(str(reference))


def files(view: View) -> Iterator[Found]:
    """Files can be decoded; a PDF is whole, not encrypted, and marked as PDF/A."""
    for element in view.elements("value", "text"):
        if element.get("representation") != "B64":
            continue
        try:
            data = base64.b64decode("".join((element.text or "").split()), validate=True)
        except (binascii.Error, ValueError):
            yield Found(element, "a file that is not base64")
            continue
        if not data:
            yield Found(element, "a file that is empty")
        elif element.get("mediaType") == "application/pdf":
            yield from _pdf(element, data)
        elif element.get("mediaType", "").startswith("image/") and not data.startswith(_IMAGES):
            yield Found(element, "an image that is not what its type says")


def _pdf(element: Any, data: bytes) -> Iterator[Found]:
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-2048:]:
        yield Found(element, "a file that is not a whole PDF")
    elif b"/Encrypt" in data[-4096:]:
        yield Found(element, "an encrypted PDF")
    elif b"pdfaid:part" not in data:
        yield Found(element, "a PDF that is not marked as PDF/A, which the DMP asks for", "warning")
