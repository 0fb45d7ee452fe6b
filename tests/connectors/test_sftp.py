"""What sftp adds to the suite: keys of both sides, a server that breaks off, files of the far side."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from channels.errors import ConfigError, Undelivered
from connectors.sftp import FarFolder, SftpDestination, SftpDestinationSettings, SftpSource, SftpSourceSettings
from connectors.shared.folders import Listed, TooLarge, Unreadable
from tests.connectors.conformance import hl7, message
from tests.connectors.intake import ListIntake, eventually, free_port, surroundings
from tests.connectors.sshd import Sshd


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def sshd(running: Sshd) -> Iterator[Sshd]:
    """One server for all tests; its folder is another for each."""
    former = running.home
    running.home = running.folder / f"home{len(list(running.folder.iterdir()))}"
    running.home.mkdir()
    yield running
    running.home = former


def destination(sshd: Sshd, **options: Any) -> SftpDestination:
    settings = SftpDestinationSettings.model_validate(sshd.settings | options)
    return SftpDestination(settings, surroundings(sshd.folder, "sgl"))


@pytest.fixture
async def far(sshd: Sshd) -> AsyncIterator[FarFolder]:
    folder = FarFolder(SftpDestinationSettings.model_validate(sshd.settings), surroundings(sshd.folder))
    folder.prepare()
    yield folder
    await folder.aclose()
    await folder.aclose()


async def send_one(destination: SftpDestination) -> None:
    await destination.start()
    try:
        await destination.send(message(1))
    finally:
        await destination.aclose()


async def test_the_server_is_known_by_its_fingerprint(sshd: Sshd) -> None:
    await send_one(destination(sshd, known_hosts=None, fingerprint=sshd.fingerprint))
    assert (sshd.home / "1.hl7").read_bytes() == hl7(1)


async def test_a_key_may_have_a_password(sshd: Sshd) -> None:
    await send_one(destination(sshd, key=str(sshd.folder / "locked_key"), key_password="open sesame"))
    assert (sshd.home / "1.hl7").read_bytes() == hl7(1)


@pytest.mark.parametrize("known", ["fingerprint", "known_hosts"])
async def test_a_server_with_another_key_gets_nothing(sshd: Sshd, tmp_path: Path, known: str) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "known").write_text(f"* {other.export_public_key().decode()}")
    options: dict[str, Any] = {"known_hosts": str(tmp_path / "known")}
    if known == "fingerprint":
        options = {"known_hosts": None, "fingerprint": other.get_fingerprint()}
    with pytest.raises(Undelivered, match="HostKeyNotVerifiable"):
        await send_one(destination(sshd, **options))
    assert list(sshd.home.iterdir()) == []


async def test_a_user_who_is_not_known_there_waits(sshd: Sshd, tmp_path: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "other")
    with pytest.raises(Undelivered, match="PermissionDenied"):
        await send_one(destination(sshd, key=str(tmp_path / "other")))


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"key": "absent"}, "key: the file cannot be read: No such file"),
        ({"key": "locked_key"}, "key: the file does not open with `key_password`"),
        ({"key": "locked_key", "key_password": "no"}, "key: the file does not open with `key_password`"),
        ({"key": "config"}, "key: the file holds no key"),
        ({"known_hosts": "absent"}, "known_hosts: the file cannot be read: No such file"),
        ({"known_hosts": "config"}, "known_hosts: the file holds no key"),
    ],
)
async def test_files_of_keys_are_read_at_start(sshd: Sshd, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        await destination(sshd, **options).start()
    assert "sesame" not in str(raised.value)
    source = SftpSource(SftpSourceSettings.model_validate(sshd.settings | options), surroundings(sshd.folder))
    with pytest.raises(ConfigError, match=problem):
        await source.start(ListIntake())


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"fingerprint": "SHA256:" + "a" * 43}, "`known_hosts` or `fingerprint`, one of them"),
        ({"known_hosts": None}, "`known_hosts` or `fingerprint`, one of them"),
        ({"known_hosts": None, "fingerprint": "MD5:00"}, "a fingerprint as ssh-keygen -l prints it"),
        ({"key": None}, "our key or password is needed"),
    ],
)
def test_settings_that_are_wrong_are_said(options: dict[str, Any], problem: str) -> None:
    good = {"connect": "host:22", "user": "u", "key": "k", "known_hosts": "h"}
    with pytest.raises(ValueError, match=problem):
        SftpDestinationSettings.model_validate(good | options)


async def test_a_password_opens_too(tmp_path: Path) -> None:
    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("gap", "secret")

    key = asyncssh.generate_private_key("ssh-ed25519")
    port = free_port()
    (tmp_path / "home").mkdir()
    server = await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[key], server_factory=Server, config=[],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(tmp_path / "home")),
    )  # fmt: skip
    async with server:
        good = {"connect": f"127.0.0.1:{port}", "user": "gap", "fingerprint": key.get_fingerprint(), "directory": "/"}
        for password in ("secret", "wrong"):
            settings = SftpDestinationSettings.model_validate(good | {"password": password, "conflict": "replace"})
            one = SftpDestination(settings, surroundings(tmp_path))
            if password == "wrong":
                with pytest.raises(Undelivered, match="PermissionDenied"):
                    await send_one(one)
            else:
                await send_one(one)
    assert (tmp_path / "home/1.hl7").read_bytes() == hl7(1)


async def test_conflicts_and_sub_folders(sshd: Sshd) -> None:
    replacing = destination(sshd, name="{kind}/a.hl7", conflict="replace")
    await replacing.start()
    await replacing.send(message(1))
    await replacing.send(message(2))
    await replacing.aclose()
    numbering = destination(sshd, name="{kind}/a.hl7")
    await numbering.start()
    assert (await numbering.send(message(2))).reference == "ADT_A01/a.hl7"
    assert (await numbering.send(message(3))).reference == "ADT_A01/a-2.hl7"
    await numbering.aclose()
    found = {path.name: path.read_bytes() for path in (sshd.home / "ADT_A01").iterdir()}
    assert found == {"a.hl7": hl7(2), "a-2.hl7": hl7(3)}


async def test_a_folder_that_is_not_there_is_waited_for(sshd: Sshd) -> None:
    with pytest.raises(Undelivered, match="the file cannot be written: no such file"):
        await send_one(destination(sshd, directory=str(sshd.home / "absent")))


async def test_a_source_waits_for_its_server_and_takes_what_a_crash_left(sshd: Sshd) -> None:
    work = sshd.home / ".work-chu-test-adt-fanout"
    work.mkdir()
    (work / "18a0000000000001-left.hl7").write_bytes(hl7(1))
    (sshd.home / "new.hl7").write_bytes(hl7(2) + hl7(3))
    intake = ListIntake()
    settings = SftpSourceSettings.model_validate(sshd.settings | {"every": "5ms", "stable_for": "0s", "answers": "all"})
    source = SftpSource(settings, surroundings(sshd.folder))
    await source.start(intake)
    await eventually((sshd.home / "done/new.hl7").exists)
    await source.stop()
    assert intake.bodies == [hl7(1), hl7(2), hl7(3)]
    assert (sshd.home / "done/left.hl7").read_bytes() == hl7(1)
    assert b"MSA|AA|3\r" in (sshd.home / "answers/new.hl7.ack").read_bytes()


# the folder


async def test_what_changes_while_it_is_claimed_is_given_back(far: FarFolder, sshd: Sshd) -> None:
    (sshd.home / "a").write_bytes(b"longer than it was")
    assert await far.take(Listed("a", 4, 0), "b", 100) is None
    assert (sshd.home / "a").exists()
    assert await far.take(Listed("gone", 4, 0), "b", 100) is None


async def test_a_file_too_large_is_not_read(far: FarFolder, sshd: Sshd) -> None:
    (sshd.home / "a").write_bytes(b"12345")
    (file,) = await far.files()
    with pytest.raises(TooLarge):
        await far.take(file, "b", 4)
    assert (sshd.home / "b").exists()


async def test_files_of_a_folder_that_is_not_there(far: FarFolder, sshd: Sshd) -> None:
    assert await far.files("absent") == []
    sshd.home.rmdir()
    with pytest.raises(FileNotFoundError):
        await far.files()
    await far.remove("absent")


async def test_only_plain_files_are_listed_whatever_their_names(far: FarFolder, sshd: Sshd) -> None:
    (sshd.home / "folder").mkdir()
    (sshd.home / "link").symlink_to("folder")
    odd = os.fsdecode(b"\xe9\n.hl7")
    (sshd.home / odd).write_bytes(b"1")
    assert [(file.name, file.size) for file in await far.files()] == [(odd, 1)]


async def test_nothing_is_left_of_a_write_that_fails(far: FarFolder, sshd: Sshd) -> None:
    (sshd.home / "a").mkdir()
    with pytest.raises(FileExistsError):
        await far.put("a", b"1", replace=False)
    with pytest.raises(OSError, match=r"the server answered SFTPFailure \(4\)"):
        await far.put("a", b"1", replace=True)
    assert [path.name for path in sshd.home.iterdir()] == ["a"]
    with pytest.raises(OSError, match="the server answered SFTPBadMessage"):
        await far.move("a", "a/b")


class Forbidding(asyncssh.SFTPServer):
    """Has no extensions, and lets no file be read or replaced in place."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags == asyncssh.FXF_READ and b"secret" in path:
            raise asyncssh.SFTPPermissionDenied("it says the path")
        return super().open(path, pflags, attrs)

    def stat(self, path: bytes) -> Any:
        if b"hidden" in path:
            raise asyncssh.SFTPPermissionDenied("it says the path")
        return super().stat(path)

    def fsync(self, file_obj: object) -> None:
        raise asyncssh.SFTPOpUnsupported("none")

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("none")


