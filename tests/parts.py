"""The real programs that some tests need: a broker, an SSH server."""

import os
import shutil

import pytest

# Servers live where an ordinary user's PATH does not look.
_FOLDERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/lib/openssh"])


def require(program: str, package: str) -> str:
    """Path of a program of a Debian package; without it the test is skipped, and fails where CI is set."""
    path = shutil.which(program, path=_FOLDERS)
    if path is not None:
        return path
    missing = f"{program} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
