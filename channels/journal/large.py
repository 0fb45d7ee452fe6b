"""Bodies over a megabyte: a file each beside the segment, so that they are written once and never held twice.

In the database they would be written twice (WAL, then table) and copied several times on the way.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from channels.errors import DamageError
from channels.journal.keys import Sealer

LARGE = 1_000_000
"""Bytes from which a body is a file."""

_CHUNK = 1_000_000
_LENGTH = struct.Struct("<I")


class LargeBodies:
    """The folder of one segment's large bodies. A file is pieces of a megabyte, each sealed at its place."""

    def __init__(self, segment: Path, sealer: Sealer) -> None:
        """segment: the segment's file; the folder is made with the first body."""
        self._folder, self._sealer = folder_of(segment), sealer

    def write(self, number: int, body: bytes) -> None:
        """Write the body of message ``number``; on disk when this returns. Raises OSError."""
        new = not self._folder.exists()
        self._folder.mkdir(exist_ok=True, mode=0o700)
        file = os.open(self._folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            view = memoryview(body)
            for count, start in enumerate(range(0, len(body), _CHUNK)):
                piece = self._sealer.seal(view[start : start + _CHUNK], _place(number, count))
                _write_all(file, _LENGTH.pack(len(piece)))
                _write_all(file, piece)
            os.fdatasync(file)
        finally:
            os.close(file)
        _sync(self._folder)
        if new:
            _sync(self._folder.parent)

    def read(self, number: int, size: int) -> bytes:
        """The body back, ``size`` bytes. Raises DamageError when its file is missing, cut or altered."""
        pieces: list[bytes] = []
        try:
            with (self._folder / str(number)).open("rb") as file:
                while head := file.read(_LENGTH.size):
                    piece = file.read(_LENGTH.unpack(head)[0])
                    pieces.append(self._sealer.open(piece, _place(number, len(pieces))))
        except (OSError, struct.error) as error:
            raise DamageError(f"the body of message {number} cannot be read: {type(error).__name__}") from error
        body = b"".join(pieces)
        if len(body) != size:
            raise DamageError(f"the body of message {number} is cut")
        return body


def folder_of(segment: Path) -> Path:
    """Where the large bodies of a segment are."""
    return segment.with_suffix(".bodies")


def _place(number: int, count: int) -> bytes:
    return b"l%d/%d" % (number, count)


def _write_all(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync(folder: Path) -> None:
    """A new name is on disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
