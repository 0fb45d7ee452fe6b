"""An archive written: the same lot and documents give the same bytes, so that a retry sends the same mail."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from lxml import etree

from transforms.xds import DocumentEntry, Lot, submit_objects

_FOLDER = "IHE_XDM/SUBSET01"
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The date of every file: the earliest that ZIP knows."""
_MODE = 0o644 << 16
_UNIX = 3


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """Who made the archive: establishment, contact, product and version."""

    name: str
    contact: str = ""
    product: str = "Vaguemestre"


def write(lot: Lot, contents: Sequence[bytes], *, sender: SenderInfo) -> bytes:
    """The ZIP of a lot. contents: the bytes of its entries, in their order; none for a deletion.

    Hash and size in the metadata are those of these bytes; each entry gets the name of its file (``URI``).
    """
    names = [f"DOC{number:05d}.XML" for number in range(1, len(contents) + 1)]
    entries = tuple(
        replace(entry.of(content), uri=name) for entry, content, name in zip(lot.entries, contents, names, strict=True)
    )
    metadata = etree.tostring(
        submit_objects(replace(lot, entries=entries)), xml_declaration=True, encoding="UTF-8", pretty_print=True
    )
    files = [
        ("README.TXT", _readme(sender, len(contents))),
        ("INDEX.HTM", _index(lot, names, sender)),
        (f"{_FOLDER}/METADATA.XML", metadata),
        *((f"{_FOLDER}/{name}", content) for name, content in zip(names, contents, strict=True)),
    ]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files:
            archive.writestr(_member(name), content, compresslevel=6)
    return made.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _WHEN)
    member.compress_type, member.external_attr, member.create_system = zipfile.ZIP_DEFLATED, _MODE, _UNIX
    return member


def _readme(sender: SenderInfo, count: int) -> bytes:
    documents = f"{count} document(s) de santé au format CDA R2" if count else "Demande de suppression de documents"
    lines = [
        sender.name, f"Contact : {sender.contact}" if sender.contact else "", f"Logiciel : {sender.product}", "",
        f"{documents}, avec leurs métadonnées (IHE XDM).", "Ouvrez INDEX.HTM pour les lire.",
    ]  # fmt: skip
    return "\r\n".join(one for number, one in enumerate(lines) if one or number == 3).encode() + b"\r\n"


def _details(entry: DocumentEntry) -> str:
    """Type, date and comment, as far as they are known."""
    date = entry.creation_time
    day = f"{date[6:8]}/{date[4:6]}/{date[:4]}" if len(date) >= len("YYYYMMDD") else date
    known = [one for one in (entry.type_code.display, day, entry.comments) if one]
    return f" ({', '.join(known)})" if known else ""


def _index(lot: Lot, names: list[str], sender: SenderInfo) -> bytes:
    """XHTML with relative links: it opens without a network."""
    items = "".join(
        f'<li><a href="{_FOLDER}/{name}">{escape(entry.title or name)}</a>{escape(_details(entry))}</li>'
        for entry, name in zip(lot.entries, names, strict=True)
    )
    shown = f"<ul>{items}</ul>" if items else "<p>Demande de suppression de documents envoyés auparavant.</p>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML Basic 1.1//EN" "http://www.w3.org/TR/xhtml-basic/xhtml-basic11.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="fr"><head><title>Documents de santé</title></head><body>'
        f"<h1>Documents de santé</h1><p>{escape(sender.name)}</p>{shown}"
        '<p><a href="README.TXT">README.TXT</a></p></body></html>\n'
    ).encode()
