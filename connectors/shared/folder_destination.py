"""A destination that writes files: one a message, or one a period that holds many."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Coroutine
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Annotated, Any, Literal

import structlog
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from channels.errors import Refused, Undelivered
from channels.fields import Settings
from channels.message import Message
from channels.ports import Receipt, Surroundings
from connectors.shared.folders import Folder, reason
from connectors.shared.names import MESSAGE_FIELDS, PERIOD_FIELDS, check, fill, numbered, of_message
from connectors.shared.open_file import OpenFile, Plan
from transforms import batch

log = structlog.get_logger()

_MANY = 1000
"""Files of one name with other contents, from which a message is refused: the template needs another field."""
_TURN = 30.0
"""Seconds after which the clock is looked at again: it may have been set."""


def _hour(value: Any) -> Any:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007  # a time of day, in the site's zone
    if isinstance(value, clock_time):
        return value
    raise ValueError('an hour is written "HH:MM", in quotes')


Hour = Annotated[
    clock_time, BeforeValidator(_hour), WithJsonSchema({"type": "string", "pattern": r"^([01]?\d|2[0-3]):[0-5]\d$"})
]


class Envelope(Settings):
    """The HL7 batch around the messages of a file: FHS and BHS before, BTS and FTS with counts after."""

    sending_application: str = Field("VAGUEMESTRE", description="BHS-3.")
    sending_facility: str = Field("", description="BHS-4; the establishment's FINESS when empty.")
    receiving_application: str = Field("", description="BHS-5.")
    receiving_facility: str = Field("", description="BHS-6.")


class FolderDestinationSettings(Settings):
    """How messages become files, the same for every kind of folder."""

    name: str | None = Field(
        None,
        description="Name of the file, with fields in braces. One a message: `{id}`, `{control_id}`, `{kind}`, "
        "`{sender}`, `{channel}`, `{destination}`, `{file}`, `{format}`, `{suffix}`, `{received:%Y%m%d}`; by default "
        "`{id}{suffix}`. With `close`: `{channel}`, `{destination}`, `{begin:%Y%m%d}`, `{end:%Y%m%d}`; by default "
        "`{channel}-{begin:%Y%m%d}.hl7`.",
    )
    conflict: Literal["number", "replace", "refuse"] = Field(
        "number",
        description="A file of this name exists with other contents: write `name-2`, replace it, or refuse the "
        "message. With the same contents it is the same message: nothing is written.",
    )
    close: Hour | None = Field(
        None, description="Local time of day. With it, messages are kept in order in one open file a day, closed then."
    )
    envelope: Envelope | None = Field(
        None, description="HL7 batch envelope around the messages; `{}` for its defaults."
    )

    @model_validator(mode="after")
    def _check_name(self) -> FolderDestinationSettings:
        check(self.template, MESSAGE_FIELDS if self.close is None else PERIOD_FIELDS)
        return self

    @property
    def template(self) -> str:
        """The template of names that counts."""
        if self.name is not None:
            return self.name
        return "{id}{suffix}" if self.close is None else "{channel}-{begin:%Y%m%d}.hl7"


class FolderDestination:
    """Implements ``channels.ports.Destination`` over a ``Folder``.

    A file appears whole, under its name, and on disk; a resend finds it and changes nothing. What is under way when a
    send is cancelled is written to its end.
    """

    def __init__(self, settings: FolderDestinationSettings, folder: Folder, surroundings: Surroundings) -> None:
        """folder: where to write."""
        self._options, self._folder = settings, folder
        self._channel, self._name, self._site = surroundings.channel, surroundings.name, surroundings.site
        self._log = log.bind(channel=surroundings.channel, destination=surroundings.name)
        self._open_folder = f".open/{surroundings.channel}.{surroundings.name}"
        self._open: OpenFile | None = None
        self._former: set[str] = set()
        """Messages of the file closed last: a resend may come after the hour."""
        self._loaded = False
        self._lock = asyncio.Lock()
        self._writing: set[asyncio.Task[Receipt]] = set()
        self._closer: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self.clock: Callable[[], float] = time.time

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. With ``close``: a file whose hour has passed is closed."""
        if self._options.close is not None and self._closer is None:
            self._closer = asyncio.create_task(self._close_forever(), name=f"close {self._name}")

    async def send(self, message: Message) -> Receipt:
        """See ``channels.ports.Destination.send``."""
        write = self._write_one if self._options.close is None else self._write_together
        return await self._to_its_end(write(message))

    async def aclose(self) -> None:
        """See ``channels.ports.Destination.aclose``. The open file stays open, for the next start."""
        if self._closer is not None:
            self._closer.cancel()
            await asyncio.gather(self._closer, return_exceptions=True)
            self._closer = None
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._folder.aclose()
        self._open, self._loaded = None, False

    async def _to_its_end(self, work: Coroutine[Any, Any, Receipt]) -> Receipt:
        """What writes cannot be stopped half-way: when cancelled it goes on, and ``aclose`` waits for it."""
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._written)
        try:
            return await asyncio.shield(task)
        except OSError as error:
            raise Undelivered(f"the file cannot be written: {reason(error)}") from error

    def _written(self, task: asyncio.Task[Receipt]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it any more

    # one file a message

    async def _write_one(self, message: Message) -> Receipt:
        options = self._options
        wanted = of_message(options.template, message, self._channel, self._name, self._site.timezone)
        body = message.body
        if options.envelope is not None:
            when = datetime.fromtimestamp(message.received, self._site.timezone)
            control_id = str(message.id) if message.id else message.control_id
            body = self._head(options.envelope, when, control_id) + batch.ended(body) + batch.trailer(1)
        for number in range(1, _MANY):
            name = numbered(wanted, number)
            try:
                await self._folder.put(name, body, replace=False)
                return Receipt(name)
            except FileExistsError:
                if await self._folder.read(name) == body:
                    return Receipt(name)
            if options.conflict == "replace":
                await self._folder.put(name, body, replace=True)
                return Receipt(name)
            if options.conflict == "refuse":
                raise Refused("a file of this name exists with other contents")
        raise Refused("too many files of one name: add {id} to `name`")

    def _head(self, envelope: Envelope, when: datetime, control_id: str) -> bytes:
        parties = batch.Parties(
            envelope.sending_application,
            envelope.sending_facility or self._site.establishment.finess,
            envelope.receiving_application,
            envelope.receiving_facility,
        )
        return batch.header(parties, when, control_id)

    # one file a period

    async def _write_together(self, message: Message) -> Receipt:
        async with self._lock:
            current = await self._current()
            if current is None:
                current = self._open = await self._new()
            if OpenFile.key(message) not in self._former:
                await current.append(message, batch.ended(message.body) if message.format == "hl7v2" else message.body)
            return Receipt(current.plan.name)

    async def _current(self) -> OpenFile | None:
        """The open file, if its hour has not passed; one that was left open is found again."""
        if not self._loaded:
            await self._folder.start(self._open_folder)
            await self._load()
            self._loaded = True
        if self._open is not None and self.clock() >= self._open.plan.until:
            await self._close(self._open)
        return self._open

    async def _load(self) -> None:
        names = {file.name for file in await self._folder.files(self._open_folder)}
        if "former" in names:
            former = await self._folder.read(f"{self._open_folder}/former")
            self._former = {line.split(b" ")[0].decode() for line in former.splitlines()[1:]}
        if "data.index" not in names:
            return
        found = await OpenFile.load(self._folder, f"{self._open_folder}/data")
        if "data" in names or not found.count:
            self._open = found
        else:  # it was given its final name just before a crash
            await self._forget(found)

    async def _new(self) -> OpenFile:
        zone = self._site.timezone
        begin, end = period(self.clock(), self._options.close or clock_time(), zone)
        values = {"channel": self._channel, "destination": self._name, "begin": begin, "end": end}
        plan = Plan(fill(self._options.template, values), end.timestamp())
        if self._options.envelope is not None:
            plan.counted = True
            plan.head = self._head(self._options.envelope, begin, f"{begin:%Y%m%d%H%M}").decode()
        return await OpenFile.create(self._folder, f"{self._open_folder}/data", plan)

    async def _close(self, current: OpenFile) -> None:
        if current.count:
            name = await current.close(batch.trailer(current.count))
            self._log.info("a file was closed", messages=current.count, name=name)
        else:
            await self._folder.remove(current.data)
        await self._forget(current)
        self._open = None

    async def _forget(self, closed: OpenFile) -> None:
        await self._folder.remove(f"{self._open_folder}/former")
        await self._folder.move(closed.index, f"{self._open_folder}/former")
        self._former = closed.keys

    async def _close_forever(self) -> None:
        """Close each file at its hour, also when no message comes."""
        while True:
            wait = _TURN
            try:
                async with self._lock:
                    current = await self._current()
                if current is not None:
                    wait = min(max(current.plan.until - self.clock(), 0.0), _TURN)
            except OSError as error:
                self._log.warning("the open file cannot be closed; trying again", problem=reason(error))
            self._look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._look.wait()


def period(now: float, close: clock_time, zone: Any) -> tuple[datetime, datetime]:
    """The day around ``now`` that begins and ends at a local time of day: (begin, end), aware."""
    today = datetime.fromtimestamp(now, zone).date()
    for days in itertools.count(0):
        end = _at(today + timedelta(days=days), close, zone)
        if end.timestamp() > now:
            return _at(end.date() - timedelta(days=1), close, zone), end
    raise AssertionError  # pragma: no cover  # some day is later than now


def _at(day: date, hour: clock_time, zone: Any) -> datetime:
    return datetime.combine(day, hour, tzinfo=zone)
