"""What came by HTTP, taken apart: the SOAP envelope and the parts beside it.

The reader is strict: MIME lines end in CR LF, the root part is the first and named by ``start``, every part has its
Content-ID. What it finds wrong is noted, and it goes on where it can.

Source: IHE ITI TF-2 Appendix V; MTOM and XOP 1.0 (W3C); RFC 2046 5.1, RFC 2387, RFC 2392.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import unquote

from vaguemestre.simulators.dmp.rules import Judge

SOAP_TYPE, XOP_TYPE, MULTIPART = "application/soap+xml", "application/xop+xml", "multipart/related"


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type and its parameters, names in lower case."""

    media_type: str
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> ContentType:
        """Read a header's value."""
        header = Message()
        header["Content-Type"] = text
        parts = header.get_params(failobj=[("", "")], header="Content-Type", unquote=True)
        return cls(parts[0][0].lower(), {name.lower(): value for name, value in parts[1:]})


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its Content-ID without brackets, its type, its bytes exactly."""

    content_id: str
    content_type: ContentType
    encoding: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """The envelope and the other parts by Content-ID. action: parameter of the root's or the message's type."""

    envelope: bytes
    parts: Mapping[str, Part] = field(default_factory=dict)
    action: str | None = None
    is_mtom: bool = False


def read(content_type: str, body: bytes, judge: Judge) -> Received:
    """Take a request apart.

    Raises:
        Broken: no envelope can be found.
    """
    kind = ContentType.of(content_type)
    if kind.media_type == SOAP_TYPE:
        return Received(body, action=kind.parameters.get("action"))
    judge.need(kind.media_type == MULTIPART, "http.media-type", "Content-Type")
    judge.need(kind.parameters.get("boundary"), "mtom.parameters", "boundary")
    for name, wanted in (("type", XOP_TYPE), ("start-info", SOAP_TYPE)):
        judge.check(kind.parameters.get(name, "").lower() == wanted, "mtom.parameters", name)
    parts = list(_parts(body, kind.parameters["boundary"].encode("latin-1", "replace"), judge))
    judge.need(parts, "mtom.boundary")
    root = _root(parts, kind, judge)
    seen: dict[str, Part] = {}
    for number, part in enumerate(parts, 1):
        judge.check(part.content_id and part.content_id not in seen, "mtom.content-id", f"part {number}")
        judge.check(part.encoding == "binary", "mtom.encoding", f"part {number}")
        seen[part.content_id] = part
    others = {name: part for name, part in seen.items() if part is not root}
    action = root.content_type.parameters.get("action", kind.parameters.get("action"))
    return Received(root.content, others, action, is_mtom=True)


def _root(parts: list[Part], kind: ContentType, judge: Judge) -> Part:
    start = kind.parameters.get("start", "")
    judge.check(start.startswith("<") and start.endswith(">"), "mtom.parameters", "start")
    named = [part for part in parts if part.content_id == start.strip("<>")]
    judge.check(named and named[0] is parts[0], "mtom.start")
    root = named[0] if named else parts[0]
    inner = root.content_type
    fits = inner.media_type == XOP_TYPE and inner.parameters.get("type", "").lower() == SOAP_TYPE
    judge.check(fits, "mtom.root-type")
    return root


def _parts(body: bytes, boundary: bytes, judge: Judge) -> Iterator[Part]:
    opening, delimiter = b"--" + boundary, b"\r\n--" + boundary
    judge.need(body.startswith((opening, b"\r\n" + opening)), "mtom.boundary", "opening")
    position = body.index(opening) + len(opening)
    while not body.startswith(b"--", position):
        end = body.find(delimiter, position)
        line_ends = body.startswith(b"\r\n", position) and end >= 0
        if not line_ends and body.find(b"\n" + opening, position) >= 0:
            judge.need(kept=False, name="mtom.line-ends")
        judge.need(line_ends, "mtom.boundary", "closing")
        yield _part(body[position + 2 : end], judge)
        position = end + len(delimiter)


def _part(data: bytes, judge: Judge) -> Part:
    head, found, content = data.partition(b"\r\n\r\n")
    judge.need(found, "mtom.line-ends", "headers")
    judge.check(head.count(b"\n") == head.count(b"\r\n"), "mtom.line-ends", "headers")
    headers: dict[str, str] = {}
    for line in head.decode("latin-1").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    name = headers.get("content-id", "")
    bracketed = name.startswith("<") and name.endswith(">")
    return Part(
        name[1:-1] if bracketed else "",
        ContentType.of(headers.get("content-type", "")),
        headers.get("content-transfer-encoding", "").lower(),
        content,
    )


def content_id(href: str) -> str | None:
    """The Content-ID that a ``cid:`` address names."""
    return unquote(href.removeprefix("cid:")) if href.startswith("cid:") else None
