"""An ITI-41 server that gSOAP writes from the official schemas: a SOAP and MTOM stack by others, for tests."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.connectors.intake import free_port
from tests.parts import require

_HERE = Path(__file__).parent
_SERVICE = "soapRepositorySoapService.cpp"


@dataclass(frozen=True)
class Part:
    """A document as gSOAP decoded it."""

    id: str
    size: int
    type: str
    content: bytes


@dataclass(frozen=True)
class Request:
    """What gSOAP understood of one request."""

    action: str
    message_id: str
    parts: list[Part]


def build(schemas: Path, cache: Path) -> Path:
    """Generate and compile the server (some twenty seconds); the same sources are compiled once a cache.

    schemas: folder with ``IHE/IHEXDSB.xsd`` and ``ebRS30``.
    """
    wsdl2h, soapcpp2 = require("wsdl2h", "gsoap"), require("soapcpp2", "gsoap")
    compiler = require("g++", "g++")
    sources = [*sorted(schemas.rglob("*.xsd")), _HERE / "repository.wsdl", _HERE / "repository.cpp"]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = cache / key
    program = folder / "repository"
    if program.exists():
        return program
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(schemas, folder / "xsd")
    for path in sources[-2:]:
        shutil.copy(path, folder)
    (folder / "typemap.dat").touch()

    def run(*words: str) -> None:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=300)

    run(wsdl2h, "-t", "typemap.dat", "-o", "repository.h", "repository.wsdl")
    _use_mtom(folder / "repository.h")
    run(soapcpp2, "-j", "-S", "-2", "-L", "-x", "-I/usr/share/gsoap/import", "repository.h")
    run(compiler, "-O0", "-w", "-o", "unfinished", "repository.cpp", "soapC.cpp", _SERVICE, "-lgsoap++")
    (folder / "unfinished").rename(program)
    return program


def _use_mtom(header: Path) -> None:
    """Let a document be an ``xop:Include``, and headers hold WS-Addressing."""
    text = header.read_text("utf-8")
    place = text.index("RequestType_Document\n")
    document = re.sub(r"xsd__base64Binary\s+__item\s*;", "_xop__Include xop__Include 1;", text[place:], count=1)
    text = text[:place] + document
    text = text.replace('#import "soap12.h"', '#import "soap12.h"\n#import "wsa5.h"')
    header.write_text(re.sub(r"^class ", '#import "xop.h"\n\nclass ', text, count=1, flags=re.MULTILINE), "utf-8")


class Repository:
    """The server on a free port; it answers Success to what it can decode."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self._errors = (folder / "errors.txt").open("wb")
        command = [str(program), str(self.port), str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        assert self._line() == "listening"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/repository"

    def received(self) -> Request:
        """The next request, once it was answered; fails with what gSOAP says when it refused it."""
        words = self._line().split(" ")
        if words[0] != "request":
            self._errors.flush()
            raise AssertionError((self.folder / "errors.txt").read_text("utf-8", "replace"))
        parts = []
        while (line := self._line()) != "end":
            _, name, size, kind = line.split(" ", 3)
            parts.append(Part(name, int(size), kind, (self.folder / name).read_bytes()))
        return Request(words[1], words[2], parts)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")
