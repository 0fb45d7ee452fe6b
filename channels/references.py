"""``${NAME}``, ``${file:PATH}`` and ``${credential:NAME}``: what a file says by reference.

Replaced after parsing and in string values only, so a secret can neither change the structure of a file nor be shown
with it. ``$${`` is a ``${`` that means itself.

Source: systemd.exec(5), LoadCredential= and $CREDENTIALS_DIRECTORY.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from channels.yaml_places import Document, Place

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class References:
    """What references stand for, on this machine."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        """directory: the site's, where relative files are."""
        self._directory, self._environment = directory, environment

    def resolve(self, document: Document) -> Any:
        """The document's data with every reference replaced; one without value is a fault of the document."""
        return self._resolve(document, document.data, ())

    def _resolve(self, document: Document, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: self._resolve(document, one, (*place, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self._resolve(document, one, (*place, index)) for index, one in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            made = _REFERENCE.sub(self._replace, value)
        except LookupError as error:
            document.faults.append(document.fault(document.value(place), str(error.args[0])))
            return value
        document.hidden[made] = value
        return made

    def _replace(self, match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "${"
        kind, colon, rest = name.partition(":")
        if colon and kind == "file" and rest:
            return _content(self._directory / rest, name)
        if colon and kind == "credential" and rest:
            return self._credential(rest)
        if not _NAME.fullmatch(name):
            raise LookupError("a reference is ${NAME}, ${file:PATH} or ${credential:NAME}")
        if name not in self._environment:
            raise LookupError(f"the environment has no variable {name}")
        return self._environment[name]

    def _credential(self, name: str) -> str:
        folder = self._environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise LookupError(f"no credential {name}: systemd gave none to this process (LoadCredential=)")
        if "/" in name or name.startswith("."):
            raise LookupError("a credential is named without a path")
        return _content(Path(folder) / name, f"credential:{name}")


def _content(path: Path, reference: str) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError):
        raise LookupError(f"the file of ${{{reference}}} cannot be read") from None


def is_reference(value: Any) -> bool:
    """True for a text with a reference in it."""
    return isinstance(value, str) and any(match[1] is not None for match in _REFERENCE.finditer(value))
