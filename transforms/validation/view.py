"""A CR-Bio as our own rules look at it: its identifiers, its sections, the rows of its narrative."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, NamedTuple

from lxml import etree

from transforms.validation.document import CDA, PREFIXES
from transforms.validation.faults import Level

_HL7 = f"{{{CDA}}}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
RESULT = "1.2.250.1.213.1.1.3.80"
IHE_RESULT = "1.3.6.1.4.1.19376.1.3.1.6"
_SPACES = re.compile(r"\s+")


@cache
def _compiled(path: str) -> etree.XPath:
    """An XPath of our rules, which are few; reading one takes longer than running it."""
    return etree.XPath(path, namespaces=PREFIXES)


class Found(NamedTuple):
    """One broken rule of ours."""

    element: Any
    text: str
    level: Level = "error"


class View:
    """One document. domain: ``production`` or ``test``; ``""``: unknown, then any OID of the INS may stand."""

    def __init__(self, root: Any, domain: str) -> None:
        self.domain = domain
        inner = root.iter(f"{_HL7}ClinicalDocument")
        self.root = next(inner, root)

    def all(self, path: str, start: Any = None) -> list[Any]:
        """What an XPath finds; prefixes ``cda``, ``lab``, ``sdtc``."""
        found = _compiled(path)(self.root if start is None else start)
        return found if isinstance(found, list) else [found]

    def elements(self, *names: str) -> Iterator[Any]:
        """Every CDA element of these names, in the order of the document."""
        yield from self.root.iter(*(f"{_HL7}{name}" for name in names))

    @cached_property
    def by_id(self) -> dict[str, Any]:
        """Elements by their ``ID``; the first when several have it."""
        found: dict[str, Any] = {}
        for element in self.root.iter(etree.Element):
            name = element.get("ID")
            if name is not None:
                found.setdefault(name, element)
        return found

    @cached_property
    def results(self) -> list[Any]:
        """The observations that are results of tests."""
        return [one for one in self.elements("observation") if {RESULT, IHE_RESULT} & self.templates(one)]

    @property
    def structured(self) -> bool:
        """Whether the body has chapters (level 3), not only a PDF."""
        return bool(self.all("cda:component/cda:structuredBody"))

    @staticmethod
    def templates(element: Any) -> set[str]:
        """Roots of the templates of an element."""
        return {one.get("root", "") for one in element.iterchildren(f"{_HL7}templateId")}

    def target(self, reference: Any) -> Any:
        """What a ``reference`` points to; None when it is nothing of the document."""
        name = reference.get("value", "")
        return self.by_id.get(name[1:]) if name.startswith("#") else None

    def shown(self, element: Any, path: str = "cda:code/cda:originalText/cda:reference") -> Any:
        """The words that show a coded thing."""
        targets = map(self.target, self.all(path, element))
        return next((one for one in targets if one is not None), None)


def kind(value: Any) -> str:
    """``xsi:type`` without its prefix."""
    return str(value.get(_TYPE, "")).rpartition(":")[2]


def child(element: Any, name: str) -> Any:
    """The first CDA child of this name, or None."""
    return element.find(f"{_HL7}{name}")


def words(element: Any) -> str:
    """The text of an element; cells and line breaks are blanks."""
    return _SPACES.sub(" ", " ".join(map(str, element.itertext()))).strip()


def row(content: Any) -> Any:
    """The row of the table that holds a word of the narrative; the paragraph, else the word itself."""
    for one in content.iterancestors(f"{_HL7}tr", f"{_HL7}paragraph", f"{_HL7}item", f"{_HL7}text"):
        return one
    return content


def section(element: Any) -> Any:
    """The section that an element stands in, or None."""
    return next(element.iterancestors(f"{_HL7}section"), None)
