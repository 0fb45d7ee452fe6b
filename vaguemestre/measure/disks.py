"""A disk that fills up, and has room again."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaguemestre.measure.processes import Engine

_ROUNDS = 3
"""How often a disk is full before it has all the room it needs."""
_ENOUGH = 2_000_000_000


class SmallDisk:
    """A disk with ``size`` bytes.

    directory: where to write. limit: what no file may pass, when it is a quota. stays_full: no new file helps.
    """

    limit: int | None = None
    stays_full = True

    def __init__(self, directory: Path, room: int) -> None:
        """directory: exists. room: bytes that ``grow`` gives; it begins with a little more."""
        self.directory, self._room = directory, room
        self._rounds = 0
        self.size = room * 3 // 2

    @property
    def fills_up(self) -> bool:
        """True while it will be full again."""
        return self._rounds < _ROUNDS

    def grow(self, engine: Engine) -> None:
        """Give room; the last time, all that can be wanted."""
        self._rounds += 1
        self.size = self.size + self._room if self.fills_up else _ENOUGH
        self.resize(engine)

    def resize(self, engine: Engine) -> None:
        """Let the engine, running or to be started, use ``size`` bytes."""
        raise NotImplementedError


class _Mounted(SmallDisk):
    """A tmpfs."""

    def resize(self, engine: Engine) -> None:  # noqa: ARG002  # whoever writes has the room
        _mount(self.directory, f"remount,size={self.size}")


class _Quota(SmallDisk):
    """RLIMIT_FSIZE: no file of the process passes a size; an engine that begins a new file gets by for a while."""

    stays_full = False

    def __init__(self, directory: Path, room: int) -> None:
        super().__init__(directory, room)
        self.limit = self.size

    def resize(self, engine: Engine) -> None:
        self.limit = engine.limit = self.size
        if engine.running:
            resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))


@contextlib.contextmanager
def small_disk(directory: Path, room: int, *, mount: bool) -> Iterator[SmallDisk]:
    """A tmpfs where we may mount one and ``mount``, else a quota on each file.

    room: bytes that it is given each time it is full.
    """
    directory.mkdir()
    mounted = mount and os.geteuid() == 0 and _mount(directory, f"size={room * 3 // 2}")
    try:
        yield _Mounted(directory, room) if mounted else _Quota(directory, room)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=False)  # noqa: S607  # as mounted


def _mount(directory: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
