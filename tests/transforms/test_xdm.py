"""IHE_XDM.ZIP: written the same each time, read back equal, and opened safely when it is hostile."""

import io
import os
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from channels.errors import MessageError
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


def test_another_program_opens_it(tmp_path: Path) -> None:
    if shutil.which("unzip") is None:
        assert not os.environ.get("CI"), "unzip is not installed; see scripts/system-packages"
        pytest.skip("unzip is not installed")
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
    assert [one.place for one in found.findings] == ["IHE_XDM.ZIP"]


def test_a_document_that_was_altered_is_found() -> None:
    altered = packed({**files(archive()), DOCUMENT: REPORT.replace(b"DURAND", b"DUPONT", 1) + b"\n"})
    assert len(xdm.read(altered).findings) == 2
    with pytest.raises(MessageError) as refusal:
        xdm.read(altered, strict=True)
    assert refusal.value.place == "IHE_XDM/SUBSET01/DOC00001.XML"


def test_several_subsets_are_read() -> None:
    one = files(archive())
    two = {name.replace("SUBSET01", "SUBSET02"): content for name, content in one.items() if name.startswith("IHE_XDM")}
    found = xdm.read(packed({**one, **two}), strict=True)
    assert len(found.lots) == 2
    assert [one.name for one in found.documents] == [DOCUMENT, DOCUMENT.replace("01/", "02/")]
    assert all(one.lot is not None and one.entry is not None for one in found.documents)


HASH = lot().entries[0].hash
ODD: dict[str, tuple[Change, list[str]]] = {
    "a file that only its hash tells": (
        lambda all_: {"IHE_XDM/SUBSET01/CR.XML" if name == DOCUMENT else name: one for name, one in all_.items()},
        ["IHE_XDM.ZIP[4]"],
    ),
    "no name of the file": (
        lambda all_: {
            **all_, METADATA: without(all_[METADATA], "URI", "hash"), DOCUMENT: REPORT,
        },
        [DOCUMENT],
    ),
    "a document that the metadata do not name": (
        lambda all_: {**all_, "IHE_XDM/SUBSET01/DOC00009.XML": REPORT.replace(b"DURAND", b"AUTRE")},
        ["IHE_XDM/SUBSET01/DOC00009.XML"],
    ),
    "metadata elsewhere": (
        lambda all_: {name.removeprefix("IHE_XDM/"): one for name, one in all_.items()}, ["SUBSET01/METADATA.XML"],
    ),
    "metadata that name nothing": (
        lambda all_: {**all_, METADATA: b"<a/>"}, [METADATA, "IHE_XDM.ZIP"],
    ),
    "two entries of one file": (
        lambda _: {
            name: content.replace(b"DOC00002", b"DOC00001") for name, content in files(archive(2)).items()
            if "DOC00002" not in name
        },
        [DOCUMENT],
    ),
    "a size that is no number": (
        lambda all_: {
            **all_, METADATA: all_[METADATA].replace(f">{len(REPORT)}<".encode(), b">beaucoup<"),
        },
        [DOCUMENT],
    ),
    "a hash in capitals, and blanks": (
        lambda all_: {
            **all_, METADATA: all_[METADATA].replace(HASH.encode(), f" {HASH.upper()} ".encode()),
        },
        [],
    ),
}  # fmt: skip


def without(metadata: bytes, *slots: str) -> bytes:
    root = etree.fromstring(metadata)
    for one in list(root.iter("{*}Slot")):
        parent = one.getparent()
        if parent is not None and one.get("name") in slots:
            parent.remove(one)
    return etree.tostring(root)


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_taken_with_a_finding_and_refused_when_strict(name: str) -> None:
    change, places = ODD[name]
    data = packed(change(files(archive())))
    found = xdm.read(data)
    assert REPORT in [one.content for one in found.documents]
    assert [one.place for one in found.findings] == places
    if places:
        with pytest.raises(MessageError) as refusal:
            xdm.read(data, strict=True)
        assert refusal.value.place == places[0]
    else:
        assert xdm.read(data, strict=True).documents == found.documents


def test_the_readme_says_who_sends() -> None:
    text = files(archive())["README.TXT"].decode()
    assert text.splitlines() == [
        "CH de Testville", "Contact : 0140000000", "Logiciel : Vaguemestre 1.0", "",
        "1 document(s) de santé au format CDA R2, avec leurs métadonnées (IHE XDM).",
        "Ouvrez INDEX.HTM pour les lire.",
    ]  # fmt: skip
    assert b"\r\n" in files(archive())["README.TXT"]


def test_the_index_is_xhtml_without_anything_from_a_network() -> None:
    made = replace(lot(), entries=(replace(lot().entries[0], title='CR <b> & "x"'),))
    index = files(xdm.write(made, [REPORT], sender=SENDER))["INDEX.HTM"]
    root = etree.fromstring(index, etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False))
    links = [one.get("href") for one in root.iter("{*}a")]
    assert links == ["IHE_XDM/SUBSET01/DOC00001.XML", "README.TXT"]
    assert all(name in files(archive()) for name in links)
    assert b"src=" not in index
    assert b"CR &lt;b&gt; &amp; &quot;x&quot;</a> (CR d&#x27;examens biologiques, 10/03/2026)" in index


def test_names_are_short_and_in_capitals() -> None:
    for name in files(archive(3)):
        folders, _, base = name.rpartition("/")
        assert name == name.upper()
        assert all(len(one) <= 8 for one in folders.split("/"))
        stem, _, kind = base.partition(".")
        assert len(stem) <= 8
        assert len(kind) <= 3
