"""A real Postfix for tests: submission with client certificates and STARTTLS, DSN, LMTP to Dovecot. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.connectors.certificates import Certificates
from tests.connectors.dovecot import Dovecot, answers, open_to_all
from tests.connectors.intake import free_port
from tests.parts import require

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log/postfix.log
maillog_file_prefixes = {folder}
myhostname = mssante.test
mydestination =
local_transport = error:none
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = chu.mssante.fr, cabinet.mssante.fr, patient.mssante.fr
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_transport = lmtp:inet:127.0.0.1:{lmtp_port}
relay_clientcerts = texthash:{folder}/etc/clients
smtpd_tls_fingerprint_digest = sha256
smtpd_tls_cert_file = {certificates}/server.pem
smtpd_tls_key_file = {certificates}/server.key
smtpd_tls_CAfile = {certificates}/authority.pem
smtpd_tls_security_level = encrypt
smtpd_tls_req_ccert = yes
smtpd_tls_ask_ccert = yes
smtpd_tls_auth_only = yes
smtpd_recipient_restrictions = permit_tls_clientcerts, reject
smtpd_relay_restrictions = permit_tls_clientcerts, reject
smtpd_reject_unlisted_recipient = yes
message_size_limit = {size}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
bounce_queue_lifetime = 1m
notify_classes =
"""
MASTER = """\
{port}    inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


class Postfix:
    """``port`` takes mails over STARTTLS from the holder of ``client.pem``. Mailboxes are those of ``dovecot``."""

    def __init__(
        self, folder: Path, certificates: Certificates, dovecot: Dovecot, users: list[str], size: int = 26_214_400
    ) -> None:
        self.program = require("postfix", "postfix")
        if os.geteuid() != 0:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("postfix starts as root only")
        self.folder, self.port = folder, free_port()
        for name in ("etc", "spool", "data", "log"):
            (folder / name).mkdir(mode=0o755)
        shutil.chown(folder / "data", "postfix")
        open_to_all(folder)
        etc = folder / "etc"
        certificate = x509.load_pem_x509_certificate((certificates.directory / "client.pem").read_bytes())
        print_ = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        (etc / "clients").write_text(f"{print_} client\n")
        (etc / "mailboxes").write_text("".join(f"{one} {one}/\n" for one in users))
        (etc / "main.cf").write_text(
            MAIN.format(folder=folder, certificates=certificates.directory, lmtp_port=dovecot.lmtp_port, size=size)
        )
        (etc / "master.cf").write_text(MASTER.format(port=f"127.0.0.1:{self.port}"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start in the foreground; its master process is ours to end."""
        self._postfix("check")
        with (self.folder / "output").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(self.folder / "etc"), "start-fg"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        answers(self.port, self.process, self.folder / "output")

    def _postfix(self, command: str) -> None:
        done = subprocess.run([self.program, "-c", str(self.folder / "etc"), command], capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode("utf-8", "replace"))

    def log(self) -> str:
        path = self.folder / "log" / "postfix.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def stop(self) -> None:
        """End the master and its helpers, by their numbers."""
        if self.process is None:
            return
        try:
            parent = psutil.Process(self.process.pid)
            family = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for one in family:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()
        self.process = None
