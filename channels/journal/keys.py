"""Envelope encryption: a master key outside the journal wraps one data key per segment file.

Rotation adds a master key and wraps the data keys again: bodies are not touched. Removing a segment removes its
wrapped key with it.

Source: NIST SP 800-38D (AES-GCM); RFC 2104 (keyed hashes).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import struct
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from channels.errors import ConfigError, DamageError

KEY_BYTES = 32
_NONCE_BYTES = 12
_LONG = 16_384
"""Bytes from which SHA-256, which processors know, is quicker than BLAKE2."""
_unpack = struct.Struct("<q").unpack


class MasterKeys:
    """The master keys of a site, newest first: the first one wraps, all of them unwrap.

    Written one a line, ``name:base64 of 32 bytes``; lines that begin with ``#`` are comments.
    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        """keys: name -> 32 bytes, the newest first. Raises ConfigError when there is none or one is not 32 bytes."""
        if not keys or any(len(key) != KEY_BYTES for key in keys.values()):
            raise ConfigError("a master key is 32 bytes, written `name:base64`, one a line")
        self._keys = keys

    @classmethod
    def read(cls, text: str) -> MasterKeys:
        """Read the form above. Raises ConfigError."""
        keys = {}
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                name, _, value = line.strip().partition(":")
                try:
                    keys[name] = base64.b64decode(value, validate=True)
                except binascii.Error:
                    raise ConfigError("a master key is not base64") from None
        return cls(keys)

    @classmethod
    def load(cls, path: Path) -> MasterKeys:
        """Read a key file. Raises ConfigError when it is missing or readable by others."""
        try:
            mode = path.stat().st_mode
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the key file {path} cannot be read: {type(error).__name__}") from error
        if mode & 0o077:
            raise ConfigError(f"the key file {path} is readable by others; run: chmod 600 {path}")
        return cls.read(text)

    @staticmethod
    def new_line(name: str) -> str:
        """A fresh key, as a line of a key file."""
        return f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n"

    @property
    def newest(self) -> str:
        """The name of the key that wraps."""
        return next(iter(self._keys))

    def wrap(self, key: bytes, purpose: str) -> tuple[str, bytes]:
        """Name of the master key used, and ``key`` encrypted under it for one purpose."""
        name = self.newest
        nonce = os.urandom(_NONCE_BYTES)
        return name, nonce + AESGCM(self._keys[name]).encrypt(nonce, key, purpose.encode())

    def unwrap(self, name: str, wrapped: bytes, purpose: str) -> bytes:
        """The key back. Raises ConfigError when the master key is missing or another one."""
        master = self._keys.get(name)
        if master is None:
            raise ConfigError(f"the journal needs the master key {name!r}, which the key file does not have")
        try:
            return AESGCM(master).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], purpose.encode())
        except InvalidTag:
            raise ConfigError(f"the master key {name!r} is not the one that the journal was written with") from None


class Sealer:
    """Encrypts and decrypts the contents of one segment; without a key, passes them through."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes | None) -> None:
        """key: the segment's 32-byte data key, or None when the journal is not encrypted."""
        self._cipher = AESGCM(key) if key else None

    @property
    def encrypts(self) -> bool:
        """False when the journal is in clear."""
        return self._cipher is not None

    def seal(self, data: bytes | memoryview, place: bytes) -> bytes:
        """``data`` encrypted, bound to its place (row, file) in the segment."""
        if self._cipher is None:
            return bytes(data)
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, place)

    def open(self, data: bytes, place: bytes) -> bytes:
        """The contents back. Raises DamageError when they were altered, cut or moved."""
        if self._cipher is None:
            return data
        try:
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise DamageError("a part of the journal does not decrypt: it was altered, or cut") from None


class Hasher:
    """Keyed hashes of values that identify a person: 64 bits, and no way back without the key."""

    __slots__ = ("_base",)

    def __init__(self, key: bytes) -> None:
        """key: 32 bytes, the same for the whole life of a journal."""
        self._base = hashlib.blake2b(key=key, digest_size=8)

    def hash(self, text: str) -> int:
        """A signed 64-bit number."""
        state = self._base.copy()
        state.update(text.encode("utf-8", "surrogateescape"))
        return _unpack(state.digest())[0]  # type: ignore[no-any-return]  # q is an int

    def digest(self, data: bytes) -> int:
        """The same for bytes: tells two bodies apart."""
        state = self._base.copy()
        state.update(data if len(data) < _LONG else hashlib.sha256(data).digest())
        return _unpack(state.digest())[0]  # type: ignore[no-any-return]  # q is an int
