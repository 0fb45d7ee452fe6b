"""Versions of documents, as a transform sees them; ``channels.versions`` remembers them.

A transform is pure and cannot count. One that writes documents is marked ``numbered`` and asks ``issue_of`` which
version its message is. Where the engine remembers (``REMEMBERED`` among the attributes), an answer that the message
does not carry yet is asked for by raising ``VersionNeeded``: the engine reserves the number on disk, notes it in the
message's attributes, and runs the steps again. Elsewhere (tests, commands) there is no answer, and a document is the
first of its series.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from channels.errors import VersionNeeded, WorkerError
from channels.message import Message
from channels.values import value

F = TypeVar("F", bound=Callable[..., Any])

REMEMBERED = "versions"
"""Attribute of a message whose channel remembers versions."""

_PREFIX = "version "


@value
class Issue:
    """Which version of its series a content is.

    document: its identifier. replaces: that of the version before, ``""`` for the first one.
    before: what the transform noted of the version before.
    """

    number: int
    document: str
    replaces: str = ""
    before: str = ""


def numbered(function: F) -> F:
    """Mark a transform that asks for versions: its channel remembers them. It must also be marked ``in_worker``."""
    function.numbered = True  # type: ignore[attr-defined]  # a mark that the pipeline reads
    return function


def issue_of(message: Message, series: str, content: str, document: str, note: str) -> Issue | None:
    """The version of a content; None where nobody remembers versions.

    series: identifier that all versions share. content: digest of what this version is made from.
    document: identifier (UUID) to give it when it is new. note: kept for the version after; no patient data.

    Raises:
        VersionNeeded: the engine remembers, and has not been asked yet.
    """
    if REMEMBERED not in message.attributes:
        return None
    said = message.attributes.get(_attribute(series, content))
    if said is None:
        raise VersionNeeded(series, content, document, note)
    return Issue(*json.loads(said))


def remembered(message: Message) -> Message:
    """The message, in a channel that remembers versions."""
    return replace(message, attributes={**message.attributes, REMEMBERED: "yes"})


def forgotten(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes without what was asked and told: another channel asks anew."""
    return {name: text for name, text in attributes.items() if name != REMEMBERED and not name.startswith(_PREFIX)}


def told(message: Message, need: VersionNeeded, issue: Issue) -> Message:
    """The message with the answer. Raises WorkerError when it had one: the transform does not read it."""
    name = _attribute(need.series, need.content)
    if name in message.attributes:
        raise WorkerError("a version was asked for twice")
    said = json.dumps([issue.number, issue.document, issue.replaces, issue.before])
    return replace(message, attributes={**message.attributes, name: said})


def _attribute(series: str, content: str) -> str:
    return f"{_PREFIX}{series} {content}"
