"""A source and a destination in memory, known to the registry as any third party's: what runtime tests listen to."""

import asyncio
from collections import deque
from typing import Any, ClassVar

from channels.errors import VaguemestreError
from channels.fields import Settings
from channels.message import Message
from channels.ports import Intake, Receipt, Surroundings


class ProbeSettings(Settings):
    """Whatever a test writes."""

    label: str = ""


class ProbeSource:
    """Gives its intake away; ``running`` finds it by channel."""

    settings: type[Settings] = ProbeSettings
    running: ClassVar[dict[str, "ProbeSource"]] = {}

    def __init__(self, settings: Any, surroundings: Surroundings) -> None:
        self.channel = surroundings.channel
        self.intake: Intake | None = None
        self.pauses: list[str] = []

    async def start(self, intake: Intake) -> None:
        self.intake = intake
        ProbeSource.running[self.channel] = self

    async def stop(self) -> None:
        ProbeSource.running.pop(self.channel, None)

    async def pause(self) -> None:
        self.pauses.append("pause")

    async def resume(self) -> None:
        self.pauses.append("resume")


class ProbeDestination:
    """Records what it gets; answers with the errors a test has scripted, then yes."""

    settings: type[Settings] = ProbeSettings
    running: ClassVar[dict[str, "ProbeDestination"]] = {}

    def __init__(self, settings: Any, surroundings: Surroundings) -> None:
        self.name = f"{surroundings.channel}/{surroundings.name}"
        self.received: list[Message] = []
        self.script: deque[VaguemestreError] = deque()
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    async def start(self) -> None:
        ProbeDestination.running[self.name] = self

    async def send(self, message: Message) -> Receipt:
        await self.open.wait()
        if self.script:
            raise self.script.popleft()
        self.received.append(message)
        return Receipt(message.control_id, b"answer")

    async def aclose(self) -> None:
        self.closed = True
