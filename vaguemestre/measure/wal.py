"""What a power cut does to the end of a file: bytes after the last commit that no longer mean anything.

Source: SQLite file format, 4.1 (WAL file format).
"""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

_HEADER, _FRAME = 32, 24


def committed(path: Path) -> int:
    """Where the last commit of a WAL file ends, in bytes from its start; 0 when the file has no header."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER:
            return 0
        page = struct.unpack(">I", header[8:12])[0]
        salts = header[16:24]
        size, at, last = path.stat().st_size, _HEADER, _HEADER
        while at + _FRAME + page <= size:
            file.seek(at)
            frame = file.read(_FRAME)
            if frame[8:16] != salts:
                break
            at += _FRAME + page
            if frame[4:8] != b"\0\0\0\0":  # size of the database after a commit; 0 in other frames
                last = at
        return last


def tear(journal: Path, draw: random.Random) -> str:
    """Spoil what follows the last commit of the segment written last, as a torn write would; how, in a word.

    journal: the folder of segment files, which no process has open.
    """
    wals = sorted(journal.glob("*-wal"), key=lambda file: file.stat().st_mtime)
    wals = [file for file in wals if file.stat().st_size > _HEADER and "catalog" not in file.name]
    if not wals:
        return "nothing to tear"
    path = wals[-1]
    end = committed(path)
    kind = draw.choice(("garbage", "half a frame", "cut"))
    with path.open("r+b") as file:
        header = file.read(_HEADER)
        file.seek(end)
        if kind == "garbage":
            file.write(draw.randbytes(draw.randint(1, 20_000)))
        elif kind == "half a frame":
            # a frame of this generation that claims to commit, with a page that was only written in part
            file.write(struct.pack(">II", 2, 1_000_000) + header[16:24] + bytes(8) + draw.randbytes(2048))
            file.truncate()
        else:
            file.truncate(end + min(draw.randint(0, 4000), max(0, path.stat().st_size - end)))
        file.flush()
        os.fsync(file.fileno())
    return kind
