"""When to try again: pure arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable

from channels.model import Breaker, Retry


def delay(retry: Retry, attempts: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait after ``attempts`` failures: exponential, capped, part of it drawn at random.

    draw: gives a number in [0, 1).
    """
    wait = min(retry.most, retry.first * retry.factor ** min(attempts - 1, 60))
    return wait * (1 - retry.jitter * draw())


def trial_delay(breaker: Breaker, retry: Retry, openings: int) -> float:
    """Seconds that a circuit stays open, the ``openings``-th time in a row."""
    return min(max(retry.most, breaker.wait), breaker.wait * retry.factor ** min(openings - 1, 60))
