"""Answers of one destination that go, as messages, into another channel of the site (``answers:``).

An answer is handed over before the delivery is settled: a crash in between sends again, and the other channel's edge
recognises the answer by its control id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from channels.errors import MessageError
from channels.journal.records import State
from channels.lanes import Entry, Work
from channels.links import Links
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

    async def hand_over(self, entry: Entry, state: State, end: End, read: Callable[[int], Work]) -> None:
        """Until the other channel's journal has it. read: a message of the journal by its number."""
        message = self._message(entry, state, end, read)
        wait = _FIRST_WAIT
        while True:
            intake = self._links.intake(self._model.channel)
            if intake is not None:
                outcome = await intake.receive(message)
                if outcome.error is None or not outcome.error.retry:
                    return  # on disk; refused by the other channel's steps, it is a dead letter there
            log.warning("an answer waits", route=self._route, message=entry.id, channel=self._model.channel)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _message(self, entry: Entry, state: State, end: End, read: Callable[[int], Work]) -> Message:
        work, sent = entry.work, entry.outputs
        if self._model.body == "message" and work is None:
            work = _readable(entry.id, read)
        attributes = {
            "answer_state": state,
            "answer_place": end.error.place if end.error else "",
            "answer_condition": end.error.condition if end.error else "",
            "answer_problem": end.problem,
            "answer_reference": end.reference,
            "answer_to": sent[-1].control_id if sent else "",
        }
        control_id = f"{entry.id}.{self._route}"
        if self._model.body == "answer":
            form = "hl7v2" if end.answer.startswith(b"MSH") else "raw"
            body, charset = end.answer, "utf-8"
        else:
            attributes["answer"] = end.answer.decode("latin-1")
            body, form, charset = (
                (work.message.body, work.message.format, work.message.charset) if work else (b"", "raw", "utf-8")
            )
        return Message(
            body, form, charset, "", control_id, self._route, time.time(), parents=(entry.id,), attributes=attributes
        )


def _readable(number: int, read: Callable[[int], Work]) -> Work | None:
    try:
        return read(number)
    except MessageError:
        return None
