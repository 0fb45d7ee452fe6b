"""IHE_XDM.ZIP: written the same each time, read back equal, and opened safely when it is hostile."""

import io
import shutil
import stat
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from channels.errors import MessageError, ParseError
from tests.transforms.test_xds import AT, REPORT, lot, schema, submission
from transforms import xdm, xds

SENDER = xdm.SenderInfo("CH de Testville", "0140000000", "Vaguemestre 1.0")
__all__ = ["schema"]


def archive(count: int = 1) -> bytes:
    made = lot()
    entries = tuple(replace(made.entries[0], id=f"Document{number:02d}") for number in range(1, count + 1))
    return xdm.write(replace(made, entries=entries), [REPORT] * count, sender=SENDER)


def files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {one.filename: opened.read(one) for one in opened.infolist()}


def packed(content: dict[str, bytes], **changes: object) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        warnings.simplefilter("ignore")
        for name, one in content.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in changes.items():
                setattr(member, attribute, value)
            opened.writestr(member, one)
    return made.getvalue()


def test_an_archive_has_the_layout_of_xdm() -> None:
    assert list(files(archive(2))) == [
        "README.TXT", "INDEX.HTM", "IHE_XDM/SUBSET01/METADATA.XML", "IHE_XDM/SUBSET01/DOC00001.XML",
        "IHE_XDM/SUBSET01/DOC00002.XML",
    ]  # fmt: skip
    index = files(archive())["INDEX.HTM"].decode()
    assert 'href="IHE_XDM/SUBSET01/DOC00001.XML"' in index
    etree.fromstring(index.encode())


def test_the_same_lot_is_the_same_archive() -> None:
    assert archive() == archive()


def test_what_is_written_is_read_back() -> None:
    found = xdm.read(archive(2), strict=True)
    assert [one.content for one in found.documents] == [REPORT, REPORT]
    assert found.findings == ()
    entry = found.documents[0].entry
    assert entry is not None
    assert (entry.uri, entry.size) == ("DOC00001.XML", str(len(REPORT)))
    assert found.lot is not None
    assert found.lot.submission_set == lot().submission_set


def test_the_metadata_are_valid(schema: etree.XMLSchema) -> None:  # a fixture
    schema.assertValid(etree.fromstring(files(archive(2))["IHE_XDM/SUBSET01/METADATA.XML"]))


def test_a_deletion_has_no_document() -> None:
    made = xds.deletion(submission(), unique_id="1.2.9", source_id="1.2", at=AT, entries=["urn:uuid:1"])
    assert xdm.read(xdm.write(made, [], sender=SENDER)).deletes == ("urn:uuid:1",)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_another_program_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "IHE_XDM.zip"
    path.write_bytes(archive())
    assert subprocess.run(["unzip", "-t", path], capture_output=True, check=False).returncode == 0


Change = Callable[[dict[str, bytes]], dict[str, bytes]]
METADATA, DOCUMENT = "IHE_XDM/SUBSET01/METADATA.XML", "IHE_XDM/SUBSET01/DOC00001.XML"


@pytest.mark.parametrize(
    "change",
    [
        lambda all_: {name.lower(): one for name, one in all_.items()},
        lambda all_: {name.replace("/", "\\"): one for name, one in all_.items()},
        lambda all_: {name: one for name, one in all_.items() if name.startswith("IHE_XDM")},
        lambda all_: {name.replace("SUBSET01", "SUBSET7"): one for name, one in all_.items()},
        lambda all_: {f"dossier/{name}": one for name, one in all_.items()},
        lambda all_: {"IHE_XDM/": b"", **all_},
        lambda all_: {**all_, METADATA: all_[METADATA].replace(b"DOC00001.XML", b"doc00001.xml")},
    ],
)
def test_unusual_archives_are_read(change: Change) -> None:
    found = xdm.read(packed(change(files(archive()))), strict=True)
    assert [one.content for one in found.documents] == [REPORT]


def test_a_document_without_metadata_is_taken_with_a_finding() -> None:
    found = xdm.read(packed({"IHE_XDM/SUBSET01/A.XML": REPORT, "NOTE.TXT": b"ClinicalDocument"}))
    assert [one.content for one in found.documents] == [REPORT]
    assert [one.place for one in found.findings] == ["IHE_XDM"]


def test_a_document_that_was_altered_is_found() -> None:
    altered = packed({**files(archive()), DOCUMENT: REPORT.replace(b"DURAND", b"DUPONT", 1) + b"\n"})
    assert len(xdm.read(altered).findings) == 2
    with pytest.raises(MessageError) as refusal:
        xdm.read(altered, strict=True)
    assert refusal.value.place == "DOC00001.XML"


def doctype(content: bytes) -> bytes:
    return b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + content.partition(b"?>")[2]


def encrypted() -> bytes:
    data = bytearray(archive())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


HOSTILE = {
    "no zip": b"not a zip",
    "empty": b"",
    "cut": archive()[:-200],
    "begin cut": archive()[50:],
    "nothing inside": packed({}),
    "only text": packed({"README.TXT": b"x"}),
    "absolute": packed({"/etc/passwd": b"x"}),
    "drive": packed({"C:/x": b"x"}),
    "up": packed({"IHE_XDM/../../x": b"x"}),
    "up, backslashes": packed({"IHE_XDM\\..\\..\\x": b"x"}),
    "symbolic link": packed({"IHE_XDM/x": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16),
    "encrypted": encrypted(),
    "many files": packed({f"IHE_XDM/{number}": b"" for number in range(201)}),
    "bomb": packed({DOCUMENT: b"\0" * 60_000_000}),
    "bomb of small files": packed({f"IHE_XDM/{number}.XML": b"\0" * 300_000 for number in range(199)}),
    "ratio": packed({DOCUMENT: b"\0" * 20_000_000}),
    "metadata not XML": packed({**files(archive()), METADATA: b"<a"}),
    "metadata with entities": packed({**files(archive()), METADATA: doctype(files(archive())[METADATA])}),
    "metadata without document": packed({METADATA: files(archive())[METADATA]}),
    "two of one name": packed({**files(archive()), DOCUMENT.lower(): b"<x/>"}),
    "damaged data": archive().replace(REPORT[:1], b"\1", 1)[:400] + archive()[410:],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_with_a_place(name: str) -> None:
    with pytest.raises(MessageError) as refusal:
        xdm.read(HOSTILE[name])
    assert refusal.value.place
    assert "passwd" not in str(refusal.value)


def test_a_bomb_is_stopped_whatever_it_declares() -> None:
    data = bytearray(packed({DOCUMENT: b"\0" * 60_000_000}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")  # it says 10 bytes
    with pytest.raises(ParseError):
        xdm.read(bytes(data))


@given(st.data())
def test_whatever_bytes_change_there_is_an_archive_or_a_place(data: st.DataObject) -> None:
    whole = bytearray(archive())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    place, contents = "", []
    try:
        contents = [one.content for one in xdm.read(bytes(whole), strict=True).documents]
    except MessageError as error:
        place = error.place
    assert place or contents == [REPORT]
