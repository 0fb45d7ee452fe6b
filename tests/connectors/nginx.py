"""A real nginx with mutual TLS before a server on this machine: it says who the client is, or refuses it."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.connectors.intake import free_port
from tests.parts import require

CONFIG = """\
{user}daemon off;
pid {folder}/nginx.pid;
error_log {folder}/errors.txt;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/access.txt;
    client_max_body_size 50m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {server};
        ssl_certificate_key {server};
        ssl_client_certificate {authority};
        ssl_verify_client on;
        ssl_verify_depth 3;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header X-Client-Verify $ssl_client_verify;
            proxy_set_header X-Client-DN $ssl_client_s_dn;
            proxy_set_header X-Client-Certificate $ssl_client_escaped_cert;
        }}
    }}
}}
"""


class Nginx:
    """``url`` is where clients come; ``upstream`` the port of the server behind, which the test starts.

    server: PEM of certificate and key; authority: PEM of who signs the clients' certificates.
    """

    def __init__(self, folder: Path, *, server: Path, authority: Path) -> None:
        self.program = require("nginx", "nginx-light")
        self.folder, self.port, self.upstream = folder, free_port(), free_port()
        user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers may not write in the folder
        values = {"port": self.port, "upstream": self.upstream, "server": server, "authority": authority}
        (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, user=user, **values))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens."""
        command = [self.program, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        with (self.folder / "output.txt").open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError((self.folder / "output.txt").read_text()) from None
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
