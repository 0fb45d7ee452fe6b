"""A laboratory for tests: its site, its messages (edited one field at a time), and the official validator."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.errors import UnknownNameError
from channels.message import Message
from channels.ports import Context, Tables
from channels.site import Site
from transforms import er7
from transforms.report import Attachment

MESSAGES = Path(__file__).resolve().parent.parent / "messages"
ANNE = {
    "rpps": "01000000058",
    "family": "DURAND",
    "given": "Anne",
    "civility": "MME",
    "title": "DR",
    "profession": "G15_10/SM03",
    "aliases": ["AD"],
}
LABORATORY: dict[str, Any] = {
    "finess": "990000009",
    "name": "Laboratoire de biologie médicale de Testville",
    "address": ["1 rue des Essais", "75013 TESTVILLE"],
    "telecom": "0140000000",
    "aliases": ["LBM1"],
    "director": ANNE,
    "profession": "G15_10/SM03",
    "accreditation": "8-0000",
    "subcontractors": [
        {
            "finess": "690000007",
            "name": "Laboratoire X & Fils",
            "address": ["2 quai des Analyses", "69000 ESSAIVILLE"],
            "telecom": "0470000000",
            "aliases": ["LABX"],
            "director": {**ANNE, "rpps": "01000000066", "family": "D'AUTRE", "given": "Jo", "profession": "G15_21/G"},
        }
    ],
    "oids": {
        "patient": "1.2.250.1.999999.2.1",
        "visit": "1.2.250.1.999999.2.2",
        "placer_order": "1.2.250.1.999999.2.3",
        "filler_order": "1.2.250.1.999999.2.4",
        "specimen": "1.2.250.1.999999.2.5",
        "local_codes": "1.2.250.1.999999.2.6",
    },
}
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\nxref\n0 4\n0000000000 65535 f \n"
    b"0000000009 00000 n \n0000000054 00000 n \n0000000105 00000 n \ntrailer<</Size 4/Root 1 0 R>>\n"
    b"startxref\n173\n%%EOF\n"
)
COPY = (Attachment("application/pdf", base64.b64encode(PDF).decode()),)


def context(domain: str = "test", tables: dict[str, Tables] | None = None, **laboratory: Any) -> Context:
    """A context whose laboratory has these settings changed; None removes one."""
    settings = {key: value for key, value in (LABORATORY | laboratory).items() if value is not None}
    site = Site.model_validate(
        {
            "site": "essai",
            "establishment": {"name": "CH de Testville", "finess": "990000001"},
            "ins_domain": domain,
            "laboratory": settings,
        }
    )

    def table(name: str) -> Tables:
        if tables is None or name not in tables:
            raise UnknownNameError(name)
        return tables[name]

    return Context(site, "essai", datetime(2026, 3, 10, 12, tzinfo=UTC), table)


def fixture(name: str) -> Message:
    """A message of ``tests/messages``."""
    return er7.message((MESSAGES / f"{name}.hl7").read_bytes())


def edited(name: str, *changes: tuple[str, int, str]) -> Message:
    """The same with raw fields replaced: (``OBX[2]``, 5, ``12``); field 0 is the whole segment, ``""`` removes it."""
    lines = (MESSAGES / f"{name}.hl7").read_bytes().decode().rstrip("\r").split("\r")
    for place, number, raw in changes:
        index = _index(lines, place)
        if number == 0:
            lines[index] = raw
            continue
        fields = lines[index].split("|")
        fields += [""] * (number + 1 - len(fields))
        fields[number - 1 if place.startswith("MSH") else number] = raw
        lines[index] = "|".join(fields)
    return er7.message(("\r".join(line for line in lines if line) + "\r").encode())


def _index(lines: list[str], place: str) -> int:
    segment, _, which = place.rstrip("]").partition("[")
    found = [number for number, line in enumerate(lines) if line.startswith(segment)]
    return found[int(which or 1) - 1]


Validate = Callable[[dict[str, bytes]], list[str]]


def validator(shared: Path, folder: Path) -> Validate:
    """The official rules, all layers and ``--strict``: gives what is wrong, ``name: layer: message``."""
    pytest.importorskip("saxonche")
    tool = shared / "tools" / "cda-validate"
    if not tool.is_file():
        pytest.skip("no validator beside the checkout")

    def validate(documents: dict[str, bytes]) -> list[str]:
        paths = []
        for name, body in documents.items():
            path = folder / f"{name}.xml"
            path.write_bytes(body)
            paths.append(str(path))
        pack = str(shared / "ans" / "cda-pack")
        command = [sys.executable, str(tool), "--pack", pack, "--strict", "--format", "json", *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr[-2000:]
        found = json.loads(done.stdout)
        reports = found if isinstance(found, list) else found.get("documents", found)
        assert len(reports) == len(documents)
        return [
            f"{Path(one['file']).stem}: {fault.get('layer')}: {fault}"
            for one in reports
            for fault in one["failures"]
            if fault.get("level") == "error"
        ]

    return validate
