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
_ROOM = 16_000_000
_FIRST_ROOM = 40_000_000


class SmallDisk:
    """directory: where to write. limit: what no file may pass at first, when it is a quota."""

    limit: int | None = None

    def __init__(self, directory: Path) -> None:
        """directory: exists."""
        self.directory = directory
        self._left = _ROUNDS

    @property
    def can_grow(self) -> bool:
        """True while ``grow`` has room to give."""
        return self._left > 0

    def grow(self, pid: int) -> None:
        """Give room to the process that writes."""
        raise NotImplementedError

    def limit_of_new(self, engine: Engine) -> None:
        """Tell an engine that is about to start what it may use."""


class _Mounted(SmallDisk):
    """A tmpfs; room is given by removing files that were there before."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        for number in range(_ROUNDS):
            (directory / f"filler-{number + 1}").write_bytes(bytes(_ROOM))

    def grow(self, pid: int) -> None:  # noqa: ARG002  # whoever writes has the room
        (self.directory / f"filler-{self._left}").unlink()
        self._left -= 1


class _Quota(SmallDisk):
    """RLIMIT_FSIZE: no file of the process passes a size."""

    limit = _ROOM

    def grow(self, pid: int) -> None:
        self.limit = (self.limit or 0) + _ROOM
        self._left -= 1
        if hasattr(resource, "prlimit"):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))

    def limit_of_new(self, engine: Engine) -> None:
        engine.limit = self.limit


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk]:
    """A tmpfs where we may mount one, else a quota on each file."""
    directory.mkdir()
    mounted = os.geteuid() == 0 and _mount(directory)
    try:
        yield _Mounted(directory) if mounted else _Quota(directory)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=False)  # noqa: S607  # as mounted


def _mount(directory: Path) -> bool:
    size = _ROUNDS * _ROOM + _FIRST_ROOM
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # fixed words
