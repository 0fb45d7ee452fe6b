"""A program for tests: an engine that kills itself (SIGKILL) the moment it is about to note how a delivery ended.

    python -m tests.channels.killed_engine SITE CHANNEL ROUTE NUMBER

It hands NUMBER messages to CHANNEL and waits. The first delivery of ROUTE that ends is on its way into the journal's
next group: what it did is done, and nothing of it is noted.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from channels.journal import Delivery
from channels.loader import load_site
from channels.supervisor import Supervisor
from tests.channels.test_runtime import adt


async def main(site: str, channel: str, route: str, number: int) -> None:
    engine = Supervisor(load_site(Path(site)))
    settle = engine.journal.settle

    def kill(delivery: Delivery) -> None:
        if delivery.route == route:
            os.kill(os.getpid(), signal.SIGKILL)
        settle(delivery)

    engine.journal.settle = kill  # type: ignore[method-assign]  # the fault that is injected
    await engine.start()
    for one in range(1, number + 1):
        await engine.channels[channel].receive(adt(one))
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
