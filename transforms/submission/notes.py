"""What is noticed while a request is read: refused in strict reading, else carried beside the request.

A transform cannot give findings to the acknowledgement: they travel in the message's attributes, as text for its story
(``findings``) and as data for whoever answers its sender (``channels.noticed``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from channels.errors import Finding, MessageError
from channels.message import Message
from channels.noticed import ATTRIBUTE, read, written

STORY = "findings"
Level = Literal["strict", "tolerant"]


class Notes:
    """Collects findings; strict: the first one that a strict reader refuses is raised."""

    def __init__(self, level: Level = "tolerant") -> None:
        self.strict = level == "strict"
        self.findings: list[Finding] = []

    def warn(self, place: str, code: str, problem: str, *, always: bool = False) -> None:
        """Notice something. always: a strict reader only warns too. Raises MessageError when it refuses."""
        if self.strict and not always:
            raise MessageError(problem, place, code)
        finding = Finding(place, code, problem)
        if finding not in self.findings:
            self.findings.append(finding)


def noted(message: Message, findings: list[Finding]) -> Message:
    """The message with what was noticed, after what was noticed before."""
    if not findings:
        return message
    story = "; ".join(f"{one.place}: {one.problem} ({one.code})" for one in findings)
    before = message.attributes.get(STORY, "")
    attributes = {
        **message.attributes,
        STORY: f"{before}; {story}" if before else story,
        ATTRIBUTE: written((*warnings(message), *findings)),
    }
    return replace(message, attributes=attributes)


def warnings(message: Message) -> tuple[Finding, ...]:
    """What transforms noticed, for the acknowledgement (``Outcome.findings``)."""
    return read(message.attributes)
