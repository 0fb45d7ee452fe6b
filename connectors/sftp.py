"""Files in a folder of an SFTP server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import posixpath
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import asyncssh
from pydantic import AfterValidator, Field, model_validator

from channels.errors import ConfigError
from channels.fields import Address, ExistingFile, Seconds, Secret, Settings
from channels.ports import Intake, Surroundings
from connectors.shared.folder_destination import FolderDestination, FolderDestinationSettings
from connectors.shared.folder_source import FolderSource, FolderSourceSettings
from connectors.shared.folders import Listed, TooLarge, Unreadable

_LOST = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


def _fingerprint(value: str) -> str:
    if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", value):
        raise ValueError("a fingerprint as ssh-keygen -l prints it: SHA256: and 43 characters")
    return value


class SftpServer(Settings):
    """Where the folder is, and how both sides know each other."""

    connect: Address = Field(description="The server, `host:port` (22 is the usual port).")
    user: str = Field(description="User name.")
    key: ExistingFile | None = Field(None, description="File of our private key (OpenSSH or PEM).")
    key_password: Secret | None = Field(None, description="Password of the private key.")
    password: Secret | None = Field(None, description="Password of the user, when there is no key.")
    known_hosts: ExistingFile | None = Field(
        None, description="The server's public key, in the form of OpenSSH's known_hosts."
    )
    fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = Field(
        None,
        description="Fingerprint of the server's key, `SHA256:…`, instead of `known_hosts`. One of both is needed.",
    )
    directory: str = Field(".", description="The folder on the server; it must exist.")
    timeout: Seconds = Field(30.0, description="For one operation, connecting included.")

    @model_validator(mode="after")
    def _both_known(self) -> SftpServer:
        if (self.known_hosts is None) == (self.fingerprint is None):
            raise ValueError("the server's key is needed: `known_hosts` or `fingerprint`, one of them")
        if self.key is None and self.password is None:
            raise ValueError("our key or password is needed: `key` or `password`")
        return self


class SftpSourceSettings(FolderSourceSettings, SftpServer):
    """Takes the files of a folder on an SFTP server.

    Each is renamed into `.work-SITE-CHANNEL/` first, then moved to `done/`, or to `error/` with a `.reason` beside it.
    One engine takes from a folder.
    """


class SftpDestinationSettings(FolderDestinationSettings, SftpServer):
    """Writes files into a folder of an SFTP server; each appears whole."""


class SftpSource(FolderSource):
    """See ``channels.ports.Source``."""

    settings: type[Settings] = SftpSourceSettings

    def __init__(self, settings: SftpSourceSettings, surroundings: Surroundings) -> None:
        self._far = FarFolder(settings, surroundings)
        work = f".work-{surroundings.site.site}-{surroundings.channel}"
        super().__init__(settings, self._far, surroundings, work)

    async def start(self, intake: Intake) -> None:
        """See ``channels.ports.Source.start``. Raises ConfigError for a key that cannot be used."""
        self._far.prepare()
        await super().start(intake)


class SftpDestination(FolderDestination):
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = SftpDestinationSettings

    def __init__(self, settings: SftpDestinationSettings, surroundings: Surroundings) -> None:
        self._far = FarFolder(settings, surroundings)
        super().__init__(settings, self._far, surroundings)

    async def start(self) -> None:
        """See ``channels.ports.Destination.start``. Raises ConfigError for a key that cannot be used."""
        self._far.prepare()
        await super().start()


class FarFolder:
    """Implements ``connectors.shared.folders.Folder``. Connects when needed, and again after a failure."""

    def __init__(self, settings: SftpServer, surroundings: Surroundings) -> None:
        """surroundings: for the files of keys."""
        self._options, self._surroundings = settings, surroundings
        self._temporary = f".{surroundings.channel}.{surroundings.name}"
        self._numbers = itertools.count(1)
        self._known: dict[str, Any] = {}
        self._connecting = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    def prepare(self) -> None:
        """Read the files of keys.

        Raises:
            ConfigError: one is missing or cannot be used.
        """
        options, path = self._options, self._surroundings.path
        self._known = {"known_hosts": ([], [], []), "client_keys": None}
        if options.known_hosts is not None:
            with _reading("known_hosts"):
                known = asyncssh.read_known_hosts(str(path(options.known_hosts)))
            host, port = options.connect
            if not any(asyncssh.match_known_hosts(known, host, "", port)[:2]):
                raise ConfigError("known_hosts: the file holds no key of this server")
            self._known["known_hosts"] = known
        if options.key is not None:
            secret = options.key_password.get_secret_value() if options.key_password is not None else None
            with _reading("key"):
                self._known["client_keys"] = [asyncssh.read_private_key(path(options.key), secret)]

    # the connection

    @contextlib.asynccontextmanager
    async def _use(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """The connected client, for one operation; what goes wrong becomes an OSError, without the server's words."""
        try:
            async with asyncio.timeout(self._options.timeout):
                yield await self._connected()
        except asyncssh.SFTPNoSuchFile:
            raise FileNotFoundError(errno.ENOENT, "no such file") from None
        except asyncssh.SFTPPermissionDenied:
            raise PermissionError(errno.EACCES, "permission denied by the server") from None
        except _LOST as error:
            self._drop()
            raise ConnectionError(errno.ECONNABORTED, type(error).__name__) from None
        except asyncssh.SFTPError as error:
            raise OSError(errno.EIO, f"the server answered {type(error).__name__} ({error.code})") from None
        except asyncssh.Error as error:
            self._drop()
            raise ConnectionError(errno.ECONNABORTED, type(error).__name__) from None
        except (TimeoutError, ConnectionError):
            self._drop()
            raise

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._sftp is None:
                options = self._options
                self._connection = await asyncssh.connect(
                    options.connect.host,
                    options.connect.port,
                    username=options.user,
                    password=options.password.get_secret_value() if options.password is not None else None,
                    client_factory=lambda: _Client(options.fingerprint),
                    server_host_key_algs="default",
                    agent_path=None,
                    config=[],
                    keepalive_interval=30,
                    **self._known,
                )
                self._sftp = await self._connection.start_sftp_client(path_errors="surrogateescape")
            return self._sftp

    def _drop(self) -> None:
        """Forget a connection that failed; the next operation makes another."""
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.abort()

    async def aclose(self) -> None:
        """See ``Folder.aclose``."""
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    def _path(self, name: str) -> str:
        return posixpath.join(self._options.directory, name)

    # the folder

    async def start(self, *subfolders: str) -> None:
        """See ``Folder.start``."""
        async with self._use() as sftp:
            await sftp.stat(self._options.directory)
            for one in subfolders:
                await sftp.makedirs(self._path(one), exist_ok=True)

    async def files(self, subfolder: str = "") -> list[Listed]:
        """See ``Folder.files``."""
        found = []
        try:
            async with self._use() as sftp:
                async for entry in sftp.scandir(self._path(subfolder)):
                    about = entry.attrs
                    if about.type == asyncssh.FILEXFER_TYPE_REGULAR:
                        found.append(Listed(str(entry.filename), about.size or 0, (about.mtime or 0) * 1_000_000_000))
        except FileNotFoundError:
            if not subfolder:
                raise
        return found

    async def take(self, file: Listed, target: str, most: int) -> bytes | None:
        """See ``Folder.take``. The server has no locks: only the rename protects."""
        if file.name != target:
            try:
                await self.move(file.name, target)
            except FileNotFoundError:
                return None
        try:
            async with self._use() as sftp:
                about = await sftp.stat(self._path(target))
        except PermissionError as error:
            raise Unreadable(error.errno, error.strerror) from error
        if file.name != target and (about.size, (about.mtime or 0) * 1_000_000_000) != (file.size, file.modified):
            await self.move(target, file.name)  # it is being written after all
            return None
        if (about.size or 0) > most:
            raise TooLarge
        try:
            return await self.read(target)
        except PermissionError as error:
            raise Unreadable(error.errno, error.strerror) from error

    async def release(self, target: str) -> None:
        """See ``Folder.release``."""

    async def move(self, source: str, target: str) -> None:
        """See ``Folder.move``."""
        async with self._use() as sftp:
            await self._rename(sftp, self._path(source), self._path(target))

    async def _rename(self, sftp: asyncssh.SFTPClient, source: str, target: str) -> None:
        try:
            await sftp.rename(source, target)
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            if await sftp.exists(target):
                raise FileExistsError(errno.EEXIST, "the file exists") from None
            raise

    async def _replace(self, sftp: asyncssh.SFTPClient, source: str, target: str) -> None:
        try:
            await sftp.posix_rename(source, target)
        except asyncssh.SFTPOpUnsupported:  # not at once, for want of better
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                await sftp.remove(target)
            await sftp.rename(source, target)

    async def remove(self, name: str) -> None:
        """See ``Folder.remove``."""
        with contextlib.suppress(FileNotFoundError):
            async with self._use() as sftp:
                await sftp.remove(self._path(name))

    async def read(self, name: str) -> bytes:
        """See ``Folder.read``."""
        async with self._use() as sftp, sftp.open(self._path(name), "rb") as opened:
            body: bytes = await opened.read()
            return body

    async def put(self, name: str, body: bytes, *, replace: bool) -> None:
        """See ``Folder.put``. On disk if the server has OpenSSH's ``fsync`` extension."""
        path = self._path(name)
        folder = posixpath.dirname(path)
        temporary = posixpath.join(folder, f"{self._temporary}.{next(self._numbers)}.tmp")
        async with self._use() as sftp:
            if "/" in name:
                await sftp.makedirs(folder, exist_ok=True)
            try:
                async with sftp.open(temporary, "wb") as opened:
                    await opened.write(body)
                    await _sync(opened)
                if replace:
                    await self._replace(sftp, temporary, path)
                else:
                    await self._rename(sftp, temporary, path)
            except (asyncssh.SFTPError, FileExistsError):
                with contextlib.suppress(asyncssh.SFTPError):
                    await sftp.remove(temporary)
                raise

    async def append(self, name: str, at: int, body: bytes) -> None:
        """See ``Folder.append``."""
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
        async with self._use() as sftp, sftp.open(self._path(name), flags, encoding=None) as opened:
            await opened.truncate(at)
            await opened.write(body, at)
            await _sync(opened)


@contextlib.contextmanager
def _reading(setting: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{setting}: the file cannot be read: {error.strerror}") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        locked = isinstance(error, asyncssh.KeyEncryptionError) or re.search("assphrase|decrypt", str(error))
        if not locked:
            raise ConfigError(f"{setting}: the file holds no key that can be used") from None
        raise ConfigError(
            f"{setting}: the file does not open with `key_password` (in OpenSSH's own form it also needs the package "
            "bcrypt; ssh-keygen -p -m PKCS8 gives it the other form)"
        ) from None


async def _sync(opened: asyncssh.SFTPClientFile) -> None:
    with contextlib.suppress(asyncssh.SFTPOpUnsupported):
        await opened.fsync()


class _Client(asyncssh.SSHClient):
    """Knows the server by its fingerprint, when that is how it is known."""

    def __init__(self, fingerprint: str | None) -> None:
        self._fingerprint = fingerprint

    def validate_host_public_key(  # named and called by asyncssh
        self,
        host: str,  # noqa: ARG002
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        return self._fingerprint is not None and key.get_fingerprint("sha256") == self._fingerprint
