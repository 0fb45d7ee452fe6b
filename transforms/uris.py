"""URIs, as far as files need them."""

from __future__ import annotations

import re
from pathlib import Path

_RESERVED = re.compile(r"[^A-Za-z0-9/._~-]+")
_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def decoded(text: str) -> str:
    """The text without percent-encoding."""
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace"), text)


def encoded(text: str) -> str:
    """The text with percent-encoding of what may not stand in a URI's path (RFC 3986)."""
    return _RESERVED.sub(lambda match: "".join(f"%{one:02X}" for one in match[0].encode()), text)


def file_uri(path: Path) -> str:
    """``file:/folder/name``, as Java writes it."""
    return f"file:{path.as_uri().removeprefix('file://')}"


def file_path(uri: str) -> Path | None:
    """The file of a ``file:`` URI; None for another kind of URI."""
    scheme, _, rest = uri.partition(":")
    return Path(decoded("/" + rest.lstrip("/"))) if scheme == "file" else None
