"""Requests through a whole engine: business software hands in documents, and knows at once what is refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from channels.journal import MasterKeys
from channels.loader import load_site
from channels.supervisor import Supervisor
from tests.connectors.mllp_peers import Sender
from tests.scenarios.conftest import free_port
from tests.transforms.laboratory import MESSAGES
from tests.transforms.pfi_requests import BEFORE, Ask, Cda
from transforms import er7
from transforms.submission import Submission, decode

EXAMPLE = Path(__file__).resolve().parents[2] / "vaguemestre" / "example" / "site.yaml"
CHANNEL = """
channel: {name}
source:
  mllp: {{listen: "127.0.0.1:{port}", warnings: true}}
ack: transformed
transform: {steps}
destinations:
  - name: archive
    file: {{directory: out/{name}, name: "{{control_id}}.json"}}
"""
PFI = """
pfi:
  organization: {id: "1990000002", name: CH}
  source_oid: 1.2.250.1.999999.9
  responsible: {id: "801000000057", family: DURAND}
  reports: {dmp: true, others: [archives@ch-test.mssante.fr]}
"""
FIRST = Ask(control_id="A1", unique_id=BEFORE, documents=(Cda(unique_id=f'root="{BEFORE}"').bytes(),))
SECOND = Ask(control_id="A2", action="replace", documents=(Cda(replaces=f'root="{BEFORE}"').bytes(),))


class Site:
    """An engine with the channels ``pfi`` and ``results``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warned: list[str] = []
        """ERR-2 of the warnings of the last answer."""
        self.ports = {name: free_port() for name in ("pfi", "results", "direct")}

    async def send(self, channel: str, body: bytes) -> tuple[str, str, str]:
        """MSA-1, ERR-3.1 and ERR-5.1 of the answer."""
        async with await Sender.connect(self.ports[channel]) as sender:
            await sender.write(b"\x0b" + body + b"\x1c\r")
            parsed = er7.parse(await sender.answer())
        own = next((one for one in parsed.all("ERR") if one.get("4") == "E"), None)
        self.warned = [one.get("2").replace("^", " ") for one in parsed.all("ERR") if one.get("4") == "W"]
        return parsed.get("MSA-1"), own.get("3.1") if own else "", own.get("5.1") if own else ""

    async def submission(self, channel: str, control_id: str) -> Submission:
        file = self.folder / "out" / channel / f"{control_id}.json"
        while not file.exists():
            await asyncio.sleep(0.01)
        return decode(file.read_bytes())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    (tmp_path / "channels").mkdir()
    text = EXAMPLE.read_text("utf-8").replace("var/keys/master.key", "master.key")
    (tmp_path / "site.yaml").write_text("\n".join(one for one in text.splitlines() if not one.startswith("web:")) + PFI)
    (tmp_path / "master.key").write_text(MasterKeys.new_line("k1"))
    (tmp_path / "master.key").chmod(0o600)
    steps: dict[str, list[Any]] = {
        "pfi": ["pfi.request", "pfi.register"],
        "direct": ["pfi.from_report", "pfi.register"],
        "results": ["cda.cr_bio", "pfi.from_report", "pfi.register"],
    }
    for name, names in steps.items():
        channel = CHANNEL.format(name=name, port=made.ports[name], steps=f"[{', '.join(names)}]")
        (tmp_path / "channels" / f"{name}.yaml").write_text(channel)
        (tmp_path / "out" / name).mkdir(parents=True)
    engine = Supervisor(load_site(tmp_path))
    await engine.start()
    try:
        yield made
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await engine.stop()


async def test_a_document_is_taken_then_replaced_and_an_older_version_is_refused(site: Site) -> None:
    assert await site.send("pfi", SECOND.bytes()) == ("AE", "207", "900")
    assert await site.send("pfi", FIRST.bytes()) == ("AA", "", "")
    again = SECOND.with_(control_id="A3")
    assert await site.send("pfi", again.bytes()) == ("AA", "", "")
    assert await site.send("pfi", again.with_(control_id="A4").bytes()) == ("AA", "", "")
    assert (await site.submission("pfi", "A3")).action == "replace"
    damaged = FIRST.with_(control_id="A5", documents=(b"<ClinicalDocument",))
    assert await site.send("pfi", damaged.bytes()) == ("AE", "102", "")
    other = FIRST.with_(control_id="A6", documents=(Cda(patient_ids='<id root="1.2" extension="3"/>').bytes(),))
    assert await site.send("pfi", other.bytes()) == ("AE", "207", "903")


async def test_what_is_noticed_reaches_the_sender(site: Site) -> None:
    nowhere = FIRST.with_(control_id="B1", flags={})
    assert await site.send("pfi", nowhere.bytes()) == ("AA", "", "")
    assert site.warned == ["PRT 2", "OBX 1"]
    assert await site.send("pfi", nowhere.bytes()) == ("AA", "", "")  # a resend is told the same
    assert site.warned == ["PRT 2", "OBX 1"]


async def test_plain_results_become_a_request(site: Site) -> None:
    body = (MESSAGES / "oru_crp.hl7").read_bytes()
    assert (await site.send("results", body))[0] == "AA"
    made = await site.submission("results", er7.peek(body).control_id)
    assert (made.to_dmp, [one.address for one in made.recipients]) == (True, ["archives@ch-test.mssante.fr"])
    assert made.request.sending_application == er7.peek(body).component(3)
    corrected = body.replace(b"||||||F|", b"||||||C|").replace(er7.peek(body).control_id.encode(), b"CORRECTED1")
    assert (await site.send("results", corrected))[0] == "AA"
    again = await site.submission("results", "CORRECTED1")
    assert (again.action, again.documents[0].replaces) == ("replace", made.documents[0].unique_id)


async def test_a_withdrawn_report_is_deleted_and_the_next_one_is_new(site: Site) -> None:
    body = (MESSAGES / "oru_crp.hl7").read_bytes()
    own = er7.peek(body).control_id.encode()
    assert (await site.send("direct", body))[0] == "AA"
    first = await site.submission("direct", own.decode())
    withdrawn = body.replace(b"|||F|", b"|||D|").replace(own, b"WITHDRAWN1")
    assert withdrawn.count(b"|||D|") == 1
    assert (await site.send("direct", withdrawn))[0] == "AA"
    deletion = await site.submission("direct", "WITHDRAWN1")
    assert (deletion.action, deletion.documents[0].unique_id) == ("delete", first.documents[0].unique_id)
    again = body.replace(own, b"AGAIN1")
    assert (await site.send("direct", again))[0] == "AA"
    assert (await site.submission("direct", "AGAIN1")).action == "create"
