"""Apache PDFBox Preflight: whether a PDF is PDF/A-1b, said by a program that shares nothing with ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.parts import require

_FOLDER = Path("/usr/share/java")
_JARS = {
    "libpdfbox2-java": ("preflight", "pdfbox2", "xmpbox"),
    "libfontbox2-java": ("fontbox2",),
    "libcommons-logging-java": ("commons-logging",),
    "libcommons-io-java": ("commons-io",),
    "libactivation-java": ("javax.activation",),
    "libjaxb-api-java": ("jaxb-api",),
}


def preflight(path: Path) -> list[str]:
    """What is wrong with a PDF as PDF/A-1b; without Java the test is skipped, and fails where CI is set."""
    java = require("java", "default-jre-headless")
    missing = {package for package, names in _JARS.items() for name in names if not (_FOLDER / f"{name}.jar").is_file()}
    if missing:
        said = f"not installed: apt-get install {' '.join(sorted(missing))}"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    jars = ":".join(str(_FOLDER / f"{name}.jar") for names in _JARS.values() for name in names)
    done = subprocess.run(
        [java, "-Xmx256m", "-cp", jars, "org.apache.pdfbox.preflight.Validator_A1b", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.strip()
    if done.returncode == 0 and "is a valid PDF/A-1b file" in said:
        return []
    faults = said.splitlines()[1:]
    assert faults, done.stderr[-2000:]
    return faults
