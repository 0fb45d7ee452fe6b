"""The last step of an XSLT match pattern: what an element must be for the pattern to have a chance."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"(?:child::)?(?:(?P<prefix>[A-Za-z_][\w.-]*):)?(?P<local>[A-Za-z_][\w.-]*)")
_TEMPLATE = re.compile(
    r"""\s*(?P<prefix>[\w.-]+):templateId(?:/@root\s*=\s*(['"])(?P<root>[^'"]*)\2\s*(?P<more>and\b.*)?"""
    r"""|\[\s*@root\s*=\s*(['"])(?P<inner>[^'"]*)\5\s*\]\s*)""",
    re.DOTALL,
)
_CDA = "urn:hl7-org:v3"
_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True, slots=True)
class Step:
    """One alternative of a pattern.

    name: ``{uri}local``, ``""`` for any. parent: the same of the element above, ``""`` when it may be any.
    template: the root of a CDA ``templateId`` that the element must have, ``""`` for none.
    document: matches the document itself. other: an attribute, a text, a comment...
    """

    name: str = ""
    parent: str = ""
    template: str = ""
    document: bool = False
    other: bool = False


def last_steps(pattern: str, prefixes: dict[str, str]) -> list[Step]:
    """One for each alternative of the pattern; what is not understood may match any element."""
    return [_step(one.strip(), prefixes) for one in _split(pattern, "|")]


def _step(pattern: str, prefixes: dict[str, str]) -> Step:
    if pattern == "/":
        return Step(document=True)
    steps = [one.strip() for one in _split(pattern, "/")]
    last, *predicates = _split(steps[-1], "[")
    last = last.strip().removeprefix("child::")
    if last.startswith(("@", "attribute::")) or last.endswith(("text()", "node()", "comment()")):
        return Step(other=True)
    above = _split(steps[-2], "[")[0] if len(steps) > 1 else ""  # "" between the slashes of //
    template = next(filter(None, (_template(one.rstrip().removesuffix("]"), prefixes) for one in predicates)), "")
    return Step(_qualified(last, prefixes), _qualified(above, prefixes), template)


def _template(predicate: str, prefixes: dict[str, str]) -> str:
    match = _TEMPLATE.fullmatch(predicate)
    if match is None or prefixes.get(match["prefix"]) != _CDA or re.search(r"\bor\b", match["more"] or ""):
        return ""
    return match["root"] or match["inner"]


def _qualified(step: str, prefixes: dict[str, str]) -> str:
    match = _NAME.fullmatch(step.strip())
    if match is None:
        return ""
    uri = prefixes.get(match["prefix"] or "", "")
    if match["prefix"] and not uri:
        return ""
    return f"{{{uri}}}{match['local']}" if uri else match["local"]


def _split(pattern: str, separator: str) -> list[str]:
    """Parts between separators that are outside brackets and quotes; an opening bracket as separator opens a part."""
    parts, quote = [""], ""
    depth: list[str] = []
    for sign in pattern:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == separator and not depth:
            parts.append("")
            if sign in _CLOSING:
                depth.append(_CLOSING[sign])
            continue
        elif sign in _CLOSING:
            depth.append(_CLOSING[sign])
        elif depth and sign == depth[-1]:
            depth.pop()
        parts[-1] += sign
    return parts
