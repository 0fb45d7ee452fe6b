"""The sites that measurements run: what a real one has (encryption, retries, a filter, metrics), on free ports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from channels.journal import MasterKeys
from vaguemestre.measure.processes import free_port


@dataclass(frozen=True, slots=True)
class MeasuredSite:
    """A generated site. ports: of its sources, channel by channel. web: of its metrics."""

    directory: Path
    ports: tuple[int, ...]
    web: int

    @property
    def journal(self) -> Path:
        """Where its journal is."""
        return self.directory / "var" / "journal"


def make(
    directory: Path,
    to: int,
    *,
    channels: int = 1,
    parallel: int = 16,
    journal: Path | None = None,
    segment_size: str = "1GB",
    retry: str = "{first: 50ms, most: 500ms}",
) -> MeasuredSite:
    """Write a site whose channels all go from MLLP to MLLP.

    to: port of the far end. parallel: connections to it. journal: elsewhere than in the site.
    """
    ports = tuple(free_port() for _ in range(channels))
    site = MeasuredSite(directory, ports, free_port())
    (directory / "channels").mkdir(parents=True)
    key = directory / "master.key"
    key.touch(mode=0o600)
    key.write_text(MasterKeys.new_line("k1"), encoding="ascii")
    where = json.dumps(str(journal or site.journal))
    (directory / "site.yaml").write_text(
        f"""site: mesure
establishment: {{name: "Hôpital de mesure", finess: "000000000"}}
journal: {{directory: {where}, key_file: master.key, segment_size: {segment_size}}}
web: {{listen: "127.0.0.1:{site.web}"}}
stop_within: 5s
""",
        encoding="utf-8",
    )
    for number, port in enumerate(ports, 1):
        (directory / "channels" / f"mesure-{number}.yaml").write_text(
            f"""channel: mesure-{number}
source:
  mllp: {{listen: "127.0.0.1:{port}"}}
filter: {{message: [ADT^A01, ADT^A08, ADT^A40, ORU^R01]}}
destinations:
  - name: dpi
    parallel: {parallel}
    retry: {retry}
    breaker: {{wait: 200ms}}
    mllp: {{connect: "127.0.0.1:{to}"}}
""",
            encoding="utf-8",
        )
    return site
