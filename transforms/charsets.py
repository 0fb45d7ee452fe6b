"""Character sets of HL7 v2: from MSH-18 to a Python codec and back.

Source: HL7 v2.5 table 0211; IHE PAM France 2.11, MSH-18 (8859/1, 8859/15 and UNICODE UTF-8 are all met).
"""

from __future__ import annotations

import codecs

_CODECS = {
    "": "",
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "8859/1": "iso8859-1",
    "8859": "iso8859-1",
    "ISO-8859-1": "iso8859-1",
    "ISO8859-1": "iso8859-1",
    "8859/15": "iso8859-15",
    "ISO-8859-15": "iso8859-15",
    "ISO8859-15": "iso8859-15",
    "CP1252": "cp1252",
    "WINDOWS-1252": "cp1252",
}
STANDARD = frozenset({"ASCII", "UNICODE UTF-8", "8859/1", "8859/15"})
"""Spellings of MSH-18 that need no warning."""

NAMES = {"ascii": "ASCII", "utf-8": "UNICODE UTF-8", "iso8859-1": "8859/1", "iso8859-15": "8859/15", "cp1252": "8859/1"}
"""What MSH-18 says for each codec that we write."""

_ASCII_BYTES = bytes(range(128))
_CHUNK = 65536


def declared_codec(declared: str) -> str:
    """The codec that MSH-18 names, any spelling; ``""`` when it is empty or names none that we know."""
    codec = _CODECS.get(declared)
    return codec if codec is not None else _CODECS.get(declared.strip().upper(), "")


def codec_of(declared: str, body: bytes, default: str = "cp1252") -> str:
    """The codec that reads ``body``, whose MSH-18 says ``declared``.

    Empty or ``ASCII`` with 8-bit bytes: UTF-8 when it decodes, else ``default``. ``8859/1`` with bytes 0x80-0x9F:
    cp1252. A declared UTF-8 that does not decode: ``default``. Bytes are never changed by this choice.
    """
    codec = declared_codec(declared)
    if body.isascii():
        return codec or "ascii"
    if codec in ("", "ascii", "utf-8"):
        return "utf-8" if _is_utf8(body) else default
    if codec == "iso8859-1" and any(0x80 <= byte <= 0x9F for byte in set(body.translate(None, _ASCII_BYTES))):
        return "cp1252"
    return codec


def contradicts(declared: str, codec: str) -> bool:
    """True when ``codec``, found by ``codec_of``, is not what MSH-18 declares."""
    promised = declared_codec(declared) or "ascii"
    return codec not in (promised, "ascii")


def _is_utf8(body: bytes) -> bool:
    """Whether the bytes decode; a large body by pieces, so that it is never held twice."""
    try:
        if len(body) <= _CHUNK:
            body.decode()
            return True
        decoder = codecs.getincrementaldecoder("utf-8")()
        with memoryview(body) as view:
            for start in range(0, len(body), _CHUNK):
                decoder.decode(view[start : start + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
