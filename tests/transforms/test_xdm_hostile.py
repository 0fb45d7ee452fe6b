"""Archives made to do harm: refused with a place that tells nothing of them, whatever they declare of themselves."""

import io
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import MessageError, ParseError
from tests.transforms.test_xdm import DOCUMENT, METADATA, SENDER, archive, files, packed
from tests.transforms.test_xds import REPORT, lot
from transforms import xdm

CENTRAL = b"PK\x01\x02"


def doctype(content: bytes, inside: str = '<!ENTITY e SYSTEM "file:///etc/passwd">') -> bytes:
    return f"<!DOCTYPE x [{inside}]>".encode() + content.partition(b"?>")[2]


def declared(data: bytes, offset: int, value: bytes, nth: int = 0) -> bytes:
    """An archive whose central directory says something else of a file."""
    changed, at = bytearray(data), data.index(CENTRAL)
    for _ in range(nth):
        at = data.index(CENTRAL, at + 4)
    changed[at + offset : at + offset + len(value)] = value
    return bytes(changed)


def stored(name: str, content: bytes, method: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as opened:
        opened.writestr(name, content)
    return made.getvalue()


def special(kind: int) -> bytes:
    return packed({"IHE_XDM/x": b"/etc/passwd"}, external_attr=(kind | 0o777) << 16)


def twice() -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as opened:
        warnings.simplefilter("ignore")
        for _ in range(2):
            opened.writestr("IHE_XDM/SUBSET01/DOC00001.XML", REPORT)
    return made.getvalue()


def overlapping(count: int = 150) -> bytes:
    """Many names, one and the same compressed megabyte."""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    noise = bytes(range(256)) * 4
    content = noise * 1000
    packed_ = body.compress(content) + body.flush()
    name = b"IHE_XDM/A.XML"
    crc, sizes = zlib.crc32(content), (len(packed_), len(content))
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, *sizes, len(name), 0) + name
    central = b"".join(
        struct.pack("<4s6H3I5H2I", CENTRAL, 20, 20, 0, 8, 0, 33, crc, *sizes, len(name), 0, 0, 0, 0, 0, 0) + name
        for _ in range(count)
    )
    start = len(local) + len(packed_)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(central), start, 0)
    return local + packed_ + central + end


def altered(change: Callable[[bytes], bytes]) -> bytes:
    return packed({**files(archive()), METADATA: change(files(archive())[METADATA])})


def two_patients() -> bytes:
    made = lot()
    other = replace(made.entries[0], id="Document02", patient_id="290067505600227^^^&1.2.250.1.213.1.4.10&ISO^NH")
    return xdm.write(replace(made, entries=(*made.entries, other)), [REPORT, REPORT], sender=SENDER)


def hole() -> bytes:
    data = archive()
    at = data.index(b"PK\x03\x04", 200)
    return data[: at + 60] + b"\xff" * 20 + data[at + 80 :]


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(9))

