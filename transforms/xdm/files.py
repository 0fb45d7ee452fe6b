"""The files of a ZIP that a stranger sent, inflated within limits. Nothing is written to disk.

Source: PKWARE APPNOTE 6.3 (ZIP); the limits are ours.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass

from channels.errors import ParseError

ARCHIVE = "IHE_XDM.ZIP"
_SAFE = re.compile(
    r"(?:IHE_XDM/)?(?:SUBSET\d{1,4}/)?(?:METADATA\.XML|README\.TXT|INDEX\.HTML?|STYLE\.XSL|DOC\d{1,8}\.[A-Z]{3})",
    re.IGNORECASE,
)
_PIECE = 65_536
_ENCRYPTED = 0x1 | 0x40
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_SPECIAL = frozenset({stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK})
_HEADER = b"PK\x01\x02"
_SMALL = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may have. sizes: bytes once inflated. ratio: inflated over compressed, of one file."""

    entries: int = 200
    file_size: int = 50_000_000
    total_size: int = 50_000_000
    ratio: int = 100


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    name: its path, with ``/``. place: what may be said of it: its path when nothing in it can tell of a person, else
    its number in the archive (``IHE_XDM.ZIP[3]``).
    """

    name: str
    content: bytes
    place: str

    @property
    def folder(self) -> str:
        """Where it is, ``/`` at its end, in capitals."""
        return self.name[: self.name.rfind("/") + 1].upper()

    @property
    def base(self) -> str:
        """Its name without folders, in capitals."""
        return self.name.rpartition("/")[2].upper()


def inflated(data: bytes, limits: Limits) -> list[File]:
    """Every file of an archive, in its order; folders are left out.

    Raises:
        ParseError: not a ZIP, damaged, encrypted, by a method other than deflate, names that leave the archive or that
            two files have, links, more files or bytes than the limits.
    """
    if data.count(_HEADER) > 10 * limits.entries:  # before anything is read of them
        raise ParseError(f"more than {limits.entries} files", ARCHIVE)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, OverflowError):
        raise ParseError("not a ZIP archive, or a damaged one", ARCHIVE) from None
    members = archive.infolist()
    if len(members) > limits.entries:
        raise ParseError(f"more than {limits.entries} files", ARCHIVE)
    found: list[File] = []
    taken: set[str] = set()
    left = limits.total_size
    for number, member in enumerate(members, 1):
        name = _checked(member, number)
        if name.endswith("/"):
            continue
        place = _place(name, number)
        if member.header_offset + member.compress_size > len(data):
            raise ParseError("a file goes beyond the end of the archive", place)
        if name.upper() in taken:
            raise ParseError("two files have the same name", place)
        taken.add(name.upper())
        content = _inflated(archive, member, place, min(left, limits.file_size), limits.ratio)
        left -= len(content)
        found.append(File(name, content, place))
    return found


def _place(name: str, number: int) -> str:
    return name.upper() if _SAFE.fullmatch(name) else f"{ARCHIVE}[{number}]"


def _checked(member: zipfile.ZipInfo, number: int) -> str:
    """The name with ``/``. Raises ParseError for what an honest archive does not have."""
    name = member.orig_filename.replace("\\", "/")
    place, parts = _place(name, number), name.split("/")
    if name.startswith("/") or ".." in parts or ":" in parts[0]:
        raise ParseError("a file's name leaves the archive", place)
    if not name or any(sign < " " or sign == "\x7f" for sign in name):
        raise ParseError("a file's name has control characters, or none", place)
    if stat.S_IFMT(member.external_attr >> 16) in _SPECIAL:
        raise ParseError("a link or a device, not a file", place)
    if member.flag_bits & _ENCRYPTED:
        raise ParseError("a file is encrypted", place)
    if member.compress_type not in _METHODS:
        raise ParseError("a file is compressed by another method than deflate", place)
    return name


def _inflated(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str, most: int, ratio: int) -> bytes:
    """Piece by piece: what the archive declares of sizes is not believed."""
    most = min(most, max(member.compress_size, _SMALL) * ratio)
    pieces, size = [], 0
    try:
        with archive.open(member) as stream:
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise ParseError("a file is larger than an archive may hold", place)
                pieces.append(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, RuntimeError):
        raise ParseError("a file of the archive is damaged", place) from None
    return b"".join(pieces)
