"""A real OpenSSH server for tests, on a free port of the loopback interface, with keys of its own."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
from pathlib import Path

import asyncssh
import psutil

from tests.connectors.intake import free_port
from tests.parts import require

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
"""


class Sshd:
    """``home`` is the folder that tests use on the server."""

    def __init__(self, folder: Path) -> None:
        self.program = require("sshd", "openssh-server")
        self.folder, self.home, self.port, self.user = folder, folder / "home", free_port(), getpass.getuser()
        self.process: subprocess.Popen[bytes] | None = None
        self.home.mkdir()
        if os.geteuid() == 0:  # the folder that the unprivileged half of sshd is locked up in
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name, password in (("host_key", None), ("user_key", None), ("locked_key", "open sesame")):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(folder / name, "pkcs8-pem" if password else "openssh", passphrase=password)
            (folder / name).chmod(0o600)
            key.write_public_key(folder / f"{name}.pub")
        keys = [(folder / f"{name}.pub").read_text() for name in ("user_key", "locked_key")]
        (folder / "authorized_keys").write_text("".join(keys))
        host = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host}")
        (folder / "config").write_text(CONFIG.format(port=self.port, folder=folder))

    @property
    def fingerprint(self) -> str:
        return str(asyncssh.read_public_key(self.folder / "host_key.pub").get_fingerprint())

    @property
    def settings(self) -> dict[str, object]:
        """What a connector needs to reach it."""
        return {
            "connect": f"127.0.0.1:{self.port}",
            "user": self.user,
            "key": str(self.folder / "user_key"),
            "known_hosts": str(self.folder / "known_hosts"),
            "directory": str(self.home),
        }

    def start(self) -> None:
        command = [self.program, "-D", "-E", str(self.folder / "log"), "-f", str(self.folder / "config")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
            else:
                return

    def _family(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def freeze(self) -> None:
        """It listens and says nothing any more."""
        for one in self._family():
            one.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it and its sessions, by their numbers."""
        family = self._family()
        for one in family:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        if self.process is not None:
            self.process.wait()
            self.process = None
