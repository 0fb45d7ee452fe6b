"""ISO Schematron (query binding xslt2) -> one XSLT 3 style sheet, made to run in milliseconds.

The style sheet reports a number for each failed check, and the element's path; texts stay here. What a text would quote
of the document is left out of it.

Source: ISO/IEC 19757-3:2016.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any

from lxml import etree

from channels.errors import ConfigError
from transforms.uris import file_uri
from transforms.validation.dispatch import Pattern, walk
from transforms.validation.faults import Level
from transforms.validation.steps import last_steps
from transforms.validation.stylesheet import OWN, XSL, plain, xsl

_SCHEMATRON = "{http://purl.oclc.org/dsdl/schematron}"
_LEVELS: dict[str, Level] = {"warning": "warning", "warn": "warning", "info": "info", "information": "info"}
_VARIABLE = re.compile(r"\$([\w.-]+)")
_DOCUMENT = re.compile(r"(?<![\w:.$-])(document|doc|doc-available)(?=\s*\()")
_LITERAL = re.compile(r"""\s*\(\s*(['"])([^'"]*)\1\s*\)""")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Check:
    """One assert or report. rule: pattern, rule and the check's own name."""

    level: Level
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Program:
    """A style sheet and what the numbers of its report mean.

    Its documents (value sets) come from the parameter ``vgm:documents``: a map, absolute URI -> document node, or
    nothing when there is no such document. A URI that the map lacks stops it with ``vgm:missing`` and that URI.
    """

    stylesheet: str
    checks: tuple[Check, ...]
    documents: frozenset[str]
    """URI of documents that it must have before it runs."""


def program(path: Path, *, guarded: bool = False) -> Program:
    """Read a schema with all that it includes, and write its style sheet.

    guarded: a check that cannot be evaluated reports so, where the bare style sheet stops. It is slower: for documents
        on which the bare one stopped.

    Raises:
        ConfigError: a file lacks, is not XML or not a Schematron schema.
    """
    schema = _load(path)
    if _name(schema) != "schema":
        raise ConfigError(f"{path}: not a Schematron schema")
    _instantiate(schema, path)
    writer = _Writer(schema, path, guarded=guarded)
    return Program(writer.write(), tuple(writer.checks), frozenset(writer.documents))


def _name(node: Any) -> str:
    """Local name of a Schematron element; ``""`` for anything else."""
    if not isinstance(node.tag, str) or not node.tag.startswith(_SCHEMATRON):
        return ""
    return node.tag[len(_SCHEMATRON) :]


def _children(node: Any, name: str) -> list[Any]:
    return [child for child in node if _name(child) == name]


def _on_disk(path: Path) -> Path:
    """The file whose name differs at most by the case of its letters: schemas come from systems that ignore it."""
    if path.is_file() or not path.parent.is_dir():
        return path
    return next((one for one in path.parent.iterdir() if one.name.lower() == path.name.lower()), path)


def _load(path: Path) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root: Any = etree.parse(_on_disk(path), parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for include in list(root.iter(f"{_SCHEMATRON}include")):
        href, _, fragment = str(include.get("href")).partition("#")
        part = _load(path.parent / href)
        if fragment:
            part = next((one for one in part.iter() if fragment == one.get("id")), None)
            if part is None:
                raise ConfigError(f"{path}: includes {href}#{fragment}, which is not there")
        part.tail = None
        include.getparent().replace(include, part)
    return root


def _instantiate(schema: Any, path: Path) -> None:
    """Patterns made from abstract ones (``is-a`` and ``param``)."""
    patterns = list(schema.iter(f"{_SCHEMATRON}pattern"))
    abstract = {one.get("id"): one for one in patterns if one.get("abstract") == "true"}
    for pattern in patterns:
        model = pattern.get("is-a")
        if model is None:
            continue
        if model not in abstract:
            raise ConfigError(f"{path}: no abstract pattern is called {model!r}")
        values = {param.get("name"): param.get("value") for param in _children(pattern, "param")}
        made = copy.deepcopy(abstract[model])
        del made.attrib["abstract"]
        made.set("id", pattern.get("id") or model)
        _substitute(made, values)
        made.tail = None
        pattern.getparent().replace(pattern, made)


def _substitute(pattern: Any, values: dict[str, str]) -> None:
    if not values:
        return
    names = "|".join(re.escape(one) for one in sorted(values, key=len, reverse=True))
    parameter = re.compile(rf"\$({names})")
    for node in pattern.iter(etree.Element):
        for key, text in node.attrib.items():
            node.set(key, parameter.sub(lambda match: values[match[1]], text))


def _active(schema: Any) -> list[Any]:
    """The patterns of the default phase."""
    patterns = [one for one in schema.iter(f"{_SCHEMATRON}pattern") if one.get("abstract") != "true"]
    phase = schema.get("defaultPhase", "#ALL")
    if phase == "#ALL":
        return patterns
    wanted = {
        active.get("pattern")
        for one in _children(schema, "phase")
        if one.get("id") == phase
        for active in _children(one, "active")
    }
    return [one for one in patterns if one.get("id") in wanted]


class _Writer:
    """Writes the style sheet of one schema."""

    def __init__(self, schema: Any, path: Path, *, guarded: bool) -> None:
        self._schema, self._path, self._guarded = schema, path, guarded
        self._patterns = _active(schema)
        self._abstract = {
            rule.get("id"): rule for rule in schema.iter(f"{_SCHEMATRON}rule") if rule.get("abstract") == "true"
        }
        self._prefixes = _prefixes(schema)
        self._shared: dict[str, str] = {}
        self._root: Any = etree.Element(f"{{{XSL}}}stylesheet", nsmap=self._prefixes)
        self.checks: list[Check] = []
        self.documents: set[str] = set()

    def write(self) -> str:
        """The style sheet; fills ``checks`` and ``documents``."""
        root = self._root
        root.set("version", "3.0")
        root.set("exclude-result-prefixes", "#all")
        root.set("{http://www.w3.org/XML/1998/namespace}base", file_uri(self._path))
        xsl(root, "output", method="xml", indent="no", omit_xml_declaration="yes")
        _documents(root)
        self._variables()
        walk(root, [self._pattern(number, one) for number, one in enumerate(self._patterns)], self._prefixes)
        return etree.tostring(root, encoding="unicode")

    def _variables(self) -> None:
        """Variables of the schema and of its patterns: all are global, since patterns read each other's."""
        seen = set()
        for holder in (self._schema, *self._patterns):
            for let in _children(holder, "let"):
                if let.get("name") not in seen:
                    xsl(self._root, "variable", name=let.get("name"), select=_expression(let.get("value")))
                    seen.add(let.get("name"))

    def _pattern(self, number: int, pattern: Any) -> Pattern:
        """The templates of one pattern; the first rule that matches wins."""
        title = pattern.get("id") or next((one.text or "" for one in _children(pattern, "title")), "").strip()
        rules = [rule for rule in _children(pattern, "rule") if rule.get("abstract") != "true"]
        made = Pattern(number, [last_steps(rule.get("context"), self._prefixes) for rule in rules])
        modes = set()
        for place, rule in enumerate(rules):
            mode = made.modes(place)
            modes |= set(mode.split())
            priority = str(len(rules) - place)
            context = self._context(rule.get("context"))
            template = xsl(self._root, "template", match=context, mode=mode, priority=priority)
            name = "/".join(part for part in (title, rule.get("id") or str(place + 1)) if part)
            inside = self._guard(template, name) if self._guarded else template
            self._rule(inside, rule, name, ())
        for mode in sorted(modes):
            xsl(self._root, "mode", name=mode, on_no_match="deep-skip", on_multiple_match="use-last")
        return made

    def _context(self, pattern: str) -> str:
        """A context; a document that it reads must be known before: what fails in a context is taken for false."""
        for match in _DOCUMENT.finditer(pattern):
            literal = _LITERAL.match(pattern, match.end())
            if literal is None:
                raise ConfigError(f"{self._path}: a context reads a document whose name is computed")
            self.documents.add(file_uri(Path(normpath(self._path.parent / literal[2]))))
        return _expression(pattern)

    def _rule(self, holder: Any, rule: Any, name: str, seen: tuple[str, ...]) -> None:
        """Variables and checks of one rule, with those that it extends."""
        for child in rule:
            kind = _name(child)
            if kind == "let":
                xsl(holder, "variable", name=child.get("name"), select=_expression(child.get("value")))
            elif kind in ("assert", "report"):
                self._check(holder, child, name)
            elif kind == "extends":
                self._extend(holder, rule, child.get("rule"), name, seen)

    def _extend(self, holder: Any, rule: Any, base_name: str, name: str, seen: tuple[str, ...]) -> None:
        """An abstract rule: a template that all its rules call, or its content here when its variables are read."""
        base = self._abstract.get(base_name)
        if base is None or base_name in seen:
            raise ConfigError(f"{self._path}: the rule {name} extends {base_name!r}, which is not there or is itself")
        if self._declared(base, seen) & _read(rule):
            self._rule(holder, base, name, (*seen, base_name))
            return
        if base_name not in self._shared:
            self._shared[base_name] = f"r{len(self._shared)}"
            shared = xsl(self._root, "template", name=self._shared[base_name])
            inside = self._guard(shared, base_name) if self._guarded else shared
            self._rule(inside, base, base_name, (*seen, base_name))
        xsl(holder, "call-template", name=self._shared[base_name])

    def _declared(self, rule: Any, seen: tuple[str, ...]) -> set[str]:
        """Names of the variables of a rule and of those that it extends."""
        found = {let.get("name") for let in _children(rule, "let")}
        for extends in _children(rule, "extends"):
            base = self._abstract.get(extends.get("rule"))
            if base is not None and extends.get("rule") not in seen:
                found |= self._declared(base, (*seen, extends.get("rule")))
        return found

    def _check(self, holder: Any, check: Any, name: str) -> None:
        test, own = _expression(check.get("test")), check.get("id")
        level = _LEVELS.get((check.get("role") or "").strip().lower(), "error")
        number = len(self.checks)
        self.checks.append(Check(level, f"{name}#{own}" if own else name, _text(check)))
        inside = xsl(holder, "try") if self._guarded else holder
        _failure(xsl(inside, "if", test=test if _name(check) == "report" else f"not(({test}))"), number)
        if self._guarded:
            _failure(xsl(inside, "catch"), number, broken=True)

    def _guard(self, holder: Any, name: str) -> Any:
        """A place whose variables may fail."""
        guard = xsl(holder, "try")
        inside = xsl(guard, "sequence")
        number = len(self.checks)
        self.checks.append(Check("error", name, "variables of the rule"))
        _failure(xsl(guard, "catch"), number, broken=True)
        return inside


def _failure(holder: Any, number: int, *, broken: bool = False) -> None:
    """``<f c="12" n="/Q{…}ClinicalDocument[1]/…"/>``; b and t: the check could not be evaluated, and why."""
    why = {"b": "{$err:code}", "t": "{$err:description}"} if broken else {}
    plain(holder, "f", c=str(number), n="{path(.)}", **why)


def _documents(root: Any) -> None:
    """The functions that stand for ``doc``, ``document`` and ``doc-available``: Saxon opens no file itself."""
    xsl(root, "param", name="vgm:documents", select="map{}")
    known = "$vgm:documents($vgm:uri)"
    for name, found in (("vgm:doc", known), ("vgm:doc-available", f"exists({known})")):
        function = xsl(root, "function", name=name)
        xsl(function, "param", name="vgm:href")
        xsl(function, "variable", name="vgm:uri", select="string(resolve-uri(string($vgm:href), static-base-uri()))")
        missing = f"error(QName('{OWN}', 'vgm:missing'), concat($vgm:uri, '|'))"
        xsl(function, "sequence", select=f"if (map:contains($vgm:documents, $vgm:uri)) then {found} else {missing}")


def _expression(xpath: str) -> str:
    """An expression whose documents come from us."""
    return _DOCUMENT.sub(lambda match: "vgm:doc-available" if match[1] == "doc-available" else "vgm:doc", xpath)


def _text(check: Any) -> str:
    """The check's message; a value of the document in it becomes an ellipsis."""
    parts = [check.text or ""]
    for child in check:
        kind = _name(child)
        parts.append("…" if kind in ("value-of", "name") else "".join(child.itertext()) if kind else "")
        parts.append(child.tail or "")
    return _SPACES.sub(" ", "".join(parts)).strip()


def _read(rule: Any) -> set[str]:
    """Names of the variables that a rule's own expressions read and do not declare."""
    own = {let.get("name") for let in _children(rule, "let")}
    values = (value for child in rule for node in child.iter(etree.Element) for value in node.attrib.values())
    return {name for value in values for name in _VARIABLE.findall(value)} - own


def _prefixes(schema: Any) -> dict[str, str]:
    """Prefixes of the expressions: those declared by ``ns``, else by the elements themselves; then ours."""
    found = {one.get("prefix"): one.get("uri") for one in schema.iter(f"{_SCHEMATRON}ns")}
    for node in schema.iter(etree.Element):
        for prefix, uri in node.nsmap.items():
            if prefix:
                found.setdefault(prefix, uri)
    found.pop("xml", None)
    found.setdefault("xs", "http://www.w3.org/2001/XMLSchema")
    ours = {
        "cda": "urn:hl7-org:v3",
        "err": "http://www.w3.org/2005/xqt-errors",
        "map": "http://www.w3.org/2005/xpath-functions/map",
        "vgm": OWN,
        "xsl": XSL,
    }
    return found | ours
