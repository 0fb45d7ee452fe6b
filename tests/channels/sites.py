"""Sites for tests: a folder with files in it, and connectors that need no network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from channels import registry
from channels.errors import ConfigErrors
from channels.loader import LoadedSite, load_site

SITE = """\
site: essai
establishment: {name: CH de Testville, finess: "990000001"}
"""
CHANNEL = """\
channel: adt
source:
  mllp: {listen: "127.0.0.1:2575"}
destinations:
  - name: dpi
    mllp: {connect: "dpi.example:2575", timeout: 30s}
  - name: sgl
    filter: {message: ADT^A01, PV1-2: [I, E]}
    transform:
      - codes: {field: PV1-3.1, table: uf}
    mllp:
      connect: sgl.example:2576
"""
TABLE = "source;target\n3120;NEPH\n"
ADT = (
    b"MSH|^~\\&|GAP|CH|X|CH|20260310083015||ADT^A01^ADT_A01|GAP1|P|2.5|||||FRA|UNICODE UTF-8\r"
    b"EVN||20260310083015\rPID|1||700123^^^CH^PI||MODELE^ALIX\rPV1|1|I|3120^12\r"
)
HERE = "§"


@pytest.fixture
def connectors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``mllp`` and ``file`` are the fakes of ``channels.testing``."""
    monkeypatch.setattr(registry, "SOURCES", {"mllp": "channels.testing:FakeSource"})
    destination = "channels.testing:FakeDestination"
    monkeypatch.setattr(registry, "DESTINATIONS", {"mllp": destination, "file": destination})
    monkeypatch.setitem(registry._KINDS, "source", registry.SOURCES)
    monkeypatch.setitem(registry._KINDS, "destination", registry.DESTINATIONS)
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()


def write(directory: Path, files: dict[str, str | bytes | None] | None = None) -> Path:
    """A site without fault, with these files changed, added or (None) removed."""
    everything: dict[str, str | bytes | None] = {
        "site.yaml": SITE,
        "channels/adt.yaml": CHANNEL,
        "mappings/uf.csv": TABLE,
        "cases/a01.hl7": ADT,
        **(files or {}),
    }
    for name, content in everything.items():
        path = directory / name
        if content is None:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def loaded(directory: Path, files: dict[str, str | bytes | None] | None = None, **environment: str) -> LoadedSite:
    """The site of ``write``, loaded."""
    return load_site(write(directory, files), environment)


def faults(directory: Path, files: dict[str, str | bytes | None] | None = None, **environment: str) -> list[str]:
    """All faults of the site of ``write``, as shown."""
    with pytest.raises(ConfigErrors) as raised:
        load_site(write(directory, files), environment)
    return [str(one) for one in raised.value.faults]


def marked(text: str) -> tuple[str, list[str]]:
    """The text without its ``§``, and the ``line:column`` of each of them."""
    places = []
    while HERE in text:
        before = text[: text.index(HERE)]
        places.append(f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}")
        text = text.replace(HERE, "", 1)
    return text, places


def change(*pairs: tuple[str, str], base: str = CHANNEL) -> str:
    """``base`` with pieces replaced; each must be there once."""
    for old, new in pairs:
        assert base.count(old) == 1, old
        base = base.replace(old, new)
    return base
