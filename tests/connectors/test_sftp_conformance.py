"""The sftp connector in the suite that every connector passes, against OpenSSH."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from channels.ports import Destination, Source
from connectors.sftp import SftpDestination, SftpDestinationSettings, SftpSource, SftpSourceSettings
from tests.connectors.conformance import DestinationCase, DestinationConformance, SourceCase, SourceConformance
from tests.connectors.intake import surroundings
from tests.connectors.sshd import Sshd


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path)
    server.start()
    yield server
    server.stop()


class FolderOfServer(SourceCase):
    """A program that drops files on the server."""

    def __init__(self, sshd: Sshd) -> None:
        super().__init__()
        self.sshd, self.count = sshd, 0

    def build(self) -> Source:
        settings = SftpSourceSettings.model_validate(
            self.sshd.settings | {"every": "10ms", "stable_for": "0s", "unanswered": self.limit}
        )
        return SftpSource(settings, surroundings(self.sshd.folder))

    async def send(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self.count += 1
            temporary = self.sshd.home / f"{self.count:06}.tmp"
            temporary.write_bytes(body)
            temporary.rename(temporary.with_suffix(".hl7"))

    async def look(self) -> None:
        self.acknowledged = [path.read_bytes() for path in sorted(self.sshd.home.glob("done/*.hl7"))]
        self.rejected = [path.read_bytes() for path in sorted(self.sshd.home.glob("error/*.hl7"))]


class TestSftpSource(SourceConformance):
    @pytest.fixture
    def case(self, sshd: Sshd) -> SourceCase:
        return FolderOfServer(sshd)


class OneFileEach(DestinationCase):
    """A program that takes files from the server."""

    idempotent = True

    def __init__(self, sshd: Sshd) -> None:
        self.sshd, self.timeout = sshd, "20s"

    def build(self) -> Destination:
        settings = SftpDestinationSettings.model_validate(
            self.sshd.settings | {"name": "{id:08}.hl7", "conflict": "refuse", "timeout": self.timeout}
        )
        return SftpDestination(settings, surroundings(self.sshd.folder, "sgl"))

    async def received(self) -> list[bytes]:
        assert [path.name for path in self.sshd.home.glob(".*tmp")] == []
        return [path.read_bytes() for path in sorted(self.sshd.home.glob("*.hl7"))]

    async def down(self) -> None:
        self.sshd.stop()

    async def up(self) -> None:
        self.sshd.start()

    async def refuse(self) -> None:
        (self.sshd.home / "00000001.hl7").write_bytes(b"another message")

    async def mute(self) -> None:
        self.timeout = "300ms"
        self.sshd.freeze()


class TestSftpDestination(DestinationConformance):
    @pytest.fixture
    def case(self, sshd: Sshd) -> DestinationCase:
        return OneFileEach(sshd)


class OneFileANight(OneFileEach):
    """A program that takes one file a night from the server."""

    def build(self) -> Destination:
        settings = SftpDestinationSettings.model_validate(
            self.sshd.settings | {"close": "02:00", "timeout": self.timeout}
        )
        return SftpDestination(settings, surroundings(self.sshd.folder, "sgl"))

    async def received(self) -> list[bytes]:
        written = self.sshd.home / ".open/adt-fanout.sgl/data"
        pieces = written.read_bytes().split(b"MSH|")[1:] if written.exists() else []
        return [b"MSH|" + piece for piece in pieces]

    async def refuse(self) -> None:
        pytest.skip("an open file takes every message")


class TestOneFileANight(DestinationConformance):
    @pytest.fixture
    def case(self, sshd: Sshd) -> DestinationCase:
        return OneFileANight(sshd)
