"""What several commands share: a message from a file or from standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from channels.loader import no_site
from channels.ports import Surroundings
from transforms import batch

STANDARD_INPUT = "-"


def read_bytes(file: str) -> bytes:
    """The content of a file, or of standard input for ``-``. Raises OSError."""
    return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()


def read_message(file: str) -> bytes:
    """One message, without the MLLP frame that may surround it in a capture. Raises OSError."""
    body = read_bytes(file)
    pieces = batch.split(body)
    return pieces[0] if len(pieces) == 1 else body


def shown(file: str) -> str:
    """The name of a file as messages to people say it."""
    return "stdin" if file == STANDARD_INPUT else file


def here() -> Surroundings:
    """For TLS files named on the command line: paths are those of the current folder."""
    return Surroundings(no_site().site, Path.cwd(), "", "")
