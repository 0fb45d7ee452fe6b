"""What steps notice in a message without refusing it, for the acknowledgement of its sender.

A transform gives messages and nothing else: it leaves its warnings in their attributes, and with ``ack: transformed``
the channel returns them in the outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from channels.errors import Finding
from channels.message import Message

ATTRIBUTE = "warnings"


def is_warned(message: Message) -> bool:
    """Whether something was noticed in a message: by its source (attribute ``findings``) or by a step."""
    return "findings" in message.attributes or message.attributes.get(ATTRIBUTE, "[]") != "[]"


def written(findings: Iterable[Finding]) -> str:
    """The attribute's text."""
    return json.dumps([[one.place, one.code, one.problem] for one in findings], ensure_ascii=False)


def read(attributes: Mapping[str, str]) -> tuple[Finding, ...]:
    """The warnings that a message carries."""
    return tuple(Finding(*one) for one in json.loads(attributes.get(ATTRIBUTE, "[]")))


def noticed(messages: Iterable[Message]) -> tuple[Finding, ...]:
    """The warnings of all these messages, each once."""
    return tuple(dict.fromkeys(one for message in messages for one in read(message.attributes)))
