"""Master keys, envelope encryption, keyed hashes."""

from pathlib import Path

import pytest

from channels.errors import ConfigError, DamageError
from channels.journal.keys import Hasher, MasterKeys, Sealer


def keys(*names: str) -> MasterKeys:
    return MasterKeys.read("".join(MasterKeys.new_line(name) for name in names))


def test_a_wrapped_key_comes_back() -> None:
    master = keys("new", "old")
    name, wrapped = master.wrap(b"k" * 32, "segment 1")
    assert name == "new"
    assert wrapped.find(b"kkkk") < 0
    assert master.unwrap(name, wrapped, "segment 1") == b"k" * 32


def test_a_wrapped_key_serves_one_purpose_only() -> None:
    master = keys("k1")
    name, wrapped = master.wrap(b"k" * 32, "segment 1")
    with pytest.raises(ConfigError, match="is not the one"):
        master.unwrap(name, wrapped, "segment 2")


def test_an_unknown_master_key_is_named() -> None:
    with pytest.raises(ConfigError, match="needs the master key 'k9'"):
        keys("k1").unwrap("k9", b"x" * 60, "segment 1")


@pytest.mark.parametrize("text", ["", "# nothing\n", "k1:c2hvcnQ=\n", "k1:***\n"])
def test_a_key_file_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="master key"):
        MasterKeys.read(text)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text(MasterKeys.new_line("k1"))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        MasterKeys.load(path)
    path.chmod(0o600)
    assert MasterKeys.load(path).newest == "k1"


def test_a_missing_key_file_is_a_configuration_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        MasterKeys.load(tmp_path / "absent")


def test_what_is_sealed_opens_at_its_own_place_only() -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(b"secret", b"b1")
    assert b"secret" not in sealed
    assert sealer.open(sealed, b"b1") == b"secret"
    with pytest.raises(DamageError, match="does not decrypt"):
        sealer.open(sealed, b"b2")
    with pytest.raises(DamageError, match="does not decrypt"):
        sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), b"b1")


def test_without_a_key_contents_pass_through() -> None:
    assert Sealer(None).open(Sealer(None).seal(b"clear", b"b1"), b"b1") == b"clear"


def test_hashes_are_equal_for_equal_values_under_one_key_only() -> None:
    one, other = Hasher(b"a" * 32), Hasher(b"b" * 32)
    assert one.hash("patient 7") == one.hash("patient 7") == one.digest(b"patient 7")
    assert one.hash("patient 7") != one.hash("patient 8")
    assert one.hash("patient 7") != other.hash("patient 7")
    assert -(2**63) <= one.hash("x") < 2**63
