"""All channels of a site: start, stop, reload by difference, health, housekeeping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from pathlib import Path
from typing import Any

import apsw
import structlog

from channels.errors import ConfigError
from channels.journal import Journal, MasterKeys
from channels.links import Links, waves
from channels.loader import LoadedSite, load_site
from channels.plan import changes, dump_site
from channels.runtime import ChannelRuntime
from channels.site import JournalSettings
from channels.worker import fingerprint
from channels.workers import Workers

log = structlog.get_logger()

_HOUSEKEEPING = 60.0
_CLOCK_MAY_MOVE = 7200.0


def master_keys(settings: JournalSettings, directory: Path) -> MasterKeys | None:
    """The keys that ``site.yaml`` names; None when the journal is in clear. Raises ConfigError."""
    if settings.key is not None:
        return MasterKeys.read(settings.key.get_secret_value())
    if settings.key_file is not None:
        return MasterKeys.load(directory / settings.key_file)
    return None


def journal_of(loaded: LoadedSite) -> Journal:
    """The journal that a site's settings describe, not open yet."""
    settings = loaded.site.journal
    return Journal(
        loaded.directory / settings.directory,
        master_keys(settings, loaded.directory),
        segment_size=settings.segment_size,
        segment_age=settings.segment_age,
    )


class Supervisor:
    """The running engine: one journal, one set of workers, the channels."""

    def __init__(self, loaded: LoadedSite) -> None:
        """loaded: a site without faults."""
        self.loaded = loaded
        self.journal = journal_of(loaded)
        self.workers = Workers(loaded.directory, loaded.site.workers, expected=fingerprint(loaded))
        self.links = Links()
        self.channels: dict[str, ChannelRuntime] = {}
        self.broken: dict[str, str] = {}
        self.started = 0.0
        self._house: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._pauses: set[asyncio.Task[None]] = set()

    async def start(self, who: str = "engine") -> None:
        """Open the journal and start every enabled channel; on an error, stop what was started.

        Raises:
            ConfigError, StoreError, OSError: it cannot start.
        """
        self.journal.on_health = self._journal_health
        self.journal.open()
        try:
            await self._start_channels([one.channel for one in self.loaded.channels.values() if one.enabled])
        except BaseException:
            await self.stop()
            raise
        self._remember(self.loaded, who, "start")
        self.started = time.time()
        self._house = asyncio.create_task(self._keep_house(), name="housekeeping")
        log.info("engine started", channels=len(self.channels))

    async def _start_channels(self, names: list[str], *, tolerant: bool = False) -> None:
        """Start channels of the loaded site with what the journal holds for them.

        tolerant: one that cannot start (a port in use) is said to be broken, and the others run.
        Those that take what others hand over start first.
        """
        waiting, held = self.journal.waiting(), set(self.journal.catalog.holds())
        order = waves({name: self.loaded.channels[name] for name in names})
        made = [
            ChannelRuntime(self.loaded.channels[name], self.loaded, self.journal, self.workers, self.links)
            for wave in reversed(order)
            for name in wave
        ]
        remembered = self.journal.recent(max((one.edge.remember for one in made), default=0))
        for runtime in made:
            runtime.edge.restore(runtime.name, remembered)
            self.channels[runtime.name] = runtime
            try:
                await runtime.start(waiting, held)
            except (OSError, ConfigError) as error:
                if not tolerant:
                    raise ConfigError(f"channel {runtime.name} cannot start: {error}") from error
                self.broken[runtime.name] = str(error)
                log.error("channel could not start", channel=runtime.name, error=str(error))
                with contextlib.suppress(OSError, ConfigError):
                    await self.channels.pop(runtime.name).stop(0.0)
            else:
                log.info("channel started", channel=runtime.name)

    async def stop(self) -> None:
        """Stop receiving, let deliveries under way end, write everything, close."""
        if self._house is not None:
            self._house.cancel()
            await asyncio.gather(self._house, return_exceptions=True)
        within = self.loaded.site.stop_within
        await self._stop_channels(set(self.channels), within)
        await self.workers.stop()
        await self.journal.close()
        log.info("engine stopped")

    async def _stop_channels(self, names: set[str], within: float) -> None:
        """Stop some channels, those that hand over before those that take it."""
        for wave in waves({name: self.channels[name].channel for name in names}):
            await asyncio.gather(*(self.channels.pop(name).stop(within) for name in wave))

    async def reload(self, who: str = "engine", why: str = "") -> list[str]:
        """Read the site again; only changed channels drain and restart. Returns what changed, in words.

        Raises:
            ConfigError: the new files have faults; everything runs on as before.
        """
        async with self._changing:
            loaded = load_site(self.loaded.directory)
            if loaded.same_as(self.loaded) and not self.broken:
                return []
            words = changes(self.loaded, loaded) + [f"{name}: started again" for name in sorted(self.broken)]
            changed = self._changed(loaded) | set(self.broken)
            within = loaded.site.stop_within
            await self._stop_channels(changed & set(self.channels), within)
            await self.workers.reload(fingerprint(loaded))
            await self.journal.flushed()
            self.loaded = loaded
            for name in changed:
                self.broken.pop(name, None)
            known = [name for name in sorted(changed) if name in loaded.channels and loaded.channels[name].enabled]
            await self._start_channels(known, tolerant=True)
            self._remember(loaded, who, why)
            log.info("configuration applied", changed=sorted(changed))
            return words

    def _changed(self, loaded: LoadedSite) -> set[str]:
        """Channels to restart: their file, or something that they share, is not what it was."""
        if loaded.shared_fingerprint != self.loaded.shared_fingerprint:
            return set(self.loaded.channels) | set(loaded.channels)
        before, after = self.loaded.fingerprints, loaded.fingerprints
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

    def _remember(self, loaded: LoadedSite, who: str, why: str) -> None:
        latest = self.journal.catalog.configurations(1)
        files = dump_site(loaded)
        if not latest or latest[0][4] != json.loads(json.dumps(files)):
            self.journal.catalog.applied(who, why, files)

    # health

    def _journal_health(self, healthy: bool) -> None:  # noqa: FBT001  # a callback of the journal
        for runtime in self.channels.values():
            task = asyncio.get_running_loop().create_task(runtime.pause(paused=not healthy))
            self._pauses.add(task)
            task.add_done_callback(self._pauses.discard)

    @property
    def ready(self) -> bool:
        """True when every enabled channel receives and the journal can be written."""
        return bool(self.started) and self.journal.healthy and not self.broken

    async def _keep_house(self) -> None:
        offset = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            try:
                await self.keep_house(time.time() - time.monotonic() - offset)
            except (apsw.Error, OSError) as error:  # a full disk: the next round tries again
                log.error("housekeeping failed", error=type(error).__name__)

    async def keep_house(self, clock_moved: float = 0.0) -> int:
        """Seal, index and remove old segments; returns how many were removed.

        clock_moved: seconds that the wall clock was set by since the start. After a jump nothing is removed until the
        next start: what a wrong date made old would be gone for good.
        """
        retention = self.loaded.site.journal.retention
        if abs(clock_moved) > _CLOCK_MAY_MOVE:
            log.warning("the clock was set: nothing is removed before the next start", seconds=round(clock_moved))
            retention = math.inf
        return await self.journal.housekeeping(retention)

    def state(self) -> dict[str, Any]:
        """The whole engine for operators."""
        return {
            "site": self.loaded.site.site,
            "started": self.started,
            "ready": self.ready,
            "journal": {
                "healthy": self.journal.healthy,
                "commits": self.journal.commits,
                "messages": self.journal.committed,
                "commit_seconds": self.journal.commit_seconds,
            },
            "broken": dict(self.broken),
            "channels": [runtime.state() for runtime in self.channels.values()],
        }
