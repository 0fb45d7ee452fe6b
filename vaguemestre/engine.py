"""The engine as a process: signals, control socket, web listener, the service manager."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys

import structlog

from channels.control import ControlServer
from channels.errors import ConfigError
from channels.loader import LoadedSite
from channels.supervisor import Supervisor
from vaguemestre.web import Web

log = structlog.get_logger()


def notify(state: str) -> None:
    """Tell systemd (``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``…); nothing happens without it.

    Source: sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection, contextlib.suppress(OSError):
        connection.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


async def serve(loaded: LoadedSite) -> None:
    """Run a site until SIGTERM or SIGINT; SIGHUP reloads it. Raises ConfigError, StoreError or OSError at the start."""
    supervisor = Supervisor(loaded)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await supervisor.start()
    control = ControlServer(supervisor, loaded.directory / loaded.site.control)
    web = Web(supervisor, loaded.site.web.listen) if loaded.site.web else None
    background: set[asyncio.Task[None]] = set()
    try:
        await control.start()
        if web is not None:
            await web.start()
        loop.add_signal_handler(signal.SIGHUP, lambda: background.add(loop.create_task(_reload(supervisor))))
        background.add(loop.create_task(_watchdog()))
        background.add(loop.create_task(_watch_certificates(supervisor)))
        # What lives as long as the process need not be looked at by every collection.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 1000)
        notify("READY=1")
        await stop.wait()
    finally:
        notify("STOPPING=1")
        for task in background:
            task.cancel()
        if web is not None:
            await web.stop()
        await control.stop()
        await supervisor.stop()


async def _reload(supervisor: Supervisor) -> None:
    notify("RELOADING=1")
    try:
        await supervisor.reload("SIGHUP")
    except ConfigError as error:
        log.error("configuration has faults, the old one runs on", error=str(error))
    notify("READY=1")


async def _watch_certificates(supervisor: Supervisor) -> None:
    """Tell the log, at start and every day, what does not fit or soon ends."""
    while True:
        if supervisor.loaded.site.certificates:
            await _tell_of_certificates(supervisor.loaded)
        await asyncio.sleep(86_400)


async def _tell_of_certificates(loaded: LoadedSite) -> None:
    from vaguemestre.certificates import WARN_AT, inspect

    for one in await asyncio.to_thread(inspect, loaded):
        if one.problems:
            log.error("a certificate does not fit", certificate=one.name, problems=list(one.problems))
        elif one.days is not None and one.days <= WARN_AT[0]:
            tell = log.error if one.days <= WARN_AT[2] else log.warning
            tell("a certificate ends soon", certificate=one.name, days=one.days)


async def _watchdog() -> None:
    """Tell systemd that the loop turns, twice as often as it asks."""
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


def run(loaded: LoadedSite) -> None:
    """``serve`` in a new event loop: uvloop's where it is installed."""
    sys.setswitchinterval(0.0005)  # the commit thread needs the interpreter for microseconds, not after 5 ms
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(loaded))
    else:
        uvloop.run(serve(loaded))
