"""A foreign archive opened: hostile until shown otherwise. Nothing is written to disk.

What breaks the shape or the limits is refused with its place; what is only unusual is a finding.

Source: IHE ITI TF-2, 3.32.4.1; the limits are ours.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, field

from lxml import etree

from channels.errors import Finding, MessageError, ParseError
from transforms import xds

_METADATA = re.compile(r"(?:.*/)?IHE_XDM/(?P<folder>[^/]+)/METADATA\.XML", re.IGNORECASE)
_CDA_ROOT = "{urn:hl7-org:v3}ClinicalDocument"
_PIECE = 65_536
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may have. sizes: bytes once inflated. ratio: inflated over compressed, of one file."""

    entries: int = 200
    file_size: int = 50_000_000
    total_size: int = 50_000_000
    ratio: int = 100


@dataclass(frozen=True, slots=True)
class Received:
    """One document of an archive. entry: its metadata, None when it has none. name: of its file."""

    content: bytes
    name: str
    entry: xds.DocumentEntry | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive holds. lots: of its subsets; findings: what is unusual in it, with places in the archive."""

    documents: tuple[Received, ...]
    lots: tuple[xds.Lot, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def lot(self) -> xds.Lot | None:
        """The first lot."""
        return self.lots[0] if self.lots else None

    @property
    def deletes(self) -> tuple[str, ...]:
        """Entries that it asks to delete."""
        return tuple(one for lot in self.lots for one in lot.deletes)


def read(data: bytes, *, strict: bool = False, limits: Limits | None = None) -> Archive:
    """Open an archive. strict: hash and size that differ from the metadata refuse it; else they are findings.

    Raises:
        ParseError: not a ZIP, damaged, encrypted, names or sizes that an honest archive does not have, or metadata that
            cannot be read; the place is the name of the file in the archive.
        MessageError: no document in it, or (strict) one that is not what the metadata say.
    """
    files = _Zip(data, limits or Limits()).files()
    findings: list[Finding] = []
    lots, documents = [], []
    named: set[str] = set()
    for name, content in files.items():
        found = _METADATA.fullmatch(name)
        if found is None:
            continue
        lot = xds.read(_parsed(content, name))
        lots.append(lot)
        folder = name[: -len("METADATA.XML")]
        for entry in lot.entries:
            where = _file(files, folder, entry)
            if where is None:
                raise MessageError("a document that the metadata name is not in the archive", _shown(name), "101")
            named.add(where)
            findings += _checked(entry, files[where], where, strict=strict)
            documents.append(Received(files[where], where, entry))
    if not lots:
        findings.append(Finding("IHE_XDM", "101", "the archive has no metadata"))
        documents = [Received(content, name) for name, content in files.items() if _is_cda(content, name)]
    deletes = any(lot.deletes for lot in lots)
    if not documents and not deletes:
        raise MessageError("the archive holds no document", "IHE_XDM", "101")
    return Archive(tuple(documents), tuple(lots), tuple(findings))


def _file(files: dict[str, bytes], folder: str, entry: xds.DocumentEntry) -> str | None:
    """The file of an entry, whatever the case of its name; the only other XML of the folder when it names none."""
    wanted = (folder + entry.uri.replace("\\", "/").lstrip("./")).upper()
    for name in files:
        if entry.uri and name.upper() == wanted:
            return name
    if entry.uri:
        return None
    others = [
        one for one in files if one.startswith(folder) and not _METADATA.fullmatch(one) and one.upper().endswith(".XML")
    ]
    return others[0] if len(others) == 1 else None


def _checked(entry: xds.DocumentEntry, content: bytes, name: str, *, strict: bool) -> list[Finding]:
    """Hash and size against the metadata."""
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    faults = []
    if entry.hash and entry.hash.lower() != digest:
        faults.append("the hash of the document is not that of its metadata")
    if entry.size and entry.size != str(len(content)):
        faults.append("the size of the document is not that of its metadata")
    if faults and strict:
        raise MessageError(faults[0], _shown(name), "102")
    return [Finding(_shown(name), "102", one) for one in faults]


def _parsed(content: bytes, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ParseError("the metadata are not well-formed XML", f"{_shown(name)}:{error.position[0]}") from None
    if root.getroottree().docinfo.doctype:
        raise ParseError("metadata have no document type (DOCTYPE)", _shown(name))
    return root


def _is_cda(content: bytes, name: str) -> bool:
    if not name.upper().endswith(".XML") or b"ClinicalDocument" not in content:
        return False
    try:
        root = _parsed(content, name)
    except ParseError:
        return False
    return root.tag == _CDA_ROOT


def _shown(name: str) -> str:
    """A name of the archive as a place: what may tell of a person is left out."""
    match = _METADATA.fullmatch(name)
    if match:
        return "IHE_XDM/METADATA.XML"
    base = name.rpartition("/")[2].upper()
    return base if re.fullmatch(r"DOC\d{1,5}\.XML", base) else "IHE_XDM"


class _Zip:
    """The files of an archive, inflated within limits."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._limits = limits
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise ParseError("not a ZIP archive, or a damaged one", "IHE_XDM.ZIP") from None

    def files(self) -> dict[str, bytes]:
        """Name, with ``/``, -> content; folders are left out."""
        members = self._zip.infolist()
        if len(members) > self._limits.entries:
            raise ParseError(f"more than {self._limits.entries} files", "IHE_XDM.ZIP")
        found: dict[str, bytes] = {}
        left = self._limits.total_size
        taken: set[str] = set()
        for member in members:
            name = _safe(member)
            if member.is_dir() or name.endswith("/"):
                continue
            if name.upper() in taken:
                raise ParseError("two files have the same name", _shown(name))
            taken.add(name.upper())
            content = self._inflated(member, name, min(left, self._limits.file_size))
            left -= len(content)
            found[name] = content
        return found

    def _inflated(self, member: zipfile.ZipInfo, name: str, most: int) -> bytes:
        """Piece by piece: what the archive declares of sizes is not believed."""
        most = min(most, max(member.compress_size, 1_000) * self._limits.ratio)
        pieces, size = [], 0
        try:
            with self._zip.open(member) as stream:
                while piece := stream.read(_PIECE):
                    size += len(piece)
                    if size > most:
                        raise ParseError("a file is larger than an archive may hold", _shown(name))
                    pieces.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, RuntimeError):
            raise ParseError("a file of the archive is damaged", _shown(name)) from None
        return b"".join(pieces)


def _safe(member: zipfile.ZipInfo) -> str:
    """The name with ``/``. Raises ParseError for what an honest archive does not have."""
    name = member.filename.replace("\\", "/")
    parts = name.split("/")
    if member.flag_bits & _ENCRYPTED:
        raise ParseError("a file is encrypted", _shown(name))
    if name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
        raise ParseError("a file's name leaves the archive", "IHE_XDM.ZIP")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ParseError("a file is a symbolic link", _shown(name))
    return name
