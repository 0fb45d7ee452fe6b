"""One file that grows by whole messages until its period ends.

Beside the open file stands an index: which messages it holds and where each ends. A message counts once its line of
the index is on disk; what lies behind the last counted one (a crash, a full disk) is cut by the next write. A message
that the index already names is not written again, so a resend after a crash changes nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from dataclasses import dataclass, field

from channels.message import Message
from connectors.shared.folders import Folder
from connectors.shared.names import numbered

_LINE = re.compile(rb"(\d+-[0-9a-f]{24}) (\d+)\n")


@dataclass(slots=True)
class Plan:
    """What is fixed when a file is opened, and kept through a restart.

    name: its final name. until: seconds since the epoch. head: what comes before the first message, ``""`` for none.
    """

    name: str
    until: float
    head: str = ""
    counted: bool = False
    """True: an HL7 trailer with the count closes the file."""


@dataclass(slots=True)
class OpenFile:
    """``data`` and ``index`` are paths under the folder."""

    folder: Folder
    data: str
    index: str
    plan: Plan
    keys: set[str] = field(default_factory=set)
    count: int = 0
    end: int = 0
    index_end: int = 0

    @classmethod
    async def create(cls, folder: Folder, data: str, plan: Plan) -> OpenFile:
        """Open a new file."""
        line = json.dumps([plan.name, plan.until, plan.head, plan.counted]).encode() + b"\n"
        index = f"{data}.index"
        await folder.put(index, line, replace=True)
        await folder.append(data, 0, b"")
        return cls(folder, data, index, plan, index_end=len(line))

    @classmethod
    async def load(cls, folder: Folder, data: str) -> OpenFile:
        """Open a file that was left open. Raises OSError when its index cannot be read."""
        index = f"{data}.index"
        first, *lines = (await folder.read(index)).splitlines(keepends=True)
        try:
            found = cls(folder, data, index, Plan(*json.loads(first)), index_end=len(first))
        except ValueError:
            raise OSError(errno.EIO, "the index of the open file is damaged") from None
        for line in lines:
            match = _LINE.fullmatch(line)
            if not match:  # what a crash left of the last line
                break
            found.keys.add(match[1].decode())
            found.count, found.end, found.index_end = found.count + 1, int(match[2]), found.index_end + len(line)
        return found

    async def append(self, message: Message, body: bytes) -> None:
        """Write one message at the end; nothing when it is there already."""
        key = self.key(message)
        if key in self.keys:
            return
        if not self.count:
            body = self.plan.head.encode() + body
        await self.folder.append(self.data, self.end, body)
        end = self.end + len(body)
        line = f"{key} {end}\n".encode()
        await self.folder.append(self.index, self.index_end, line)
        self.keys.add(key)
        self.count, self.end, self.index_end = self.count + 1, end, self.index_end + len(line)

    async def close(self, trailer: bytes) -> str:
        """End the file and give it its final name, which it returns. May be repeated after a failure."""
        await self.folder.append(self.data, self.end, trailer if self.plan.counted else b"")
        number = 1
        while True:
            name = numbered(self.plan.name, number)
            try:
                await self.folder.move(self.data, name)
                return name
            except FileExistsError:
                number += 1

    @staticmethod
    def key(message: Message) -> str:
        """What recognises a resend: the journal's number and the content (a transform may make several of one)."""
        digest = hashlib.sha256(message.body).hexdigest()[:24]
        return f"{message.id}-{digest}"
