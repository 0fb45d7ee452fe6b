"""A program for tests: writes messages into the file of the night, and says the number of each that is on disk."""

import asyncio
import sys
from pathlib import Path

from connectors.file import FileDestination, FileDestinationSettings
from tests.connectors.conformance import message
from tests.connectors.intake import surroundings


async def main(folder: str, first: int) -> None:
    settings = FileDestinationSettings.model_validate({"directory": "out", "close": "02:00", "name": "night.hl7"})
    destination = FileDestination(settings, surroundings(Path(folder), "sgl"))
    destination.clock = lambda: 1_795_593_600.0
    await destination.start()
    number = first
    while True:
        await destination.send(message(number, b"NTE|1||" + b"x" * 20_000 + b"\r"))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
