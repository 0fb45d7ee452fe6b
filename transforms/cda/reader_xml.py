"""Reading a CDA document: its elements by name, its words by identifier, the place of an element."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from channels.errors import ParseError, UnsupportedError
from transforms.report import Coding, Concept, Identifier, LeftOut, Moment

HL7 = "urn:hl7-org:v3"
_NAME = f"{{{HL7}}}"
_SDTC = "{urn:hl7-org:sdtc}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_TIME = re.compile(r"(\d{4}(?:\d\d){0,5}(?:\.\d+)?)([+-]\d{4})?", re.ASCII)
_BLOCKS = frozenset(f"{_NAME}{one}" for one in ("paragraph", "tr", "item", "caption", "table", "list"))
_CELLS = frozenset({f"{_NAME}td", f"{_NAME}th"})
Element = etree._Element  # noqa: SLF001  # lxml has no public name for it


class Source:
    """One document: its root, the words under each identifier, what of it is not read."""

    def __init__(self, body: bytes) -> None:
        """Raises ParseError: not XML, or with a document type; UnsupportedError: not a CDA document."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True)
        try:
            root = etree.fromstring(body, parser)
        except etree.XMLSyntaxError as error:
            line, column = error.position
            raise ParseError("not well-formed XML", f"{line}:{column}") from None
        if root.getroottree().docinfo.doctype:
            raise ParseError("a CDA document has no document type (DOCTYPE)", "1:1")
        if root.tag != f"{_NAME}ClinicalDocument":
            found = next(root.iter(f"{_NAME}ClinicalDocument"), None)  # self-presentable: inside a style sheet
            if found is None:
                raise UnsupportedError("not a CDA document", f"/{etree.QName(root).localname}")
            root = found
        self.root = root
        self.left_out: list[LeftOut] = []
        self._named = {str(one.get("ID")): one for one in root.iter(f"{_NAME}*") if one.get("ID")}

    def words(self, name: str) -> str:
        """What a reader sees under an identifier of the narrative; ``""`` when nothing has it."""
        found = self._named.get(name)
        return "" if found is None else words(found)

    def has(self, name: str) -> bool:
        """Whether something has this identifier."""
        return name in self._named

    def referred(self, element: Element | None) -> str:
        """Words of an ``originalText`` or ``text``: those it points to, else its own."""
        if element is None:
            return ""
        reference = child(element, "reference")
        if reference is not None:
            return self.words(reference.get("value", "").removeprefix("#"))
        return words(element)

    def skip(self, element: Element, reason: str) -> None:
        """Note what is not read."""
        self.left_out.append(LeftOut(place(element), reason))

    def skip_others(self, element: Element, known: frozenset[str]) -> None:
        """Note the children whose name is not known."""
        for one in element:
            if isinstance(one.tag, str) and etree.QName(one).localname not in known:
                self.skip(one, "an element that a report does not carry")


def child(element: Element | None, *path: str) -> Element | None:
    """The first element at this path of names (``sdtc:`` for that namespace)."""
    for name in path:
        if element is None:
            return None
        tag = f"{_SDTC}{name[5:]}" if name.startswith("sdtc:") else f"{_NAME}{name}"
        element = element.find(tag)
    return element


def children(element: Element | None, *path: str) -> list[Element]:
    """Every element of the last name, under the first of each name before."""
    parent = child(element, *path[:-1])
    return [] if parent is None else parent.findall(f"{_NAME}{path[-1]}")


def value(element: Element | None, *path: str, name: str = "value") -> str:
    """An attribute, ``""`` when it or its element lacks."""
    found = child(element, *path)
    return "" if found is None else found.get(name, "")


def text(element: Element | None, *path: str) -> str:
    """Text of an element, blanks around it removed."""
    found = child(element, *path)
    return "" if found is None else " ".join("".join(found.itertext()).split())


def local(element: Element) -> str:
    """Name without namespace; ``""`` for what is no element."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def kind(element: Element) -> str:
    """``xsi:type`` without its prefix."""
    return element.get(_TYPE, "").rpartition(":")[2]


def has_template(element: Element, root: str) -> bool:
    """Whether the element has this templateId."""
    return any(one.get("root") == root for one in children(element, "templateId"))


def words(element: Element) -> str:
    """Narrative as lines: ``br``, paragraphs, rows and items end one, cells are set apart by blanks."""
    lines = "".join(_words(element)).split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)


def _words(element: Element) -> Iterator[str]:
    yield _plain(element.text)
    for one in element:
        if not isinstance(one.tag, str):
            yield _plain(one.tail)
            continue
        if one.tag in _BLOCKS:
            yield "\n"
        if one.tag == f"{_NAME}br":
            yield "\n"
        yield from _words(one)
        link = one.get("href", "")
        if link and link.rstrip("/") not in "".join(one.itertext()):
            yield f" ({link})"
        if one.tag in _BLOCKS:
            yield "\n"
        elif one.tag in _CELLS:
            yield "  "
        yield _plain(one.tail)


def _plain(part: str | None) -> str:
    """A line break in the file is only its layout, and so are the blanks around it."""
    if not part or "\n" not in part:
        return part or ""
    joined = " ".join(part.split())
    if not joined:
        return ""
    return f"{' ' if part[0].isspace() else ''}{joined}{' ' if part[-1].isspace() else ''}"


def place(element: Element) -> str:
    """``/ClinicalDocument/component/structuredBody/component[2]/section``."""
    parts = []
    current: Element | None = element
    while current is not None and isinstance(current.tag, str):
        name = etree.QName(current).localname
        before = sum(1 for _ in current.itersiblings(current.tag, preceding=True))
        more = before or next(current.itersiblings(current.tag), None) is not None
        parts.append(f"{name}[{before + 1}]" if more and name != "ClinicalDocument" else name)
        current = None if name == "ClinicalDocument" else current.getparent()
    return "/" + "/".join(reversed(parts))


def moment(element: Element | None, *path: str) -> Moment | None:
    """A TS. Raises ParseError when it is no time."""
    found = child(element, *path)
    written = "" if found is None else found.get("value", "")
    if found is None or not written:
        return None
    match = _TIME.fullmatch(written)
    if not match:
        raise ParseError("not a time (YYYY[MM[DD[HH[MM[SS]]]]]+ZZZZ)", place(found))
    digits, zone = match[1], match[2] or ""
    return Moment(digits, zone if len(digits) > len("YYYYMMDD") else "", place=place(found))


def identifier(element: Element | None) -> Identifier | None:
    """An II with a root; None for a null one. Without extension its value is ``""``."""
    if element is None or not element.get("root"):
        return None
    return Identifier(element.get("extension", ""), element.get("root", ""), place(element))


def coding(element: Element | None) -> Coding | None:
    """The code of an element; None when it has none."""
    if element is None or not element.get("code"):
        return None
    label = element.get("displayName", "") or element.get("code", "")
    return Coding(
        element.get("code", ""), label, element.get("codeSystem", ""), element.get("codeSystemName", ""), place(element)
    )


def concept(element: Element | None, source: Source) -> Concept | None:
    """A CD or CE: its words are those of the narrative, else its label; None when it says nothing."""
    if element is None:
        return None
    main = coding(element)
    others = tuple(dict.fromkeys(filter(None, map(coding, children(element, "translation")))))
    shown = source.referred(child(element, "originalText"))
    said = shown or (main.label if main else "") or (others[0].label if others else "")
    return Concept(said, main, others, place(element)) if said else None
