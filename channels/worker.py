"""One worker process: reads jobs from a socket, runs heavy transforms, writes what they made.

A frame is two lengths, a small JSON head and the raw bodies behind it: bodies are never encoded or parsed on the way.
The process loads the site once, answers ``ready``, then answers each job in order. It ends when the socket closes; a
job that takes longer than it may ends it at once (SIGALRM), whatever native code is running.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from channels import errors
from channels.message import Message

if TYPE_CHECKING:
    from channels.loader import LoadedSite

_LENGTHS = struct.Struct(">IQ")
HEAD_BYTES = _LENGTHS.size
_FIELDS = ("format", "charset", "kind", "control_id", "sender", "received", "id", "parents", "attributes")
_SAME = -1


def frame(head: dict[str, Any], bodies: list[bytes]) -> list[bytes]:
    """The pieces of one frame, to be written one after the other; bodies are not copied."""
    text = json.dumps(head).encode()
    return [_LENGTHS.pack(len(text), sum(map(len, bodies))) + text, *bodies]


def lengths(start: bytes) -> tuple[int, int]:
    """Sizes of the head and of the bodies, from the first ``HEAD_BYTES`` bytes of a frame."""
    head, bodies = _LENGTHS.unpack(start)
    return int(head), int(bodies)


def fields_of(message: Message) -> dict[str, Any]:
    """Everything of a message but its body and its views."""
    fields = {name: getattr(message, name) for name in _FIELDS}
    return {**fields, "attributes": dict(message.attributes)}


def message_of(fields: dict[str, Any], body: bytes) -> Message:
    """The message that ``fields_of`` described."""
    return Message(body, **{**fields, "parents": tuple(fields["parents"])})


def answer_of(results: list[Message], source: Message) -> list[bytes]:
    """The frame that carries what a job made; a body that is the source's own does not travel back."""
    sizes, bodies = [], []
    for one in results:
        same = one.body is source.body
        sizes.append(_SAME if same else len(one.body))
        bodies.append(b"" if same else one.body)
    return frame({"made": [fields_of(one) for one in results], "sizes": sizes}, bodies)


def results_of(head: dict[str, Any], bodies: bytes, source: Message) -> list[Message]:
    """What a job made, or its error raised.

    Raises:
        VaguemestreError: the worker raised it, of the same class when it is one of ``channels.errors``.
    """
    if "error" in head:
        raise error_of(head["error"])
    made, at = [], 0
    for fields, size in zip(head["made"], head["sizes"], strict=True):
        end = at + max(size, 0)
        made.append(message_of(fields, source.body if size == _SAME else bodies[at:end]))
        at = end
    return made


def describe(error: errors.VaguemestreError) -> dict[str, str]:
    """An error as it travels: its class, and the parts of a MessageError."""
    if isinstance(error, errors.MessageError):
        name = next(one.__name__ for one in type(error).__mro__ if getattr(errors, one.__name__, None) is one)
        return {"class": name, "problem": error.problem, "place": error.place, "condition": error.condition}
    if isinstance(error, errors.VersionNeeded):
        asked = {"series": error.series, "content": error.content, "document": error.document, "note": error.note}
        return {"class": "VersionNeeded", **asked}
    return {"class": type(error).__name__, "problem": str(error)}


def error_of(description: dict[str, str]) -> errors.VaguemestreError:
    """The error that ``describe`` described. One that is not a MessageError concerns the site: WorkerError."""
    if description["class"] == "VersionNeeded":
        return errors.VersionNeeded(*(description[name] for name in ("series", "content", "document", "note")))
    kind = getattr(errors, description["class"], None)
    if isinstance(kind, type) and issubclass(kind, errors.MessageError):
        return kind(description["problem"], description["place"], description["condition"])
    return errors.WorkerError(description["problem"])


class _Jobs:
    """The socket as the process sees it: blocking, one job at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")

    def __iter__(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Each job's head and body, until the engine closes the socket."""
        while len(start := self._stream.read(HEAD_BYTES)) == HEAD_BYTES:
            head, body = lengths(start)
            text, data = self._stream.read(head), self._stream.read(body)
            if len(data) < body:
                return
            yield json.loads(text), data

    def answer(self, pieces: list[bytes]) -> None:
        """Write one frame."""
        for piece in pieces:
            self._connection.sendall(piece)


def _work(jobs: _Jobs, directory: Path, limit: float) -> None:
    from channels.loader import load_site
    from channels.pipeline import Pipeline

    try:
        loaded = load_site(directory)
    except errors.VaguemestreError as error:
        jobs.answer(frame({"error": describe(error)}, []))
        return
    jobs.answer(frame({"ready": fingerprint(loaded)}, []))
    pipelines: dict[str, Pipeline] = {}
    for head, body in jobs:
        source = message_of(head["message"], body)
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            name = head["channel"]
            if name not in pipelines:
                pipelines[name] = Pipeline(loaded.channels[name], loaded)
            made = pipelines[name].part(head["destination"], head["part"], source)
        except errors.VaguemestreError as error:
            answer = frame({"error": describe(error)}, [])
        else:
            answer = answer_of(made, source)
        signal.setitimer(signal.ITIMER_REAL, 0)
        jobs.answer(answer)


def fingerprint(loaded: LoadedSite) -> str:
    """What tells one state of a site's files from another."""
    parts = [loaded.shared_fingerprint, *(f"{name}={value}" for name, value in sorted(loaded.fingerprints.items()))]
    return "\n".join(map(str, parts))


def main(directory: str, descriptor: str, limit: str) -> None:
    """Serve the socket ``descriptor`` until it closes.

    An exception that is a fault of the code (the site's or ours) is told to the engine as an error of its message,
    with the place in the code and without the exception's text, which may quote the message; then the process ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which closes the socket
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    jobs = _Jobs(socket.socket(fileno=int(descriptor)))

    def told(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
        at = traceback.extract_tb(trace)[-1]
        problem = f"{kind.__name__} at {Path(at.filename).name}:{at.lineno}"
        jobs.answer(frame({"error": describe(errors.MessageError(problem)), "last": True}, []))

    sys.excepthook = told
    _work(jobs, Path(directory), float(limit))


if __name__ == "__main__":
    main(*sys.argv[1:])
