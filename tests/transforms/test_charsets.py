"""From MSH-18 and the bytes to a codec."""

from __future__ import annotations

import pytest

from transforms.charsets import codec_of, contradicts, declared_codec


@pytest.mark.parametrize(
    "declared, text, codec, contradiction",
    [
        ("", b"plain", "ascii", False),
        ("", "é".encode(), "utf-8", True),
        ("", b"\xe9", "cp1252", True),
        ("ASCII", b"\xe9", "cp1252", True),
        ("ASCII", b"plain", "ascii", False),
        ("UNICODE UTF-8", "œ€".encode(), "utf-8", False),
        ("UNICODE UTF-8", b"plain", "utf-8", False),
        ("UNICODE UTF-8", b"\xe9t\xe9", "cp1252", True),
        ("8859/1", b"\xe9", "iso8859-1", False),
        ("8859/1", b"\x9c", "cp1252", True),
        ("8859/15", b"\xa4", "iso8859-15", False),
        ("utf-8", "é".encode(), "utf-8", False),
        ("Unicode", "é".encode(), "utf-8", False),
        ("8859", b"\xe9", "iso8859-1", False),
        ("iso-8859-1", b"\xe9", "iso8859-1", False),
        (" ISO8859-15 ", b"\xe9", "iso8859-15", False),
        ("KOI8", b"\xe9", "cp1252", True),
    ],
)
def test_the_codec_follows_msh_18_unless_the_bytes_say_otherwise(
    declared: str, text: bytes, codec: str, contradiction: bool
) -> None:
    assert codec_of(declared, text) == codec
    assert contradicts(declared, codec) is contradiction


def test_the_default_codec_is_the_sender_s() -> None:
    assert codec_of("", b"\xa4", "iso8859-15") == "iso8859-15"


def test_an_unknown_name_is_no_codec() -> None:
    assert declared_codec("KOI8") == ""
    assert declared_codec("") == ""


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_large_body_is_checked_to_its_last_byte(spoilt: bool) -> None:
    body = ("a" + "é" * 100_000).encode()
    assert codec_of("UNICODE UTF-8", body[:-1] if spoilt else body) == ("cp1252" if spoilt else "utf-8")
