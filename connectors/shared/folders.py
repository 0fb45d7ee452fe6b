"""A folder of files, local or far, as sources and destinations use it.

Paths are relative to the folder. Every failure is an OSError, whatever the protocol behind.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Listed(NamedTuple):
    """A plain file: its name, its size in bytes, when it was last written in nanoseconds."""

    name: str
    size: int
    modified: int


class TooLarge(OSError):
    """A file that was taken is larger than it may be."""


class Unreadable(OSError):
    """A file that was taken cannot be read."""


def reason(error: OSError) -> str:
    """What the system says, without the path."""
    return error.strerror or type(error).__name__


class Folder(Protocol):
    """What the shared source and destination need."""

    async def start(self, *subfolders: str) -> None:
        """Make sure the folder can be reached and has these sub-folders. Raises OSError."""
        ...

    async def files(self, subfolder: str = "") -> list[Listed]:
        """The plain files of the folder or of a sub-folder; none when it is not there."""
        ...

    async def take(self, file: Listed, target: str, most: int) -> bytes | None:
        """Rename ``file`` to ``target`` and read it; None when another took it or it is being written.

        A ``file`` that is ``target`` already was taken before a crash.

        Raises:
            TooLarge: it has been renamed, and has more than ``most`` bytes.
            Unreadable: it has been renamed, and cannot be read.
            OSError: it could not be renamed.
        """
        ...

    async def release(self, target: str) -> None:
        """Let others take a file that ``take`` gave; its name stays."""
        ...

    async def move(self, source: str, target: str) -> None:
        """Rename; raises FileExistsError rather than replace."""
        ...

    async def remove(self, name: str) -> None:
        """Delete a file; no error when it is not there."""
        ...

    async def read(self, name: str) -> bytes:
        """The whole file."""
        ...

    async def put(self, name: str, body: bytes, *, replace: bool) -> None:
        """Write a file that appears whole and is on disk when this returns; missing sub-folders are made.

        Raises:
            FileExistsError: it exists and ``replace`` is false.
        """
        ...

    async def append(self, name: str, at: int, body: bytes) -> None:
        """Write ``body`` at offset ``at``, where the file then ends; it is on disk when this returns."""
        ...

    async def aclose(self) -> None:
        """Release everything. May be called twice."""
        ...