async def test_a_server_with_less(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    port = free_port()
    (tmp_path / "home").mkdir()
    server = await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[key], server_factory=Open, config=[],
        sftp_factory=lambda channel: Forbidding(channel, chroot=os.fsencode(tmp_path / "home")),
    )  # fmt: skip
    settings = SftpDestinationSettings.model_validate(
        {"connect": f"127.0.0.1:{port}", "user": "u", "password": "p", "fingerprint": key.get_fingerprint()}
    )
    far = FarFolder(settings, surroundings(tmp_path))
    far.prepare()
    async with server:
        await far.put("secret", b"1", replace=False)
        await far.put("secret", b"2", replace=True)
        assert (tmp_path / "home/secret").read_bytes() == b"2"
        for name, target in (("secret", "taken secret"), ("taken secret", "hidden")):
            file = Listed(name, 1, int((tmp_path / "home" / name).stat().st_mtime) * 1_000_000_000)
            with pytest.raises(Unreadable, match="permission denied by the server"):
                await far.take(file, target, 100)
        await far.aclose()


class Open(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


async def test_a_server_that_speaks_something_else(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x0bMSH|\x1c\r" * 1000)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = SftpDestinationSettings.model_validate(
            {"connect": f"127.0.0.1:{port}", "user": "u", "password": "p", "fingerprint": "SHA256:" + "a" * 43}
        )
        with pytest.raises(Undelivered, match="the file cannot be written: "):
            await send_one(SftpDestination(settings, surroundings(tmp_path)))
