"""Child processes of a measurement: started, asked, measured through ``/proc``, always ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Self

from channels.errors import VaguemestreError

_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0


class MeasureError(VaguemestreError):
    """A measurement could not be made: a child ended, or nothing moved any more."""


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    """Our environment, in which a child finds the same packages as we do."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Usage:
    """What a process has used, from ``/proc`` (Linux)."""

    def __init__(self, pid: int) -> None:
        """pid: a process that runs."""
        self._folder = Path(f"/proc/{pid}")

    def cpu(self) -> float:
        """Seconds of processor time, user and system, of all its threads."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> tuple[int, int]:
        """Resident bytes now, and at most since ``forget_peak``."""
        lines = dict(line.split(":", 1) for line in (self._folder / "status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Begin a new peak. Source: proc(5), clear_refs."""
        (self._folder / "clear_refs").write_text("5")


class Child:
    """A process that prints its port, if it has one, and ends with its standard input."""

    def __init__(self, command: list[str], *, has_port: bool = True) -> None:
        """command: see ``python``."""
        self._process = subprocess.Popen(  # our own programs
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        )
        try:
            self.port = int(self._line()) if has_port else 0
        except MeasureError:
            self.stop()
            raise
        self.usage = Usage(self._process.pid)

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise MeasureError("a child has no pipe")
        return pipe

    def _line(self) -> str:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise MeasureError(f"a child of the measurement ended with code {self._process.wait()}")
        return line

    def ask(self) -> dict[str, Any]:
        """Send a line, return the JSON it is answered with."""
        pipe = self._pipe(self._process.stdin)
        pipe.write("\n")
        pipe.flush()
        return json.loads(self._line())  # type: ignore[no-any-return]  # as the child prints it

    def result(self) -> dict[str, Any]:
        """The JSON that a child prints when it has finished."""
        found: dict[str, Any] = json.loads(self._line())
        return found

    def stop(self) -> None:
        """End its input and wait for it."""
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Engine:
    """A real ``vaguemestre run`` of a site, in a process of its own."""

    def __init__(self, site: Path, *ports: int, log: Path | None = None, limit: int | None = None) -> None:
        """Start it. ports: those that it will listen on. limit: size in bytes that no file of it may pass."""
        self._site, self._ports = site, ports
        self._log = log or site / "engine.log"
        self.limit = limit
        self.start()

    def start(self) -> None:
        """Start (again)."""
        program = "import sys; from vaguemestre.cli import main; sys.argv[0] = 'vaguemestre'; main()"
        command = [sys.executable, "-c", program, "run", str(self._site)]
        if self.limit is not None:
            command = [sys.executable, "-c", _LIMITED, str(self.limit), *command]
        self.begun = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # ourselves
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        self.pid = self._process.pid
        self.usage = Usage(self.pid)

    def listening(self, within: float = _PATIENCE) -> float:
        """Wait until every port takes connections; seconds since the start. Raises MeasureError."""
        for port in self._ports:
            while not _connects(port):
                if self._process.poll() is not None:
                    raise MeasureError(f"the engine ended with code {self._process.returncode}; see {self._log}")
                if time.monotonic() - self.begun > within:
                    raise MeasureError(f"the engine does not listen after {within:.0f} s; see {self._log}")
                time.sleep(0.002)
        return time.monotonic() - self.begun

    @property
    def running(self) -> bool:
        """True until the process has ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait; SIGKILL when it takes a minute."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY));"
    " os.execv(sys.argv[2], sys.argv[2:])"
)


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def drained(sink: Child, expected: int, within: float = _PATIENCE) -> dict[str, Any]:
    """Wait until the far end has ``expected`` messages; its figures. Raises MeasureError when nothing moves."""
    received, moved = -1, time.monotonic()
    while True:
        figures = sink.ask()
        if figures["received"] >= expected:
            return figures
        if figures["received"] != received:
            received, moved = figures["received"], time.monotonic()
        elif time.monotonic() - moved > within:
            raise MeasureError(f"the far end has {received} messages of {expected}, and nothing moves")
        time.sleep(0.02)
