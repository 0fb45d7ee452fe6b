"""Prometheus metrics: the engine's plain counters, read when they are scraped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from channels.supervisor import Supervisor

if TYPE_CHECKING:
    from vaguemestre.certificates import Report

_CHANNEL = {
    "received": "Messages that the source handed in.",
    "refused": "Messages answered with a refusal and kept as refused.",
    "duplicates": "Resends answered with the earlier acknowledgement.",
    "warned": "Messages with a defect that was borne: a wrong key, a code of no table...",
}
_DESTINATION = {
    "delivered": "Deliveries that the destination took.",
    "filtered": "Deliveries that a filter did not want.",
    "failed": "Messages that cannot pass: transform or form.",
    "refused": "Deliveries that the destination refused.",
    "expired": "Deliveries given up.",
    "skipped": "Deliveries skipped by an operator.",
    "retries": "Tries that were put off.",
}
_QUEUE = {
    "waiting": "Deliveries waiting.",
    "in_flight": "Deliveries under way.",
    "held": "1 while an operator holds the destination.",
    "circuit_open": "1 while the circuit breaker is open.",
}


_HOUR = 3600.0


class EngineCollector(Collector):
    """Turns ``Supervisor.state()`` into metric families."""

    def __init__(self, supervisor: Supervisor) -> None:
        """supervisor: the running engine."""
        self._supervisor = supervisor
        self._reports: list[Report] = []
        self._inspected, self._site = -_HOUR, supervisor.loaded

    def collect(self) -> Iterator[Metric]:
        """All metrics of the engine, as of now."""
        state = self._supervisor.state()
        journal = state["journal"]
        yield GaugeMetricFamily(
            "vaguemestre_ready", "1 when every channel receives and the journal can be written.", state["ready"]
        )
        yield GaugeMetricFamily("vaguemestre_journal_healthy", "1 when the journal can be written.", journal["healthy"])
        yield CounterMetricFamily("vaguemestre_journal_commits", "Transactions written to disk.", journal["commits"])
        yield CounterMetricFamily(
            "vaguemestre_journal_commit_seconds", "Time waited for the disk.", journal["commit_seconds"]
        )
        channels = state["channels"]
        for name, text in _CHANNEL.items():
            yield _family(
                f"vaguemestre_channel_{name}", text, [((one["channel"],), one[name]) for one in channels], ["channel"]
            )
        routes = [((one["channel"], name), values) for one in channels for name, values in one["destinations"].items()]
        labels = ["channel", "destination"]
        for name, text in _DESTINATION.items():
            yield _family(
                f"vaguemestre_destination_{name}", text, [(key, values[name]) for key, values in routes], labels
            )
        for name, text in _QUEUE.items():
            gauge = GaugeMetricFamily(f"vaguemestre_queue_{name}", text, labels=labels)
            for key, values in routes:
                gauge.add_metric(list(key), float(values[name]))
            yield gauge
        age = GaugeMetricFamily(
            "vaguemestre_queue_oldest_seconds", "Age of the oldest message that waits.", labels=labels
        )
        for key, values in routes:
            age.add_metric(list(key), time.time() - values["oldest"] if values["oldest"] else 0.0)
        yield age
        last = GaugeMetricFamily(
            "vaguemestre_channel_last_message", "Time of the latest message, Unix seconds.", labels=["channel"]
        )
        for one in channels:
            last.add_metric([one["channel"]], one["last"])
        yield last
        yield from self._certificates()

    def _certificates(self) -> Iterator[Metric]:
        """Days that each certificate is good for; looked at again every hour."""
        loaded = self._supervisor.loaded
        if loaded.site.certificates and (time.monotonic() > self._inspected + _HOUR or self._site is not loaded):
            from vaguemestre.certificates import inspect

            self._reports, self._inspected, self._site = inspect(loaded), time.monotonic(), loaded
        gauge = GaugeMetricFamily(
            "vaguemestre_certificate_days", "Days left; -1 when it cannot be read.", labels=["certificate", "use"]
        )
        for one in self._reports:
            gauge.add_metric([one.name, one.use], -1.0 if one.days is None else float(one.days))
        yield gauge


def _family(name: str, text: str, rows: list[tuple[tuple[str, ...], Any]], labels: list[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in rows:
        family.add_metric(list(key), value)
    return family


class Metrics:
    """The registry of one engine."""

    def __init__(self, supervisor: Supervisor) -> None:
        """supervisor: the running engine."""
        self._registry = CollectorRegistry()
        self._registry.register(EngineCollector(supervisor))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Prometheus' text form."""
        return generate_latest(self._registry)
