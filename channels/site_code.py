"""The site's own functions: ``transforms/*.py``, loaded by path and never in the way of another module's name.

The files are the modules of one package whose name nothing else can have; one may use another with
``from .helpers import clean``. The same text is loaded once; changed text is a new package beside the old one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import TracebackType
from typing import Any

from channels.errors import ChannelFileError, MessageError, UnknownNameError, VaguemestreError, WorkerError
from channels.registry import suggestion


class SiteCode:
    """The functions that channels may name ``module.function``."""

    def __init__(self, directory: Path) -> None:
        """directory: the site's ``transforms`` folder; it need not exist."""
        self.faults: list[ChannelFileError] = []
        self._functions: dict[str, Callable[..., Any]] = {}
        self._modules: set[str] = set()
        files = sorted(directory.glob("*.py"))
        digest = hashlib.sha256(str(directory).encode())
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        self.digest = digest.hexdigest() if files else ""
        if files:
            package = _package(f"vaguemestre_site_{self.digest[:20]}", directory)
            before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a site's folder is its owner's
            for file in files:
                self._load(package, file)
            sys.dont_write_bytecode = before

    def _load(self, package: str, file: Path) -> None:
        self._modules.add(file.stem)
        where = f"transforms/{file.name}"
        if not file.stem.isidentifier():
            self.faults.append(ChannelFileError(where, 1, 1, "the name of the file is not a Python name"))
            return
        with _LoadingSiteCode(self, where, file):
            module = importlib.import_module(f"{package}.{file.stem}")
            for name, value in vars(module).items():
                if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__:
                    self._functions[f"{file.stem}.{name}"] = value

    def names(self) -> list[str]:
        """All ``module.function`` names."""
        return sorted(self._functions)

    def has_module(self, name: str) -> bool:
        """True when ``name`` begins with one of the site's modules."""
        return name.partition(".")[0] in self._modules

    def find(self, name: str) -> Callable[..., Any]:
        """The function. Raises UnknownNameError with the nearest name."""
        if name not in self._functions:
            raise UnknownNameError(f"the site has no function {name!r}{suggestion(name, self._functions)}")
        return self._functions[name]


def _package(name: str, directory: Path) -> str:
    if name not in sys.modules:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(directory)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
        importlib.invalidate_caches()
    return name


class _LoadingSiteCode:
    """What a file of the site raises when it is loaded, whatever it is, becomes a fault at its line."""

    def __init__(self, owner: SiteCode, where: str, file: Path) -> None:
        self._owner, self._where, self._file = owner, where, file

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        line, column = 1, 1
        problem = f"the file cannot be loaded: {type(error).__name__}"
        if isinstance(error, SyntaxError) and error.filename == str(self._file):
            line, column = error.lineno or 1, max(error.offset or 1, 1)
            problem = f"not Python: {error.msg}"
        else:
            while trace is not None:
                if trace.tb_frame.f_code.co_filename == str(self._file):
                    line = trace.tb_lineno
                trace = trace.tb_next
            if isinstance(error, ImportError):
                problem += f" ({error.msg})"
        self._owner.faults.append(ChannelFileError(self._where, line, column, problem))
        return True


class Guard:
    """What a transform raises that is no error of ours becomes a MessageError with the name of the step alone."""

    def __init__(self, step: str) -> None:
        """step: the name of the transform."""
        self._step = step

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, MemoryError):  # the machine's fault, not the message's
            raise WorkerError(f"the step {self._step!r} had not enough memory") from error
        if isinstance(error, Exception) and not isinstance(error, VaguemestreError):
            raise MessageError(f"the step {self._step!r} failed: {type(error).__name__}", "", "207") from error
