"""Processes for heavy transforms (CDA, PDF, XSLT): the engine's side.

Each is a fresh interpreter (not a fork: native libraries do not survive one) that loads the site and is fed over a
socket pair. Few jobs are under way in each, so that the others wait here and a process that dies takes few with it.
What a process made wrong never stops the engine: a job whose process died is tried again, three times at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path

import structlog

from channels.errors import MessageError, VersionNeeded, WorkerError
from channels.message import Message
from channels.worker import HEAD_BYTES, fields_of, frame, lengths, results_of

log = structlog.get_logger()

_WINDOW = 2
"""Jobs under way in one process: one runs, one waits in the socket so that the process never does."""
_DEATHS = 3
_READY_WITHIN = 60.0
_STOP_WITHIN = 5.0
_REMEMBERED = 1000


@dataclass(slots=True)
class _Job:
    """One transform of one message, and who waits for it."""

    channel: str
    destination: str
    part: int
    message: Message
    done: asyncio.Future[list[Message]]

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """The same for each try of the same message."""
        return self.channel, f"{self.destination} {self.part}", self.message.id, hash(self.message.body)


class _Process:
    """One worker process: its socket, and the jobs it has not answered, oldest first."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.pending: deque[_Job] = deque()
        self.jobs = 0
        self.last = False
        """It has said that this answer was its last."""
        self.task: asyncio.Task[None] | None = None

    async def read(self) -> tuple[dict[str, object], bytes]:
        """The next frame. Raises IncompleteReadError or ConnectionError when the process is gone."""
        head, bodies = lengths(await self._reader.readexactly(HEAD_BYTES))
        text = await self._reader.readexactly(head)
        return json.loads(text), await self._reader.readexactly(bodies) if bodies else b""

    def send(self, job: _Job) -> None:
        """Give it a job."""
        head = {"channel": job.channel, "destination": job.destination, "part": job.part}
        head["message"] = fields_of(job.message)
        self.jobs += 1
        self.pending.append(job)
        self._writer.writelines(frame(head, [job.message.body]))

    def close(self) -> None:
        """No job will follow: it ends once it has answered what it has."""
        self._writer.close()

    def kill(self) -> None:
        """End it whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self, within: float) -> int:
        """Wait for its end, kill it when that takes longer than ``within`` seconds. Returns the exit code."""
        try:
            async with asyncio.timeout(within):
                code = await self._process.wait()
        except TimeoutError:
            self.kill()
            code = await self._process.wait()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        return code


class Workers:
    """The pool. Processes start when they are first needed and are replaced when they die or have worked enough."""

    def __init__(
        self, directory: Path, count: int, *, expected: str = "", limit: float = 60.0, recycle: int = 5000
    ) -> None:
        """directory: the site's. count: processes. limit: seconds a job may take. recycle: jobs of one process.

        expected: ``worker.fingerprint`` of the site that the engine runs; the first process tells it when empty.
        """
        self._directory, self._count, self._limit, self._recycle = directory, count, limit, recycle
        self._live: list[_Process] = []
        self._leaving: set[_Process] = set()
        self._starting: asyncio.Task[None] | None = None
        self._queue: deque[asyncio.Future[None]] = deque()
        self._deaths: OrderedDict[tuple[str, str, int, int], int] = OrderedDict()
        self._site = expected
        self._generation = 0
        self._stopped = False

    async def start(self) -> None:
        """Start one process now instead of with the first job, so that it reads the site as it is now.

        Raises:
            WorkerError: it cannot start.
        """
        if not self._live:
            await self._started()

    async def run(self, channel: str, destination: str, message: Message, part: int = 0) -> list[Message]:
        """Run a part of the steps of a channel (``destination`` is ``""``) or of a destination on a message.

        Raises:
            MessageError: the message cannot pass, or ended its process three times.
            VersionNeeded: a step asks for the version of a document.
            WorkerError: the process died or was too slow; try again.
        """
        job = _Job(channel, destination, part, message, asyncio.get_running_loop().create_future())
        process = await self._free()
        process.send(job)
        if process.jobs >= self._recycle and self._starting is None:
            self._starting = asyncio.create_task(self._replace(process), name="worker replaced")
        return await job.done

    async def reload(self, expected: str = "") -> None:
        """The engine runs another site now: processes end after the jobs they have, new ones read the new files."""
        self._generation += 1
        self._site = expected
        for process in list(self._live):
            self._retire(process)

    async def stop(self) -> None:
        """End every process; jobs under way raise WorkerError. May be called twice."""
        self._stopped = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self.reload()
        self._wake(len(self._queue))
        for process in self._leaving:
            if process.pending:
                process.kill()
        await asyncio.gather(*(process.task for process in self._leaving if process.task is not None))

    # choosing a process

    async def _free(self) -> _Process:
        """The process that has the least to do; a new one when all have something and there may be one more."""
        while True:
            if self._stopped:
                raise WorkerError("the engine is stopping")
            open_ones = [one for one in self._live if len(one.pending) < _WINDOW]
            best = min(open_ones, key=lambda one: len(one.pending), default=None)
            if best is not None and not best.pending:
                return best
            if not self._live:
                await self._started()
                continue
            if len(self._live) < self._count and self._starting is None:
                self._starting = asyncio.create_task(self._spawn_one_more(), name="worker started")
            if best is not None:
                return best
            await self._turn()

    async def _turn(self) -> None:
        """Wait in the queue until a process may be free."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake(1)  # this turn is for another
            raise

    def _wake(self, count: int) -> None:
        """Let the first of those who wait look again."""
        while count > 0 and self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def _started(self) -> None:
        """Wait until a process has started. Raises WorkerError."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._spawn(), name="worker started")
        starting = self._starting
        await asyncio.wait([starting])
        if not starting.cancelled():
            starting.result()

    async def _spawn_one_more(self) -> None:
        """A process more than the ones that work: without it work goes on."""
        try:
            await self._spawn()
        except WorkerError as error:
            log.error("worker could not start", problem=str(error))

    async def _replace(self, old: _Process) -> None:
        """A fresh process in the place of one that has worked enough; the old one stays when that fails."""
        try:
            await self._spawn()
        except WorkerError as error:
            log.error("worker could not be replaced, the old one works on", problem=str(error))
            old.jobs = 0
            return
        if old in self._live:
            self._retire(old)

    async def _spawn(self) -> None:
        """Start a process and wait until it has read the site.

        Raises:
            WorkerError: it cannot, or the site's files are no longer those that the other processes read.
        """
        try:
            generation = self._generation
            process = await self._open()
            problem = "the engine is stopping"
            try:
                problem = await self._ready(process, generation)
            finally:
                if problem:
                    process.close()
                    process.kill()
                    await process.ended(_STOP_WITHIN)
            if problem:
                raise WorkerError(problem)
            process.task = asyncio.create_task(self._answers(process), name="worker answers")
            self._live.append(process)
        finally:
            self._starting = None
            self._wake(len(self._queue))

    async def _open(self) -> _Process:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        command = ["-P", "-m", "channels.worker", str(self._directory), str(theirs.fileno()), str(self._limit)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        nothing = asyncio.subprocess.DEVNULL  # native libraries write values of messages to stderr
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command,
                env=environment, pass_fds=[theirs.fileno()], stdin=nothing, stdout=nothing, stderr=nothing,
            )  # fmt: skip
        except BaseException:
            writer.close()
            raise
        finally:
            theirs.close()
        return _Process(process, reader, writer)

    async def _ready(self, process: _Process, generation: int) -> str:
        """Wait for the process to say it is ready; returns what is wrong, ``""`` when nothing is."""
        try:
            async with asyncio.timeout(_READY_WITHIN):
                head, _ = await process.read()
            results_of({**head, "made": [], "sizes": []}, b"", Message(b""))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return "a worker process ended before it was ready"
        except (WorkerError, MessageError) as error:
            return f"a worker process could not read the site: {error}"
        if generation != self._generation:
            return "the site was reloaded while a worker process started"
        self._site = self._site or str(head["ready"])
        if head["ready"] != self._site:
            return "the site's files are no longer those that the engine runs; reload it, or restore them"
        return ""

    # answers

    async def _answers(self, process: _Process) -> None:
        """Hand out what a process answers, until it is gone."""
        try:
            while True:
                head, bodies = await process.read()
                job = process.pending.popleft()
                if head.get("last"):
                    process.last = True
                    self._leave(process)
                self._wake(1)
                self._resolve(job, head, bodies)
                if process in self._leaving and not process.pending:
                    process.close()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await self._gone(process)

    def _resolve(self, job: _Job, head: dict[str, object], bodies: bytes) -> None:
        if self._deaths:
            self._deaths.pop(job.identity, None)
        if job.done.done():
            return  # who asked has left
        try:
            job.done.set_result(results_of(head, bodies, job.message))
        except (MessageError, VersionNeeded, WorkerError) as error:
            job.done.set_exception(error)

    async def _gone(self, process: _Process) -> None:
        """A process ended: its jobs are tried again, the one that it was at is counted."""
        self._leave(process)
        process.close()
        code = await process.ended(_STOP_WITHIN)
        self._leaving.discard(process)
        self._wake(len(self._queue))
        if not process.pending:
            return
        slow = code == -signal.SIGALRM  # set in channels/worker.py
        problem = f"took longer than {self._limit:g} s" if slow else "its worker process died"
        log.error("worker process died", exit_code=code, jobs=len(process.pending))
        blamed = -1 if process.last or self._stopped else 0
        for place, job in enumerate(process.pending):
            error = self._death(job, problem) if place == blamed else WorkerError(problem)
            if not job.done.done():
                job.done.set_exception(error)
        process.pending.clear()

    def _death(self, job: _Job, problem: str) -> MessageError | WorkerError:
        count = self._deaths.pop(job.identity, 0) + 1
        if count >= _DEATHS:
            return MessageError(f"{problem}, {count} times")
        self._deaths[job.identity] = count
        if len(self._deaths) > _REMEMBERED:
            self._deaths.popitem(last=False)
        return WorkerError(problem)

    def _leave(self, process: _Process) -> None:
        """It gets no more jobs; ``stop`` waits for its end."""
        if process in self._live:
            self._live.remove(process)
        self._leaving.add(process)

    def _retire(self, process: _Process) -> None:
        self._leave(process)
        if not process.pending:
            process.close()
