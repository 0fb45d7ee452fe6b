"""The example site, written into a folder: four channels, and the intermediation platform (PFI) when it is wanted."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from channels.journal import MasterKeys

KEY_FILE = Path("var/keys/master.key")
CERTIFICATES = Path("var/certificates")
_BEFORE = "\ntests:"
"""In a channel file: where a destination more is written."""


def write(directory: Path, *, pfi: bool = False, key: str = "k1") -> None:
    """Copy the example into a folder, with a key for its journal.

    pfi: with the channels of the PFI, and throw-away certificates to rehearse with.
    """
    with resources.as_file(resources.files("vaguemestre")) as package:
        _copy(package / "example", directory)
        if pfi:
            _copy(package / "example_pfi" / "channels", directory / "channels")
            _add(package / "example_pfi" / "more", directory)
    (directory / "gitignore").rename(directory / ".gitignore")
    file = directory / KEY_FILE
    file.parent.mkdir(parents=True, mode=0o700)
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(MasterKeys.new_line(key), encoding="ascii")


def _copy(source: Path, directory: Path) -> None:
    shutil.copytree(source, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _add(more: Path, directory: Path) -> None:
    """Write what the PFI adds to files that are there; make certificates."""
    from vaguemestre.simulators.pki import PASSWORD, Authority

    site = directory / "site.yaml"
    site.write_text(site.read_text("utf-8") + (more / "site.yaml").read_text("utf-8"), "utf-8")
    for name in ("adt-fanout", "oru-cr-bio"):
        file = directory / "channels" / f"{name}.yaml"
        before, mark, after = file.read_text("utf-8").partition(_BEFORE)
        added = (more / f"{name}.yaml").read_text("utf-8").rstrip("\n")
        file.write_text(f"{before.rstrip()}\n\n{added}\n{mark}{after}", "utf-8")
    folder = directory / CERTIFICATES
    authority = Authority(folder)
    authority.issue("auth", "client")
    authority.issue("sign", "sign")
    authority.issue("server", "server", common_name="localhost")
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD, encoding="ascii")
