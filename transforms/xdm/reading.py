"""A foreign archive read: its lots and its documents. Hostile until shown otherwise; see ``transforms.xdm.files``.

What breaks the shape or the limits is refused with its place; what is only unusual is a finding.

Source: IHE ITI TF-2, 3.32.4.1.
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass, field

from lxml import etree

from channels.errors import Finding, MessageError, ParseError, ProfileError
from transforms import xds
from transforms.cda.reader_xml import Source
from transforms.xdm.files import ARCHIVE, File, Limits, inflated

_METADATA = "METADATA.XML"


@dataclass(frozen=True, slots=True)
class Received:
    """One document of an archive. name: of its file. entry: its metadata, None when it has none. lot: of which lot."""

    content: bytes
    name: str
    entry: xds.DocumentEntry | None = None
    lot: xds.Lot | None = None
    place: str = ""


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
    """Open an archive. strict: what else would be a finding refuses it.

    Findings: hash or size that differ from the metadata, no metadata (then every CDA is taken), a document that the
    metadata do not name, a file that only its hash tells, metadata outside ``IHE_XDM/``.

    Raises:
        ParseError: not a ZIP, damaged, encrypted, names or sizes that an honest archive does not have, or metadata that
            cannot be read (``IHE_XDM/SUBSET01/METADATA.XML:12``).
        ProfileError: no document and no deletion in it, a document that the metadata name and that is not there or is
            outside, several patients, or (strict) a finding.
    """
    return _Reading(inflated(data, limits or Limits()), strict=strict).archive()


class _Reading:
    """One archive."""

    def __init__(self, files: list[File], *, strict: bool) -> None:
        self._files, self._strict = files, strict
        self._findings: list[Finding] = []
        self._taken: set[str] = set()

    def archive(self) -> Archive:
        lots, documents = [], []
        for file in self._files:
            if file.base != _METADATA:
                continue
            lot = xds.read(_parsed(file))
            if not lot.entries and not lot.deletes:
                self._note(file.place, "101", "the metadata name no document")
                continue
            if not file.folder.rstrip("/").rpartition("/")[0].endswith("IHE_XDM"):
                self._note(file.place, "207", "the metadata are not in a folder of IHE_XDM")
            lots.append(lot)
            documents += [self._document(lot, entry, file) for entry in lot.entries]
        if not lots:
            self._note(ARCHIVE, "101", "the archive has no metadata")
        documents += self._others(bool(lots))
        if not documents and not any(lot.deletes for lot in lots):
            raise ProfileError("the archive holds no document", ARCHIVE)
        patients = {_number(one.submission_set.patient_id) for one in lots}
        patients |= {_number(one.entry.patient_id) for one in documents if one.entry is not None}
        if len(patients - {""}) > 1:
            raise ProfileError("an archive is about one patient, this one about several", ARCHIVE)
        return Archive(tuple(documents), tuple(lots), tuple(self._findings))

    def _note(self, place: str, code: str, problem: str) -> None:
        if self._strict:
            raise ProfileError(problem, place, code)
        self._findings.append(Finding(place, code, problem))

    def _document(self, lot: xds.Lot, entry: xds.DocumentEntry, metadata: File) -> Received:
        file = self._named(entry, metadata) or self._guessed(entry, metadata)
        if file is None:
            raise ProfileError("a document that the metadata name is not in the archive", metadata.place)
        if file.name in self._taken:
            self._note(file.place, "205", "two entries of the metadata have the same file")
        self._taken.add(file.name)
        digest = hashlib.sha1(file.content, usedforsecurity=False).hexdigest()
        if entry.hash and entry.hash.lower() != digest:
            self._note(file.place, "102", "the hash of the document is not that of its metadata")
        if entry.size and (not entry.size.isdecimal() or int(entry.size[:20]) != len(file.content)):
            self._note(file.place, "102", "the size of the document is not that of its metadata")
        return Received(file.content, file.name, entry, lot, file.place)

    def _named(self, entry: xds.DocumentEntry, metadata: File) -> File | None:
        """By URI, whatever the case of its name."""
        uri = entry.uri.replace("\\", "/")
        if not uri:
            return None
        if uri.startswith("/") or ".." in uri.split("/"):
            raise ProfileError("the metadata name a file outside their folder", metadata.place)
        wanted = posixpath.normpath(metadata.folder + uri.upper())
        return next((one for one in self._files if one.name.upper() == wanted and one.base != _METADATA), None)

    def _guessed(self, entry: xds.DocumentEntry, metadata: File) -> File | None:
        """By hash, else the only document beside metadata of one entry without URI."""
        beside = [one for one in self._files if one.folder == metadata.folder and one.base != _METADATA]
        for one in beside:
            if entry.hash and hashlib.sha1(one.content, usedforsecurity=False).hexdigest() == entry.hash:
                self._note(one.place, "207", "only its hash tells that it is the document of the metadata")
                return one
        alone = [one for one in beside if one.base.endswith(".XML")]
        if entry.uri or len(alone) != 1 or alone[0].name in self._taken:
            return None
        self._note(alone[0].place, "207", "the metadata do not name the file of the document")
        return alone[0]

    def _others(self, with_metadata: bool) -> list[Received]:  # noqa: FBT001  # private
        """CDA that no metadata name: documents when there are no metadata at all, else findings."""
        others = [one for one in self._files if one.name not in self._taken and _is_cda(one)]
        if not with_metadata:
            return [Received(one.content, one.name, place=one.place) for one in others]
        for one in others:
            self._note(one.place, "207", "a document that the metadata do not name is left out")
        return []


def _number(patient: str) -> str:
    """The number of a CX."""
    return patient.partition("^")[0].strip()


def _parsed(file: File) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(file.content, parser)
    except etree.XMLSyntaxError as error:
        line = error.position[0]
        raise ParseError("the metadata are not well-formed XML", f"{file.place}:{line}") from None
    except (ValueError, LookupError):
        raise ParseError("the metadata are not well-formed XML", file.place) from None
    if root.getroottree().docinfo.doctype:
        raise ParseError("metadata have no document type (DOCTYPE)", f"{file.place}:1")
    return root


def _is_cda(file: File) -> bool:
    if not file.base.endswith((".XML", ".XSL")) or b"ClinicalDocument" not in file.content:
        return False
    try:
        Source(file.content)
    except MessageError:
        return False
    return True
