"""The file connector in the suite that every connector passes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from channels.ports import Destination, Source
from connectors.file import FileDestination, FileDestinationSettings, FileSource, FileSourceSettings
from tests.connectors.conformance import DestinationCase, DestinationConformance, SourceCase, SourceConformance, hl7
from tests.connectors.intake import surroundings


class FolderOfFiles(SourceCase):
    """A program that drops files."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.count = directory, 0
        self.folder = directory / "in"
        self.folder.mkdir()

    def build(self) -> Source:
        settings = FileSourceSettings.model_validate(
            {"directory": "in", "every": "10ms", "stable_for": "0s", "unanswered": self.limit}
        )
        return FileSource(settings, surroundings(self.directory))

    async def send(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self.count += 1
            temporary = self.folder / f"{self.count:06}.tmp"
            temporary.write_bytes(body)
            temporary.rename(temporary.with_suffix(".HL7"))

    async def look(self) -> None:
        self.acknowledged = [path.read_bytes() for path in sorted(self.folder.glob("done/*.HL7"))]
        self.rejected = [path.read_bytes() for path in sorted(self.folder.glob("error/*.HL7"))]


class TestFileSource(SourceConformance):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        return FolderOfFiles(tmp_path)


class OneFileEach(DestinationCase):
    """A program that takes files from a folder."""

    idempotent = True
    mute_reason = "a folder always answers"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folder = directory / "out"
        self.folder.mkdir()

    def build(self) -> Destination:
        settings = FileDestinationSettings.model_validate(
            {"directory": str(self.folder), "name": "{id:08}.hl7", "conflict": "refuse"}
        )
        return FileDestination(settings, surroundings(self.directory, "sgl"))

    async def received(self) -> list[bytes]:
        assert [path.name for path in self.folder.glob(".*tmp")] == []
        return [path.read_bytes() for path in sorted(self.folder.glob("*.hl7"))]

    async def down(self) -> None:
        self.folder.rename(self.directory / "unmounted")

    async def up(self) -> None:
        (self.directory / "unmounted").rename(self.folder)

    async def refuse(self) -> None:
        (self.folder / "00000001.hl7").write_bytes(b"another message")


class TestFileDestination(DestinationConformance):
    @pytest.fixture
    def case(self, tmp_path: Path) -> DestinationCase:
        return OneFileEach(tmp_path)


class OneFileANight(OneFileEach):
    """A program that takes one file a night."""

    def build(self) -> Destination:
        settings = FileDestinationSettings.model_validate({"directory": str(self.folder), "close": "02:00"})
        return FileDestination(settings, surroundings(self.directory, "sgl"))

    async def received(self) -> list[bytes]:
        written = self.folder / ".open/adt-fanout.sgl/data"
        pieces = written.read_bytes().split(b"MSH|")[1:] if written.exists() else []
        return [b"MSH|" + piece for piece in pieces]

    async def refuse(self) -> None:
        pytest.skip("an open file takes every message")


class TestOneFileANight(DestinationConformance):
    @pytest.fixture
    def case(self, tmp_path: Path) -> DestinationCase:
        return OneFileANight(tmp_path)


def test_the_invented_message_says_its_number() -> None:
    assert b"|7|P|" in hl7(7)
