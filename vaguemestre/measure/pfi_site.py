"""The site of ``vaguemestre init --pfi`` on free ports, its far ends those of a measurement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vaguemestre import starter
from vaguemestre.measure.processes import free_port

RESULTS, DMP, SMTP, ZAM = 2581, 8443, 2587, 2678
"""Ports of the example: where results come in, and where the others are."""
_SLOW_RETRY = "    retry: {first: 10s, most: 5m}\n"
_RETRY = "    retry: {first: 50ms, most: 500ms}\n    breaker: {wait: 200ms}\n"
_PLACE = re.compile(r"(127\.0\.0\.1|localhost):(\d+)")


@dataclass(frozen=True, slots=True)
class PfiSite:
    """A site. port: where results come in."""

    directory: Path
    port: int

    @property
    def certificates(self) -> Path:
        """Of the rehearsal: the authority, and what it signed."""
        return self.directory / starter.CERTIFICATES

    @property
    def result(self) -> bytes:
        """The example's message."""
        return (self.directory / "cases" / "oru_crp.hl7").read_bytes()

    def connect(self, ports: dict[int, int]) -> None:
        """Write the ports of the others: example's -> true one. What is not named has a port of nobody."""
        known = {str(port): true for port, true in ports.items()} | {str(RESULTS): self.port}
        for file in (self.directory / "site.yaml", *sorted((self.directory / "channels").glob("*.yaml"))):
            text = file.read_text("utf-8")
            text = _PLACE.sub(lambda one: f"{one[1]}:{known.get(one[2]) or free_port()}", text)
            file.write_text(_quick(text), "utf-8")


def make(directory: Path) -> PfiSite:
    """Write a site; ``connect`` it before it is started."""
    starter.write(directory, pfi=True)
    return PfiSite(directory, free_port())


def _quick(text: str) -> str:
    """Retries that suit a short measurement; a mail that is taken counts as received."""
    text = text.replace(_SLOW_RETRY, _RETRY)
    text = text.replace("  - name: sgl\n    mllp:", f"  - name: sgl\n{_RETRY}    mllp:")
    text = text.replace("      tls: org-auth\n", "      tls: org-auth\n      lookups: [200ms, 500ms]\n")
    return text.replace(
        "mssante.mails: {sender: pfi@ch-testville.mssante.fr}\n    mssante:\n",
        "mssante.mails: {sender: pfi@ch-testville.mssante.fr}\n    mssante:\n      accepted_is_received: true\n",
    )
