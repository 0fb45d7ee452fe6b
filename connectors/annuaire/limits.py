"""How often the directory may be asked: one count for each address and key, whoever asks in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_FIRST_PAUSE = 1.0


class Limit:
    """Questions at a rate, and none for a while after a failure: longer each time, until there is an answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds."""
        self._clock = clock
        self._free = self._until = 0.0
        self._failures = 0

    async def turn(self, rate: float) -> None:
        """Wait for one's turn; those who come at once leave one after the other."""
        now = self._clock()
        start = max(now, self._free)
        self._free = start + 1 / rate
        if start > now:
            await asyncio.sleep(start - now)

    @property
    def resting(self) -> bool:
        """Whether the directory is left in peace now."""
        return self._clock() < self._until

    def put_off(self, seconds: float) -> None:
        """The directory says when it may be asked again."""
        self._free = max(self._free, self._clock() + seconds)

    def answered(self) -> None:
        """It did."""
        self._failures, self._until = 0, 0.0

    def failed(self, most: float) -> None:
        """It did not: 1 s of peace, then 2 s, 4 s... most: seconds."""
        self._until = self._clock() + min(most, _FIRST_PAUSE * 2**self._failures)
        self._failures = min(self._failures + 1, 16)


_limits: dict[tuple[str, str], Limit] = {}


def limit_of(base: str, key: str) -> Limit:
    """The limit of an address and a key."""
    return _limits.setdefault((base, key), Limit())
