"""Mailboxes on disk (Maildir), read over IMAP by a real Dovecot when one is installed."""

from __future__ import annotations

import asyncio
import grp
import mailbox
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

_PROGRAMS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
PASSWORD = "rehearsal"  # noqa: S105  # of mailboxes that are worth nothing
CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
mail_location = maildir:{mail}/%u
mail_home = {mail}/%u
mail_uid = {user}
mail_gid = {group}
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {internal_group}
first_valid_uid = 1
first_valid_gid = 1
protocols = imap
listen = {host}
ssl = required
ssl_cert = <{certificate}
ssl_key = <{certificate}
ssl_ca = <{authority}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_require_client_cert = yes
auth_mechanisms = plain login
auth_username_format = %Lu
disable_plaintext_auth = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={mail}/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Mailboxes:
    """One Maildir an address, in one folder."""

    def __init__(self, folder: Path) -> None:
        """folder: made when it is not there."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._give(folder)

    def add(self, address: str, raw: bytes) -> None:
        """Put a mail into the inbox of an address."""
        place = self.folder / address
        fresh = not place.exists()
        box = mailbox.Maildir(place, create=True)
        if fresh:
            for one in (place, *place.iterdir()):
                self._give(one)
        kept = self.folder / ".given"  # a mail appears with its owner, or its reader could not open it
        kept.mkdir(exist_ok=True)
        draft = mailbox.Maildir(kept / "drafts", create=True)
        name = draft.add(raw.replace(b"\r\n", b"\n"))
        self._give(kept / "drafts" / "new" / name)
        (kept / "drafts" / "new" / name).rename(place / "new" / name)
        box.close()
        draft.close()

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0 and (owner := _owners()["user"]) != "root":
            shutil.chown(path, owner, _owners()["group"])


class Imap:
    """A Dovecot over these mailboxes; ``port`` is 0 when there is none on this machine."""

    def __init__(self, folder: Path, boxes: Mailboxes, certificate: Path, authority: Path) -> None:
        """certificate: PEM with its key. authority: of the clients' certificates."""
        self._folder, self._boxes, self._certificate, self._authority = folder, boxes, certificate, authority
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> bool:
        """Start it; False: Dovecot is not installed, mails are in their folders all the same."""
        program = shutil.which("dovecot", path=_PROGRAMS)
        if program is None:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        self.port = port or _free(host)
        text = CONFIG.format(
            folder=self._folder, mail=self._boxes.folder, host=host, port=self.port, password=PASSWORD,
            certificate=self._certificate, authority=self._authority, **_owners(),
        )  # fmt: skip
        config = self._folder / "dovecot.conf"
        config.write_text(text)
        if os.geteuid() == 0:
            _open(self._boxes.folder)
            _open(self._folder)
        self._process = subprocess.Popen(  # noqa: S603, ASYNC220  # our own configuration; it returns at once
            [program, "-F", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while self._process.poll() is None:
            try:
                _, writer = await asyncio.open_connection(host, self.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return True
        self._process = None
        raise OSError(f"Dovecot does not start: see {self._folder / 'dovecot.log'}")

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            await asyncio.to_thread(process.wait)


def _free(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _owners() -> dict[str, str]:
    """Who Dovecot's helpers are: Debian's own users; ourselves when we are not root."""
    keys = ("user", "group", "internal", "login", "internal_group")
    if os.geteuid() == 0:
        return dict(zip(keys, ("mail", "mail", "dovecot", "dovenull", "dovecot"), strict=True))
    ours, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return dict(zip(keys, (ours, group, ours, ours, group), strict=True))


def _open(folder: Path) -> None:
    """Let other users pass through to a folder of ours."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and one.stat().st_mode & 0o011 != 0o011:
            one.chmod(one.stat().st_mode | 0o011)
