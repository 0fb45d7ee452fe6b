"""A source that takes the files of a folder: each file is claimed, split into messages, and put away."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import structlog
from pydantic import BeforeValidator, Field

from channels.errors import MessageError, ParseError
from channels.fields import Seconds, Settings, SizeBytes, one_or_more
from channels.ports import Intake, Outcome, Surroundings
from connectors.shared.arrivals import Arrival, Charset, Format, Line, arrive
from connectors.shared.folders import Folder, Listed, TooLarge, Unreadable, reason
from connectors.shared.names import numbered
from transforms import ack, batch, er7

log = structlog.get_logger()

_AT_ONCE = 64_000_000
"""Bytes unanswered at most (one message alone may be larger)."""
_LARGE = 1_000_000
"""Bytes from which a file is split beside the event loop."""
_CLAIMED = re.compile(r"^[0-9a-f]{16}-")
_LONGEST_NAME = 200
_LONGEST_WAIT = 30.0
_MANY = 100
"""Files of one name in ``done/`` from which the next keeps the unique name of its claim."""


class FolderSourceSettings(Settings):
    """How files become messages, the same for every kind of folder."""

    pattern: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        ("*",),
        description="Names of the files to take, with `*` and `?`; one or a list; upper and lower case are alike.",
    )
    ignore: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        ("*.tmp", "*.part", "*.filepart"),
        description="Names never taken: files that their writer renames when they are complete.",
    )
    every: Seconds = Field(1.0, description="Time between two looks at the folder.")
    stable_for: Seconds = Field(2.0, description="A file is taken once its size and time have not changed for so long.")
    format: Format = Field("hl7v2", description="What the files hold; HL7 v2 files may hold a batch.")
    charset: Charset = Field("cp1252", description="Assumed when an HL7 v2 message says nothing and is not UTF-8.")
    max_size: SizeBytes = Field(100_000_000, description="Larger files are set aside.")
    unanswered: int = Field(
        100, ge=1, le=10_000, description="Messages handed to the channel before the first is stored."
    )
    afterwards: Literal["move", "delete"] = Field(
        "move", description="What becomes of a file whose messages are all stored: moved to `done/`, or deleted."
    )
    answers: Literal["none", "errors", "all"] = Field(
        "none",
        description="Write the acknowledgements of a file's messages to `answers/NAME.ack`, a batch; or only errors.",
    )


@dataclass(slots=True)
class _Unit:
    """One file between its claim and its place in ``done`` or ``error``.

    claim: its path under the folder. problem: why it cannot be read at all. answer_to: BHS-11 of the batch it holds.
    """

    claim: str
    name: str
    arrivals: list[Arrival] = field(default_factory=list)
    problem: str = ""
    answer_to: str = ""
    outcomes: dict[int, Outcome] = field(default_factory=dict)


class FolderSource:
    """Implements ``channels.ports.Source`` over a ``Folder``.

    One file is one unit: it leaves ``work`` for ``done/`` or ``error/`` when the outcome of each of its messages is
    known. After a crash the files in ``work`` are taken again; the channel recognises the messages that it has.
    """

    def __init__(
        self, settings: FolderSourceSettings, folder: Folder, surroundings: Surroundings, work: str = ".work"
    ) -> None:
        """work: sub-folder of the files that are under way."""
        self._options, self._folder, self._work = settings, folder, work
        self._log = log.bind(channel=surroundings.channel)
        self._zone = surroundings.site.timezone
        self._wanted = _any_of(settings.pattern)
        self._unwanted = _any_of(settings.ignore)
        self._files = asyncio.Semaphore(settings.unanswered)
        self._known: dict[str, tuple[Listed, float]] = {}
        self._ours: set[str] = set()
        self._putting: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._silent = False

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``. A folder that cannot be reached is tried again, with a warning."""
        self._line = Line(intake, self._options.unanswered, _AT_ONCE)
        self._files = asyncio.Semaphore(self._options.unanswered)
        self._task = asyncio.create_task(self._take_forever(), name="folder")

    async def stop(self) -> None:
        """See ``channels.ports.Source.stop``. A file that is not finished stays in ``work``."""
        if self._task is None:
            return
        self._line.stop()
        task, self._task = self._task, None
        await task
        await self._line.empty()
        await asyncio.gather(*self._putting)
        await self._folder.aclose()
        self._ours.clear()

    # taking

    async def _take_forever(self) -> None:
        answers = [] if self._options.answers == "none" else ["answers"]
        while not self._line.stopping:
            await self._line.repeat_failed()
            try:
                await self._folder.start(self._work, "done", "error", *answers)
                for file, claim in await self._ready():
                    await self._take(file, claim)
                self._silent = False
            except OSError as error:
                if not self._silent:
                    self._log.warning("the folder cannot be read; trying again", problem=reason(error))
                self._silent = True
            await self._line.pause(self._options.every)

    async def _ready(self) -> list[tuple[Listed, str]]:
        """Files to take now, oldest first: those that a crash left in ``work``, then those that no longer change."""
        found = []
        for left in sorted(await self._folder.files(self._work)):
            claim = f"{self._work}/{left.name}"
            if claim not in self._ours:
                found.append((left._replace(name=claim), claim))
        now = time.monotonic()
        known, stable = {}, []
        for file in await self._folder.files():
            if file.name.startswith(".") or not self._wanted.match(file.name) or self._unwanted.match(file.name):
                continue
            before, since = self._known.get(file.name, (None, now))
            since = since if file == before else now
            known[file.name] = file, since
            if now - since >= self._options.stable_for:
                stable.append(file)
        self._known = known
        stable.sort(key=lambda file: (file.modified, file.name))
        return found + [(file, f"{self._work}/{_stamp()}-{file.name[-_LONGEST_NAME:]}") for file in stable]

    async def _take(self, file: Listed, claim: str) -> None:
        """Claim one file, read it, hand in its messages."""
        await self._files.acquire()
        await self._line.repeat_failed()
        taken = None if self._line.stopping else await self._claim(file, claim)
        if taken is None:
            self._files.release()
            return
        self._ours.add(claim)
        if not taken.arrivals:
            self._put_later(taken)
        for index, arrival in enumerate(taken.arrivals):
            if not await self._line.hand_in(arrival, partial(self._settle, taken, index)):
                return

    async def _claim(self, file: Listed, claim: str) -> _Unit | None:
        self._known.pop(file.name, None)
        name = _CLAIMED.sub("", claim.removeprefix(f"{self._work}/"))
        unit = _Unit(claim, name)
        try:
            body = await self._folder.take(file, claim, self._options.max_size)
        except TooLarge:
            unit.problem = "the file is larger than max_size"
        except Unreadable as error:
            unit.problem = f"the file cannot be read: {reason(error)}"
        else:
            if body is None:
                return None
            await self._split(unit, body, file.modified)
        return unit

    async def _split(self, unit: _Unit, body: bytes, modified: int) -> None:
        options = self._options
        attributes = {"file": unit.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")}
        if options.format != "hl7v2":
            control_id = f"{attributes['file']}@{modified}"  # the same when the file is taken again after a crash
            unit.arrivals = [arrive(body, options.format, "utf-8", attributes, control_id=control_id)]
            return
        found = await asyncio.to_thread(batch.read, body) if len(body) > _LARGE else batch.read(body)
        unit.answer_to = found.control_id
        for finding in found.findings:
            self._log.warning("batch", place=finding.place, problem=finding.problem)
        count = len(found.messages)
        for number, piece in enumerate(found.messages, 1):
            more = {"batch": f"{number}/{count}"} if count > 1 else {}
            unit.arrivals.append(arrive(piece, "hl7v2", options.charset, attributes | more))

    # outcomes

    def _settle(self, unit: _Unit, index: int, outcome: Outcome) -> None:
        unit.outcomes[index] = outcome
        if len(unit.outcomes) == len(unit.arrivals):
            self._put_later(unit)

    # putting away

    def _put_later(self, unit: _Unit) -> None:
        task = asyncio.create_task(self._put_away(unit))
        self._putting.add(task)
        task.add_done_callback(self._putting.discard)

    async def _put_away(self, unit: _Unit) -> None:
        wait = 1.0
        while True:
            try:
                await self._put(unit)
                break
            except FileNotFoundError:
                self._log.error("a file that was taken is gone", folder=self._work)
                break
            except OSError as error:
                self._log.error("a file cannot be put away; trying again", problem=reason(error))
            if self._line.stopping:
                break
            await self._line.pause(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        self._ours.discard(unit.claim)
        self._files.release()

    async def _put(self, unit: _Unit) -> None:
        problems = _problems(unit)
        answers = self._answers(unit)
        if answers:
            await self._folder.put(f"answers/{unit.name}.ack", answers, replace=True)
        if not problems and self._options.afterwards == "delete":
            await self._folder.remove(unit.claim)
        else:
            await self._move(unit, "error" if problems else "done", problems)
        await self._folder.release(unit.claim)

    async def _move(self, unit: _Unit, folder: str, problems: list[str]) -> None:
        name = unit.name
        if problems:
            self._log.warning("a file was set aside", problems=len(problems))
        for number in itertools.count(1):
            name = numbered(unit.name, number) if number < _MANY else unit.claim.removeprefix(f"{self._work}/")
            try:
                await self._folder.move(unit.claim, f"{folder}/{name}")
                break
            except FileExistsError:
                if number > _MANY:
                    raise
        if problems:
            await self._folder.put(f"{folder}/{name}.reason", "\n".join([*problems, ""]).encode(), replace=True)

    def _answers(self, unit: _Unit) -> bytes:
        """The acknowledgements of a file as a batch that answers it; none when none is wanted."""
        wanted = self._options.answers
        if wanted == "none" or self._options.format != "hl7v2":
            return b""
        found = []
        for index, outcome in sorted(unit.outcomes.items()):
            arrival = unit.arrivals[index]
            if isinstance(arrival.error, ParseError) or (wanted == "errors" and outcome.error is None):
                continue
            header = er7.peek(arrival.message.body, self._options.charset)
            found.append(ack.acknowledge(header, outcome, mode="original", zone=self._zone))
        if not found:
            return b""
        head = batch.header(batch.Parties(), datetime.now(self._zone), _stamp(), answers=unit.answer_to)
        return head + b"".join(found) + batch.trailer(len(found))


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(one) for one in patterns) or r"(?!)", re.IGNORECASE)


_last_stamp = itertools.count(time.time_ns())


def _stamp() -> str:
    """16 hexadecimal digits, each time larger, also after a restart."""
    return f"{next(_last_stamp):016x}"


def _problems(unit: _Unit) -> list[str]:
    """For the ``.reason`` file: which message, where, which rule; never a value."""
    if unit.problem:
        return [unit.problem]
    found = []
    for index, outcome in sorted(unit.outcomes.items()):
        error = outcome.error
        if isinstance(error, MessageError):
            place = f"{error.place}: " if error.place else ""
            found.append(f"message {index + 1} of {len(unit.arrivals)}: {place}{error.problem} ({error.condition})")
        elif error is not None:
            found.append(f"message {index + 1} of {len(unit.arrivals)}: {error}")
    return found
