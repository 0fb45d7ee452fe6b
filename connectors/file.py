"""Files in a folder of this machine, or of a share that it mounts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from channels.fields import Settings
from channels.ports import Surroundings
from connectors.shared.folder_destination import FolderDestination, FolderDestinationSettings
from connectors.shared.folder_source import FolderSource, FolderSourceSettings
from connectors.shared.folders import Listed, TooLarge, Unreadable

T = TypeVar("T")


class FileSourceSettings(FolderSourceSettings):
    """Takes the files of a folder.

    Each is renamed into ``.work/`` first, so that two engines never take the same one; then moved to ``done/``, or to
    ``error/`` with a ``.reason`` beside it.
    """

    directory: Path = Field(
        description="The folder; inside the site it is made when missing, elsewhere it must exist (a share that is not "
        "mounted is waited for)."
    )


class FileDestinationSettings(FolderDestinationSettings):
    """Writes files into a folder; each appears whole, and is on disk when the message counts as delivered."""

    directory: Path = Field(
        description="The folder; inside the site it is made when missing, elsewhere it must exist (messages wait for a "
        "share that is not mounted)."
    )


class FileSource(FolderSource):
    """See ``channels.ports.Source``."""

    settings: type[Settings] = FileSourceSettings

    def __init__(self, settings: FileSourceSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, LocalFolder(settings.directory, surroundings), surroundings)


class FileDestination(FolderDestination):
    """See ``channels.ports.Destination``."""

    settings: type[Settings] = FileDestinationSettings

    def __init__(self, settings: FileDestinationSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, LocalFolder(settings.directory, surroundings), surroundings)


class LocalFolder:
    """Implements ``connectors.shared.folders.Folder``; a file under way is locked, so another engine leaves it."""

    def __init__(self, directory: Path, surroundings: Surroundings) -> None:
        """directory: as in the settings."""
        self._root = surroundings.path(directory)
        self._ours = not directory.is_absolute()
        self._temporary = f".{surroundings.channel}.{surroundings.name}"
        self._numbers = itertools.count(1)
        self._locks: dict[str, int] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        """In a thread of this folder: a share that hangs stops nobody else."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(2, thread_name_prefix="file")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def aclose(self) -> None:
        """See ``Folder.aclose``."""
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    async def start(self, *subfolders: str) -> None:
        """See ``Folder.start``."""
        await self._run(self._start, subfolders)

    def _start(self, subfolders: tuple[str, ...]) -> None:
        if self._ours:
            self._root.mkdir(parents=True, exist_ok=True)
        self._root.stat()
        for one in subfolders:
            (self._root / one).mkdir(parents=True, exist_ok=True)

    async def files(self, subfolder: str = "") -> list[Listed]:
        """See ``Folder.files``."""
        return await self._run(self._files, subfolder)

    def _files(self, subfolder: str) -> list[Listed]:
        found = []
        try:
            with os.scandir(self._root / subfolder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # another engine took it meanwhile
                        if entry.is_file(follow_symlinks=False):
                            status = entry.stat(follow_symlinks=False)
                            found.append(Listed(entry.name, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            if not subfolder:
                raise
        return found

    async def take(self, file: Listed, target: str, most: int) -> bytes | None:
        """See ``Folder.take``."""
        return await self._run(self._take, file, target, most)

    def _take(self, file: Listed, target: str, most: int) -> bytes | None:
        path = self._root / target
        try:
            if file.name != target:
                (self._root / file.name).rename(path)
        except FileNotFoundError:
            return None
        lock = _lock(path)
        if lock is None:
            return None
        status = os.fstat(lock)
        if file.name != target and (status.st_size, status.st_mtime_ns) != (file.size, file.modified):
            path.rename(self._root / file.name)  # it is being written after all
            os.close(lock)
            return None
        self._locks[target] = lock
        if status.st_size > most:
            raise TooLarge
        with os.fdopen(lock, "rb", closefd=False) as opened:
            return opened.read()

    async def release(self, target: str) -> None:
        """See ``Folder.release``."""
        lock = self._locks.pop(target, None)
        if lock is not None:
            os.close(lock)

    async def move(self, source: str, target: str) -> None:
        """See ``Folder.move``."""
        await self._run(_rename, self._root / source, self._root / target)

    async def remove(self, name: str) -> None:
        """See ``Folder.remove``."""
        await self._run(self._remove, name)

    def _remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    async def read(self, name: str) -> bytes:
        """See ``Folder.read``."""
        return await self._run((self._root / name).read_bytes)

    async def put(self, name: str, body: bytes, *, replace: bool) -> None:
        """See ``Folder.put``."""
        await self._run(self._put, self._root / name, body, replace)

    def _put(self, path: Path, body: bytes, replace: bool) -> None:  # noqa: FBT001  # called by name only, above
        self._start(())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:  # not the file's name: a folder's
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        temporary = path.parent / f"{self._temporary}.{next(self._numbers)}.tmp"
        try:
            with temporary.open("wb") as opened:
                opened.write(body)
                opened.flush()
                os.fsync(opened.fileno())
            if replace:
                temporary.replace(path)
            else:
                _rename(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(path.parent)

    async def append(self, name: str, at: int, body: bytes) -> None:
        """See ``Folder.append``."""
        await self._run(self._append, self._root / name, at, body)

    def _append(self, path: Path, at: int, body: bytes) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        with os.fdopen(file, "wb") as opened:
            new = not os.fstat(file).st_size
            opened.truncate(at)
            opened.seek(at)
            opened.write(body)
            opened.flush()
            os.fsync(file)
        if new:
            _sync(path.parent)


def _lock(path: Path) -> int | None:
    """The file open and locked; None when another engine has it, or had it just now.

    Raises:
        Unreadable: it cannot be opened.
    """
    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreadable(error.errno, error.strerror) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    except OSError:  # a share without locks: the rename alone protects
        free = True
    with contextlib.suppress(FileNotFoundError):
        if free and path.stat().st_ino == os.fstat(lock).st_ino:
            return lock
    os.close(lock)
    return None


def _rename(source: Path, target: Path) -> None:
    """Rename, but never over another file; where links do not exist, as near to it as the system allows."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except FileNotFoundError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError from None
        source.rename(target)
    else:
        source.unlink()


def _sync(folder: Path) -> None:
    """Bring the names of a folder to disk; some shares cannot."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(file)
    finally:
        os.close(file)
