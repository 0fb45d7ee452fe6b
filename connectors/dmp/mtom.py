"""MTOM: a SOAP envelope with the documents beside it (multipart/related), written and read."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from email import policy
from email.message import Message as Header
from email.parser import BytesHeaderParser

_CHUNK = 262_144


@dataclass(frozen=True, slots=True)
class Part:
    """A document beside the envelope. content_id: without angle brackets; ASCII, needs no escape in a ``cid:`` URL."""

    content_id: str
    content: bytes


class Multipart:
    """The body of a request whose parts are never copied into one.

    Source: RFC 2387 (multipart/related), W3C XOP and MTOM; lines end in CRLF.
    """

    def __init__(self, envelope: bytes, parts: Sequence[Part], *, action: str, boundary: str = "") -> None:
        mark = boundary or f"=_{secrets.token_hex(16)}"
        self.content_type = (
            f'multipart/related; boundary="{mark}"; type="application/xop+xml"; start="<{_ROOT}>"; '
            f'start-info="application/soap+xml"; action="{action}"'
        )
        kind = 'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
        self._pieces: list[bytes] = [_head(mark, kind, _ROOT), envelope]
        for part in parts:
            self._pieces += [b"\r\n", _head(mark, "application/octet-stream", part.content_id), part.content]
        self._pieces.append(f"\r\n--{mark}--\r\n".encode())

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(map(len, self._pieces))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, piece by piece."""
        for piece in self._pieces:
            for start in range(0, len(piece), _CHUNK):
                yield piece if len(piece) <= _CHUNK else piece[start : start + _CHUNK]


_ROOT = "root@vaguemestre"


def _head(mark: str, kind: str, content_id: str) -> bytes:
    lines = (
        f"--{mark}",
        f"Content-Type: {kind}",
        "Content-Transfer-Encoding: binary",
        f"Content-ID: <{content_id}>",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def envelope_of(content_type: str, body: bytes) -> bytes:
    """The SOAP envelope of an answer: the body itself, or the root part of a multipart.

    Raises:
        ValueError: a multipart without its boundary or its root part.
    """
    header = Header()
    header["Content-Type"] = content_type
    if header.get_content_maintype() != "multipart":
        return body
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise ValueError("a multipart answer without a boundary")
    start = str(header.get_param("start") or "")
    parts = [_part(one) for one in _split(body, boundary.encode("latin-1", "replace"))]
    if not parts:
        raise ValueError("a multipart answer without a part")
    return next((content for name, content in parts if start and name == start), parts[0][1])


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the boundaries. A line end before a boundary belongs to it; LF alone is borne."""
    pieces = (b"\r\n" + body).split(b"\n--" + boundary)
    found = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        found.append(piece.partition(b"\n")[2].removesuffix(b"\r"))
    return found


def _part(piece: bytes) -> tuple[str, bytes]:
    """Content-ID (with its angle brackets) and content."""
    end = piece.find(b"\r\n\r\n")
    skip = 4
    if end < 0:
        end, skip = piece.find(b"\n\n"), 2
    if end < 0:
        return "", piece
    headers = BytesHeaderParser(policy=policy.compat32).parsebytes(piece[:end])
    return str(headers.get("Content-ID", "")).strip(), piece[end + skip :]
