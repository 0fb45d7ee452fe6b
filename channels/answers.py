"""Answers of one destination that go, as messages, into another channel of the site (``answers:``).

An answer is handed over before the delivery is settled: a crash in between sends again, and the other channel's edge
recognises the answer by the delivery that it is about (``channels.links``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from channels import registry
from channels.errors import MessageError, ParseError
from channels.journal.records import State
from channels.links import Links, marked
from channels.message import Message
from channels.model import AnswersModel
from channels.values import value

log = structlog.get_logger()

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0


@value
class End:
    """How a delivery ended, besides its state."""

    error: MessageError | None = None
    problem: str = ""
    reference: str = ""
    sent: bytes = b""
    answer: bytes = b""


class Answers:
    """Hands over how each delivery of one destination ended."""

    def __init__(self, route: str, model: AnswersModel, links: Links) -> None:
        """route: ``channel/destination``."""
        self._route, self._model, self._links = route, model, links

    async def hand_over(
        self,
        number: int,
        state: State,
        end: End,
        received: Message | None,
        sent: Message | None = None,
        waits: Callable[[str], None] | None = None,
    ) -> None:
        """Until the other channel's journal has it; raises nothing.

        number: of the message. received: what the channel got; None when it cannot be read. sent: what the destination
        took or refused; None when nothing was made. waits: told why, each time that it is not taken.
        """
        message = self._message(number, state, end, received, sent)
        wait = _FIRST_WAIT
        while True:
            intake = self._links.intake(self._model.channel)
            if intake is not None:
                outcome = await intake.receive(message)
                if outcome.error is None or not outcome.error.retry:
                    return  # on disk; refused by the other channel's steps, it is a dead letter there
            if wait == _FIRST_WAIT:
                log.warning("an answer waits", route=self._route, message=number, channel=self._model.channel)
            if waits is not None:
                waits(f"an answer waits: the channel {self._model.channel} does not take it now")
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _message(self, number: int, state: State, end: End, received: Message | None, sent: Message | None) -> Message:
        attributes = {
            "answer_state": state,
            "answer_place": end.error.place if end.error else "",
            "answer_condition": end.error.condition if end.error else "",
            "answer_problem": end.problem,
            "answer_reference": end.reference,
            "answer_to": sent.control_id if sent else "",
        }
        if self._model.body == "answer":
            message = _read(end.answer)
        else:
            message = received or Message(b"", "raw")
            attributes = {**message.attributes, **attributes, "answer": end.answer.decode("latin-1")}
        control_id, now = f"{number}.{self._route}", time.time()
        made = replace(
            message, id=0, parents=(number,), control_id=control_id, sender=self._route, received=now,
            attributes=attributes,
        )  # fmt: skip
        return marked(made, self._route, number, "answer")


def _read(answer: bytes) -> Message:
    """An answer as a message: HL7 v2 when it is, else raw."""
    if answer.startswith(b"MSH"):
        try:
            read: Message = registry.load(registry.MESSAGE)(answer, 0.0)
        except ParseError:
            return Message(answer, "raw")
        return read
    return Message(answer, "raw")
