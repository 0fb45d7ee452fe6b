"""A file of identities verified with INSi, line by line; it can be stopped at any moment and goes on where it was.

The report has the local number of each line and a word: no trait, and no INS.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from channels.errors import ChannelFileError, ConfigError, MessageError, Refused, Undelivered
from channels.loader import LoadedSite
from connectors.insi.settings import InsiServiceSettings
from connectors.insi.traits import Traits, commune, day, given_names, in_alphabet
from transforms.ins import ins_key_is_right, ins_kind

Word = Literal[
    "verified", "mismatch", "wrong-key", "wrong-domain", "incomplete", "refused-traits", "refused", "unreachable"
]
NOT_DONE = frozenset({"refused", "unreachable"})
"""Words of lines that are asked about again."""
GIVEN_UP_AFTER = 5
_NAMES = {
    "id": "id", "ins": "ins", "oid": "oid", "nom": "family", "family": "family", "prenoms": "given", "given": "given",
    "sexe": "sex", "sex": "sex", "naissance": "birth_date", "birth_date": "birth_date", "lieu": "birth_place",
    "birth_place": "birth_place",
}  # fmt: skip
_NEEDED = frozenset(_NAMES.values()) - {"birth_place"}
_REPORT = ["id", "result", "at"]
Verify = Callable[[str, str, Traits], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Line:
    """One identity. id: the establishment's own number; ins: 15 characters."""

    id: str
    ins: str
    oid: str
    traits: Traits

    def __repr__(self) -> str:
        """Nothing of the person."""
        return "<Line>"


@dataclass(slots=True)
class Tally:
    """What became of the lines. skipped: done before. stopped: the service was given up."""

    words: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    stopped: bool = False


def read_lines(path: Path) -> list[Line]:
    """The identities of a CSV file (``;`` or ``,``; UTF-8 or Windows-1252).

    Raises:
        ChannelFileError: a column lacks, a line has another number of them, or a number (``id``) stands twice.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text), delimiter=";" if head.count(";") >= head.count(",") else ",")
    columns = [_NAMES.get(one.strip().lower(), "") for one in next(rows, [])]
    lacking = sorted(_NEEDED - set(columns))
    if lacking:
        raise ChannelFileError(path.name, 1, 1, f"a column lacks: {', '.join(lacking)}")
    return list(_read(rows, columns, path.name))


def _read(rows: Iterator[list[str]], columns: list[str], name: str) -> Iterator[Line]:
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != len(columns):
            raise ChannelFileError(name, number, 1, f"a line has {len(columns)} columns")
        said = {column: cell.strip() for column, cell in zip(columns, row, strict=True)}
        if not said["id"] or said["id"] in seen:
            raise ChannelFileError(name, number, 1, "the number of the line (id) is empty, or stands twice")
        seen.add(said["id"])
        sex = said["sex"].upper()
        traits = Traits(
            in_alphabet(said["family"]),
            given_names(said["given"]),
            sex if sex in ("M", "F") else "",
            day(said["birth_date"]),
            commune(said.get("birth_place", "")),
        )
        yield Line(said["id"], "".join(said["ins"].split()).upper(), said["oid"], traits)


class Report:
    """The report: one line an identity, the last one of a number counts; on disk after each line."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when the file is there and is no such report."""
        self.done: set[str] = set()
        if path.exists():
            self._resume(path)
        else:
            path.touch(mode=0o600)
        self._file: TextIO = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not path.stat().st_size:
            self._write(_REPORT)

    def _resume(self, path: Path) -> None:
        """What is done already; a line that a crash cut is taken away."""
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(whole)))
        if text and (not rows or rows[0] != _REPORT):
            raise ConfigError(f"{path.name} is not a report of this command")
        if whole != text:
            path.write_text(whole, "utf-8")
        last = {row[0]: row[1] for row in rows[1:]}
        self.done = {number for number, word in last.items() if word not in NOT_DONE}

    def add(self, number: str, word: Word) -> None:
        """Write one line."""
        self._write([number, word, datetime.now(UTC).isoformat(timespec="seconds")])

    def _write(self, row: list[str]) -> None:
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def verify_all(lines: list[Line], report: Report, domain: str, verify: Verify, *, pause: float = 5.0) -> Tally:
    """Verify the lines that are not done. pause: seconds after a call without an answer.

    After five failures of the service in a row it stops: the next call goes on there.
    """
    tally, failures = Tally(), 0
    for line in lines:
        if line.id in report.done:
            tally.skipped += 1
            continue
        word = await _verified(line, domain, verify)
        report.add(line.id, word)
        tally.words[word] += 1
        failures = failures + 1 if word in NOT_DONE else 0
        if failures == GIVEN_UP_AFTER:
            tally.stopped = True
            break
        if word == "unreachable":
            await asyncio.sleep(pause)
    return tally


async def _verified(line: Line, domain: str, verify: Verify) -> Word:
    if not ins_key_is_right(line.ins):
        return "wrong-key"
    if not ins_kind(line.oid, domain):
        return "wrong-domain"
    if not line.traits.complete:
        return "incomplete"
    try:
        return "verified" if await verify(line.ins, line.oid, line.traits) else "mismatch"
    except MessageError:
        return "refused-traits"
    except Refused:
        return "refused"
    except Undelivered:
        return "unreachable"


def insi_settings(loaded: LoadedSite, channel: str | None) -> tuple[InsiServiceSettings, str]:
    """The settings of the step ``insi`` of a channel, and the channel's name; of the first one when none is named.

    Raises ConfigError.
    """
    for name, one in loaded.channels.items():
        if channel not in (None, name):
            continue
        steps = [*one.transform, *(step for each in one.destinations for step in each.transform)]
        for step in steps:
            if isinstance(step.options, InsiServiceSettings):
                return step.options, name
    where = f"the channel {channel!r}" if channel else "no channel of the site"
    raise ConfigError(f"{where} has {'no' if channel else 'the'} step `insi`: its settings are used")
