"""YAML read with the place of every key and value, so that a fault is shown where it is.

YAML 1.2, less what a configuration does not need: no tags, no merge keys, no duplicate keys. Numbers and booleans are
taken as such only in their usual spelling; anything else stays the text that was written (``007``, ``1.50``, ``yes``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from channels.errors import ChannelFileError

Place = tuple[str | int, ...]
"""Where a value is in the data: ``("destinations", 0, "name")``."""

Mark = tuple[int, int]
"""Line and column in the file, from 1."""

_PLAIN = "tag:yaml.org,2002:"
_TAGS = {_PLAIN + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")}


@dataclass(slots=True)
class Document:
    """One YAML file as plain data.

    faults: what is wrong with it as YAML; ``data`` is None when it could not be read at all.
    """

    file: str
    data: Any = None
    faults: list[ChannelFileError] = field(default_factory=list)
    keys: dict[Place, Mark] = field(default_factory=dict)
    values: dict[Place, Mark] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict, repr=False)
    """What references stand for -> the reference: a fault shows the latter."""

    def value(self, place: Place) -> Mark:
        """Where the value at ``place`` begins, or what is nearest above it."""
        while place and place not in self.values:
            place = place[:-1]
        return self.values.get(place, (1, 1))

    def key(self, place: Place) -> Mark:
        """Where the key of ``place`` begins (an item of a list: its value), or what is nearest above it."""
        return self.keys[place] if place in self.keys else self.value(place)

    def fault(self, mark: Mark, problem: str) -> ChannelFileError:
        """A fault at one place of this file."""
        for value, reference in self.hidden.items():
            problem = problem.replace(repr(value), repr(reference))
            if len(value) > 3:  # a shorter one is in half of all words
                problem = problem.replace(value, reference)
        return ChannelFileError(self.file, *mark, problem)


def read(file: str, content: bytes) -> Document:
    """The document in a file; its faults are in it. file: the name that faults show."""
    document = Document(file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        mark = (before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        document.faults.append(document.fault(mark, "the file is not written in UTF-8"))
        return document
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        document.faults.append(_unreadable(document, error, text))
        return document
    if node is not None:
        document.data = _Builder(document).build(node, (), None)
    return document


def _unreadable(document: Document, error: YAMLError, text: str) -> ChannelFileError:
    if isinstance(error, ReaderError):
        before = text[: error.position]
        mark = (before.count("\n") + 1, error.position - before.rfind("\n"))
        return document.fault(mark, "a control character is not allowed in YAML")
    mark, problem = (1, 1), "this is not YAML"
    if isinstance(error, MarkedYAMLError):
        at = error.problem_mark or error.context_mark
        mark = (at.line + 1, at.column + 1) if at else mark
        problem = " ".join(part for part in (error.context, error.problem) if part) or problem
    return document.fault(mark, f"not YAML: {problem}")


class _Builder:
    """Makes plain data of nodes and notes where each came from."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()

    def build(self, node: Node, place: Place, key: Mark | None) -> Any:
        """key: the mark of its key, used for a value that is not written (``filter:``)."""
        own = (node.start_mark.line + 1, node.start_mark.column + 1)
        empty = isinstance(node, ScalarNode) and node.value == "" and node.style is None
        mark = key if empty and key else own
        self._document.values[place] = mark
        if node.tag not in _TAGS and str(node.tag).startswith("!"):
            self._fault(mark, "tags (`!…`) mean nothing here")
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            self._fault(mark, "an anchor contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.build(item, (*place, index), None) for index, item in enumerate(node.value)]
            return self._mapping(node.value, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, pairs: list[tuple[Node, Node]], place: Place) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value_node in pairs:
            mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                self._fault(mark, "a key is a word, not a list or a mapping")
                continue
            key = str(key_node.value)
            here = (*place, key)
            if key in made:
                line = self._document.keys[here][0]
                self._fault(mark, f"{key!r} is already written on line {line}")
                continue
            self._document.keys[here] = mark
            made[key] = self.build(value_node, here, mark)
        return made

    def _fault(self, mark: Mark, problem: str) -> None:
        self._document.faults.append(self._document.fault(mark, problem))


def _scalar(node: ScalarNode) -> Any:
    text = str(node.value)
    if node.style is not None:
        return text
    kind = str(node.tag).removeprefix(_PLAIN)
    if kind == "null":
        return None
    if kind == "bool" and text in ("true", "false"):
        return text == "true"
    if kind == "int" and text.lstrip("-").isdecimal() and str(int(text)) == text:
        return int(text)
    if kind == "float" and repr(_float(text)) == text:
        return _float(text)
    return text


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
