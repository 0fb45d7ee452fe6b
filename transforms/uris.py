"""URIs, as far as files need them."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def decoded(text: str) -> str:
    """The text without percent-encoding."""
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace"), text)


def file_uri(path: Path) -> str:
    """``file:/folder/name``, as Java writes it."""
    return f"file:{path.as_uri().removeprefix('file://')}"


def file_path(uri: str) -> Path | None:
    """The file of a ``file:`` URI; None for another kind of URI."""
    scheme, _, rest = uri.partition(":")
    return Path(decoded("/" + rest.lstrip("/"))) if scheme == "file" else None
