"""A real RabbitMQ broker for tests: its own node, port mapper, folders and cookie, so that it meets no other."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import kombu
import psutil
import pytest

from tests.connectors.certificates import Certificates
from tests.connectors.intake import free_port
from tests.parts import require

CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {certificates}/authority.pem
ssl_options.certfile = {certificates}/server.pem
ssl_options.keyfile = {certificates}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
disk_free_limit.absolute = 1MB
max_message_size = 12000000
log.file.level = warning
"""


class RabbitMQ:
    """``url`` reaches it as the guest that every new broker knows."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        require("rabbitmq-server", "rabbitmq-server")
        found = [str(one) for one in Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")]
        if not found:
            pytest.fail("rabbitmq-server is installed, but not where Debian puts it")
        self.program, self.epmd = found[0], require("epmd", "erlang-base")
        self.folder, self.port, self.tls_port = folder, free_port(), free_port()
        config = CONFIG.format(port=self.port, tls_port=self.tls_port, certificates=certificates.directory)
        (folder / "rabbitmq.conf").write_text(config)
        (folder / "plugins").write_text("[].")
        (folder / "env").touch()
        (folder / "home").mkdir()
        mapper = str(free_port())
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": mapper,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start and wait until it answers."""
        self._run([self.epmd], "epmd.txt")
        broker = self._run([self.program], "broker.txt")
        while True:
            try:
                with kombu.Connection(self.url, connect_timeout=5) as connection:
                    connection.connect()
            except (OSError, *kombu.Connection(self.url).connection_errors):
                if broker.poll() is not None:
                    raise RuntimeError((self.folder / "broker.txt").read_text("utf-8", "replace")) from None
                with socket.socket() as pause:  # nothing to listen to: an accept that times out
                    pause.bind(("127.0.0.1", 0))
                    pause.listen()
                    pause.settimeout(0.1)
                    try:
                        pause.accept()
                    except TimeoutError:
                        continue
            else:
                return

    def _run(self, command: list[str], output: str) -> subprocess.Popen[bytes]:
        with (self.folder / output).open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End the broker, its helpers and the port mapper, by their numbers."""
        for process in reversed(self.processes):
            try:
                parent = psutil.Process(process.pid)
                family = [parent, *parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                family = []
            for one in family:
                try:
                    one.kill()
                except psutil.NoSuchProcess:
                    continue
            process.wait()
        self.processes.clear()
