"""Microseconds per HL7 v2 message: our reader and editor beside python-hl7 and hl7apy.

    python bench/er7.py

Three messages: an admission of 1 kB, a laboratory report of 20 results, the same with a document of 300 kB. Each figure
is the least CPU time of several runs, in one process; readers are timed in turn.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import hl7
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from channels.ports import Outcome
from transforms import er7
from transforms.ack import acknowledge, read_ack
from transforms.hl7v2 import FORMAT
from transforms.tolerance import Inspector

ADT = (
    "MSH|^~\\&|GAP|CH-TEST|PFI|CH-TEST|20260310083015||ADT^A01^ADT_A01|GAP000101|P|2.5^FRA^2.11"
    "|||||FRA|UNICODE UTF-8|FR||2.11^IHE_FRANCE-2.11-PAM\r"
    "EVN||20260310083015||||20260310083000\r"
    "PID|1||700123^^^CH-TEST&990000001&M^PI~290067505600227^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS"
    "||MODELE^ALIX^ALIX LOU^^Mme^^L||19900615|F|||4 rue des Essais^^TESTVILLE^^75013^FRA^H~^^^^^^BDL^^75056"
    "||^PRN^CP^^^^^^^^^0600000000|||||A26000045^^^CH-TEST&990000001&M^AN||||||||||||||VALI\r"
    "PV1|1|I|3120^12^1^CH-TEST&990000001&M^O|R|||801000000017^MEDICO^CAMILLE^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO"
    "^D^^^IDNPS|||312|||||||||V26000045^^^CH-TEST&990000001&M^VN||03|||||||||||||||||||||||20260310083000|||||||V\r"
    "ZBE|M0001^GAP|20260310083000||INSERT|N||NEPHRO^^^^^CH-TEST^UF^^^3120|NEPHRO^^^^^CH-TEST^UF^^^3120|HMS\r"
    "ZFA|ACTIF|20260310083000|||||||INO|20260310083000|IC|20260310083000\r"
    "ZFD|||N|N|INSI|20260310082500|CN|20310101\r"
)
ORU = (
    "\r".join(line for line in ADT.split("\r") if line.startswith(("MSH", "PID", "PV1")))
    .replace("ADT^A01^ADT_A01", "ORU^R01^ORU_R01")
    + "\rORC|RE|DPI-77^DPI|LAB-900^SGL\r"
    + "OBR|1|DPI-77^DPI|LAB-900^SGL|58410-2^Hémogramme^LN|||20260310071500" + "|" * 18 + "F\r"
    + "".join(
        f"OBX|{number}|NM|718-7^Hémoglobine^LN^HB^Hémoglobine^L||13.{number}|g/dL^gramme par décilitre^UCUM|12-16|N|||F"
        f"|||20260310071500||801000000017^MEDICO^CAMILLE|AUTOMATE\r"
        for number in range(1, 21)
    )
)  # fmt: skip
LARGE = ORU + "OBX|21|ED|PDF^Compte rendu^L||SGL^application^pdf^Base64^" + "QUJD" * 75_000 + "||||||F\r"

SIX = ("MSH-9.1", "PID-3.1", "PV1-2", "PV1-3.1", "PID-32", "ZBE-4")


def _six(body: bytes) -> list[str]:
    parsed = er7.parse(body, "utf-8")
    return [parsed.get(place) for place in SIX]


def _edit(body: bytes) -> bytes:
    parsed = er7.parse(body, "utf-8")
    parsed.set("PV1-3.1", "9999")
    parsed.set("PID-32", "PROV")
    parsed.set("MSH-5", "SGL")
    return parsed.encode()


def _python_hl7_six(text: str) -> list[str]:
    parsed = hl7.parse(text)
    return [str(parsed.extract_field("PID", field_num=number)) for number in (3, 5, 7, 8)] + [
        str(parsed.extract_field("PV1", field_num=number)) for number in (2, 3)
    ]


def _python_hl7_edit(text: str) -> str:
    parsed = hl7.parse(text)
    parsed.assign_field("9999", "PV1", 1, 3, 1, 1)
    parsed.assign_field("PROV", "PID", 1, 32)
    parsed.assign_field("SGL", "MSH", 1, 5)
    return str(parsed)


def _hl7apy(text: str) -> object:
    return parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT)


def _ours(text: str) -> dict[str, Callable[[], object]]:
    """Our operations on one message."""
    body = text.encode()
    message = FORMAT.message(body, 0.0)
    header, outcome = message.view(er7.header_of), Outcome(1234567, received=1773140415.25)
    answer = acknowledge(header, outcome)
    wire, full = Inspector({}, {}), Inspector({}, {}, full=True)
    return {
        "read the header": lambda: er7.peek(body),
        "make the message": lambda: FORMAT.message(body, 0.0),
        "lanes and identifiers": lambda: FORMAT.index(FORMAT.message(body, 0.0), ("patient",)),
        "look for defects of syntax": lambda: wire.findings(message, header),
        "look for all defects": lambda: full.findings(message, header),
        "write the acknowledgement": lambda: acknowledge(header, outcome),
        "read an acknowledgement": lambda: read_ack(answer),
        "parse": lambda: er7.parse(body, "utf-8").segments,
        "read six values": lambda: _six(body),
        "write three values": lambda: _edit(body),
    }


def _others(text: str) -> dict[tuple[str, str], Callable[[], object]]:
    return {
        ("python-hl7", "parse"): lambda: hl7.parse(text),
        ("python-hl7", "read six values"): lambda: _python_hl7_six(text),
        ("python-hl7", "write three values"): lambda: _python_hl7_edit(text),
        ("hl7apy", "parse"): lambda: _hl7apy(text),
    }


def measure(seconds: float = 0.15) -> list[dict[str, object]]:
    """A row an operation: reader, operation, µs for each of the three messages, and how many times ours.

    seconds: CPU time given to each figure.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for text in (ADT, ORU, LARGE):
        ours = {("vaguemestre", name): run for name, run in _ours(text).items()}
        for name, run in (ours | _others(text)).items():
            found.setdefault(name, []).append(_microseconds(run, seconds))
    rows: list[dict[str, object]] = []
    for (reader, operation), figures in found.items():
        own = found["vaguemestre", operation]
        row: dict[str, object] = {"reader": reader, "operation": operation}
        row |= {name: round(one, 1) for name, one in zip(("ADT 1 kB", "ORU 4 kB", "ORU 300 kB"), figures, strict=True)}
        row["times ours (ADT)"] = round(figures[0] / own[0], 1)
        rows.append(row)
    return rows


def _microseconds(run: Callable[[], object], seconds: float) -> float:
    """The least CPU time of one call, over groups of calls that fill ``seconds``."""
    begun = time.process_time()
    run()
    once = max(time.process_time() - begun, 1e-6)
    count = max(1, min(2000, int(seconds / 10 / once)))
    best, spent = float("inf"), 0.0
    while spent < seconds:
        begun = time.process_time()
        for _ in range(count):
            run()
        took = time.process_time() - begun
        best, spent = min(best, took / count), spent + took
    return best * 1e6


if __name__ == "__main__":
    json.dump({"date": datetime.now(UTC).isoformat(), "rows": measure()}, sys.stdout, ensure_ascii=False, indent=1)
    print()
