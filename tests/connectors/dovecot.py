"""A real Dovecot for tests: IMAP over TLS with client certificates, LMTP, mailboxes in Maildir."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.connectors.certificates import Certificates
from tests.connectors.intake import free_port
from tests.parts import require

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
mail_location = maildir:{folder}/mail/%u
mail_home = {folder}/mail/%u
mail_uid = {user}
mail_gid = {group}
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {internal_group}
first_valid_uid = 1
first_valid_gid = 1
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificates}/server.pem
ssl_key = <{certificates}/server.key
ssl_ca = <{certificates}/authority.pem
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_require_client_cert = yes
auth_mechanisms = plain login external
auth_username_format = %Lu
disable_plaintext_auth = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def _users() -> dict[str, str]:
    """Who its helpers are: Debian's own users; nobody but ourselves when we are not root."""
    if os.geteuid() == 0:
        names = ("mail", "mail", "dovecot", "dovenull", "dovecot")
    else:
        ours = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        names = (ours, group, ours, ours, group)
    return dict(zip(("user", "group", "internal", "login", "internal_group"), names, strict=True))


class Dovecot:
    """``port`` takes STARTTLS, ``tls_port`` TLS at once, ``lmtp_port`` deliveries. Every user has the same password."""

    password = "open sesame"

    def __init__(self, folder: Path, certificates: Certificates, users: list[str]) -> None:
        self.program = require("dovecot", "dovecot-imapd dovecot-lmtpd")
        self.folder, self.certificates = folder, certificates
        self.port, self.tls_port, self.lmtp_port = free_port(), free_port(), free_port()
        (folder / "users").write_text("".join(f"{one}:{{PLAIN}}{self.password}::::::\n" for one in users))
        (folder / "dovecot.conf").write_text(
            CONFIG.format(
                folder=folder,
                certificates=certificates.directory,
                port=self.port,
                tls_port=self.tls_port,
                lmtp_port=self.lmtp_port,
                **_users(),
            )
        )
        (folder / "mail").mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder / "mail", "mail", "mail")
            open_to_all(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self.program, "-F", "-c", str(self.folder / "dovecot.conf")]
        with (self.folder / "output").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for port in (self.port, self.lmtp_port):
            answers(port, self.process, self.folder / "output")

    def stop(self) -> None:
        """End it and its helpers: the master ends them."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def mails(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """The mails of a folder, as files, oldest first."""
        place = self.folder / "mail" / user
        if folder != "INBOX":
            place = place / f".{folder}"
        found = [one for sub in ("new", "cur") for one in (place / sub).glob("*")]
        try:
            return [one.read_bytes() for one in sorted(found, key=lambda one: one.name)]
        except FileNotFoundError:  # it has just been moved
            return self.mails(user, folder)


def open_to_all(folder: Path) -> None:
    """Helpers that are other users may pass through to a folder of ours."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and one.stat().st_mode & 0o011 != 0o011:
            one.chmod(one.stat().st_mode | 0o011)


def answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server listens; raise what it wrote when it ended instead."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(log.read_text("utf-8", "replace")) from None
        else:
            return