HOSTILE: dict[str, bytes] = {
    "no zip": b"not a zip",
    "empty": b"",
    "only the end of a zip": b"PK\x05\x06" + b"\0" * 18,
    "another kind of archive": b"7z\xbc\xaf\x27\x1c" + b"\0" * 100,
    "cut at its end": archive()[:-200],
    "begin cut": archive()[50:],
    "a hole in the data": hole(),
    "nothing inside": packed({}),
    "only text": packed({"README.TXT": b"x"}),
    "only folders": packed({"IHE_XDM/": b"", "IHE_XDM/SUBSET01/": b""}),
    "absolute": packed({"/etc/passwd": b"x"}),
    "absolute, backslash": packed({"\\etc\\passwd": b"x"}),
    "drive": packed({"C:/x": b"x"}),
    "drive, backslashes": packed({"C:\\x": b"x"}),
    "share": packed({"\\\\server\\x": b"x"}),
    "up": packed({"IHE_XDM/../../x": b"x"}),
    "up, at the end": packed({"IHE_XDM/..": b"x"}),
    "up, backslashes": packed({"IHE_XDM\\..\\..\\x": b"x"}),
    "line break in a name": packed({"IHE_XDM/A\r\nB.XML": REPORT}),
    "zero in a name": packed({"IHE_XDM/SUBSET01/DOC00001.XMLx.exe": REPORT}).replace(b"XMLx.exe", b"XML\0.exe"),
    "symbolic link": special(stat.S_IFLNK),
    "pipe": special(stat.S_IFIFO),
    "device": special(stat.S_IFBLK),
    "encrypted": declared(archive(), 8, b"\x01\x00"),
    "strongly encrypted": declared(archive(), 8, b"\x41\x00"),
    "bzip2": stored(DOCUMENT, REPORT, zipfile.ZIP_BZIP2),
    "lzma": stored(DOCUMENT, REPORT, zipfile.ZIP_LZMA),
    "a method that nobody knows": declared(archive(), 10, b"\x63\x00"),
    "many files": packed({f"IHE_XDM/{number}": b"" for number in range(201)}),
    "very many files": packed({f"{number}": b"" for number in range(2500)}),
    "bomb": packed({DOCUMENT: b"\0" * 60_000_000}),
    "bomb of small files": packed({f"IHE_XDM/{number}.XML": b"\0" * 300_000 for number in range(199)}),
    "ratio": packed({DOCUMENT: b"\0" * 20_000_000}),
    "the same bytes under many names": overlapping(),
    "a file that is larger than the others leave": packed(
        {f"IHE_XDM/{number}.XML": (b"%03d" % number) * 90_000 for number in range(199)}
    ),
    "two of one name": twice(),
    "two of one name, but for the case": packed({**files(archive()), DOCUMENT.lower(): b"<x/>"}),
    "two of one name, but for the slash": packed({**files(archive()), DOCUMENT.replace("/", "\\"): b"<x/>"}),
    "metadata not XML": altered(lambda _: b"<a"),
    "metadata empty": packed({METADATA: b"", "README.TXT": b""}),
    "metadata binary": altered(lambda _: bytes(range(256))),
    "metadata in an unknown encoding": altered(lambda one: one.replace(b"'UTF-8'", b"'X-NONE'")),
    "metadata with a file as entity": altered(doctype),
    "metadata with a billion laughs": altered(lambda one: doctype(one, LAUGHS).replace(b"fr-FR<", b"&a8;<")),
    "metadata with laughs in an attribute": altered(
        lambda one: doctype(one, LAUGHS).replace(b'value="', b'value="&a8;', 1)
    ),
    "metadata very deep": altered(lambda _: b"<a>" * 5000 + b"</a>" * 5000),
    "metadata that name a file outside": altered(lambda one: one.replace(b">DOC00001.XML<", b">../../../etc/passwd<")),
    "metadata that name themselves": altered(
        lambda one: one.replace(b">DOC00001.XML<", b">METADATA.XML<").replace(lot().entries[0].hash.encode(), b"00")
    ),
    "metadata of a document that is not there": packed({METADATA: files(archive())[METADATA]}),
    "documents of two patients": two_patients(),
    "only a CDA with a document type": packed({DOCUMENT: doctype(REPORT)}),
    "only a CDA with laughs": packed({DOCUMENT: doctype(REPORT, LAUGHS).replace(b'code="', b'code="&a8;', 1)}),
    "only a CDA that is cut": packed({DOCUMENT: REPORT[:-100]}),
    "size too small": declared(archive(), 24, b"\x01\0\0\0", 3),
    "compressed size too large": declared(archive(), 20, b"\xff\xff\xff\x7f", 3),
    "wrong sum": declared(archive(), 16, b"\0\0\0\0", 3),
    "elsewhere in the archive": declared(archive(), 42, b"\xff\xff\0\0", 3),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("strict", [False, True])
def test_a_hostile_archive_is_refused_with_a_place(name: str, strict: bool) -> None:
    with pytest.raises(MessageError) as refusal:
        xdm.read(HOSTILE[name], strict=strict)
    assert refusal.value.place.startswith(("IHE_XDM", "README"))
    for text in ("passwd", "DURAND", "MODELE", "290067505600227", ".exe", "server"):
        assert text not in str(refusal.value)


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 50


def test_the_line_of_metadata_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ParseError) as refusal:
        xdm.read(altered(lambda one: one.replace(b"</rim:Slot>", b"</rim:Slo>", 1)))
    assert refusal.value.place.startswith("IHE_XDM/SUBSET01/METADATA.XML:")
    assert int(refusal.value.place.rpartition(":")[2]) > 5


@pytest.mark.parametrize("size", [10, 60_000_000, 0xFFFFFFF0])
def test_a_bomb_is_stopped_whatever_it_declares(size: int) -> None:
    data = declared(packed({DOCUMENT: b"\0" * 60_000_000}), 24, size.to_bytes(4, "little"))
    with pytest.raises(ParseError):
        xdm.read(data)


def test_limits_are_the_caller_s() -> None:
    whole = sum(map(len, files(archive()).values()))
    assert xdm.read(archive(), limits=xdm.Limits(total_size=whole)).documents
    for limits in (
        xdm.Limits(total_size=whole - 1),
        xdm.Limits(file_size=len(REPORT) - 1),
        xdm.Limits(entries=3),
        xdm.Limits(ratio=1),
    ):
        with pytest.raises(ParseError):
            xdm.read(archive(), limits=limits)


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


@given(st.binary(max_size=2000))
def test_noise_is_no_archive(noise: bytes) -> None:
    with pytest.raises(MessageError):
        xdm.read(noise)
    with pytest.raises(MessageError):
        xdm.read(b"PK\x03\x04" + noise)
