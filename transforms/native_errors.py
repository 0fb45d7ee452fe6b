"""What native code (Saxon) writes on the standard error output: it may quote the message, so it is kept from logs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def native_errors() -> Iterator[IO[bytes]]:
    """The file that has what was written, in place of the standard error output."""
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield kept
        finally:
            os.dup2(before, 2)
            os.close(before)
