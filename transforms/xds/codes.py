"""Codes of a document, checked against the value set that metadata have for them."""

from __future__ import annotations

from dataclasses import dataclass

from channels.errors import ProfileError
from transforms.cda.reader_xml import Element
from transforms.xds.model import Code
from transforms.xds.settings import XdsSettings
from transforms.xds.values import SETS, values


@dataclass(frozen=True, slots=True)
class Codes:
    """Reads codes, by the site's policy on those that are not of their set."""

    settings: XdsSettings

    def of(self, element: Element | None, name: str, where: str) -> Code:
        """The code of an element with the display and the system of its set. name: file of the set.

        Raises:
            ProfileError: missing (101); not of the set, or of another system (103), unless the policy passes it.
        """
        code = element.get("code", "") if element is not None else ""
        if element is None or not code:
            raise ProfileError("the code is missing", where, "101")
        known, system = values(name).get(code), element.get("codeSystem", "")
        if known is not None and system in ("", known.system):
            return known
        if self.settings.unknown_code == "refuse" or not system:
            raise ProfileError(f"the code is not of the value set {SETS[name]}", where, "103")
        return Code(code, element.get("displayName") or code, system)

    def or_default(self, element: Element | None, name: str, where: str, default: str | None, setting: str) -> Code:
        """The same; for an element without code, the code of a setting. Raises ProfileError."""
        if element is not None and element.get("code"):
            return self.of(element, name, where)
        if default is None:
            raise ProfileError(f"the document does not say it, and neither does the setting {setting!r}", where, "101")
        return values(name)[default]
