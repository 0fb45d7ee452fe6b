"""The ``dmp`` destination against a server that answers what a test says: published once, whatever happens."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import structlog
from structlog.testing import capture_logs

from channels.certificates import CertificateSettings
from channels.errors import ConfigError, MessageError, Refused, Undelivered
from channels.journal.keys import Hasher
from channels.message import Message
from channels.pfi_settings import PfiSettings
from channels.ports import Surroundings
from connectors.dmp.destination import DmpDestination
from connectors.dmp.lookup import DmpLookup
from connectors.dmp.settings import DmpDestinationSettings, DmpLookupSettings
from connectors.shared.submissions import Consent, Submissions, open_submissions
from tests.connectors.dmp_certificates import Health
from tests.connectors.dmp_server import DmpServer, fault, response
from tests.connectors.intake import SITE
from tests.connectors.test_dmp_signatures import verify_lot_signature
from tests.transforms.test_xds import INS, REPORT, submission
from transforms.submission import Document, Submission, encode

XOP = "{http://www.w3.org/2004/08/xop/include}Include"
PFI = PfiSettings.model_validate(
    {
        "organization": {"id": "1990000001", "name": "CH DE TESTVILLE"},
        "source_oid": "1.2.250.1.999999.7",
        "responsible": {"id": "801000000058", "family": "DURAND", "specialty": "SM03"},
        "product": {"approval": "REPETITION"},
        "reports": {"dmp": True},
    }
)


@dataclass
class Bench:
    server: DmpServer
    surroundings: Surroundings
    store: Submissions
    options: dict[str, Any]
    open: list[DmpDestination]

    async def destination(self, **changes: Any) -> DmpDestination:
        made = DmpDestination(DmpDestinationSettings.model_validate({**self.options, **changes}), self.surroundings)
        await made.start()
        self.open.append(made)
        return made

    async def asked(self, one: Submission, **changes: Any) -> Message:
        await self.store.register(one, known_parents_only=False)
        return Message(encode(one), "submission", **changes)


@pytest.fixture
async def bench(health: Health, tmp_path: Path) -> AsyncIterator[Bench]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(health.directory / "server.pem")
    context.load_verify_locations(health.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    server = DmpServer(context)
    await server.start()
    named = {
        name: CertificateSettings.model_validate({"file": health.directory / f"{name}.pem", "use": use})
        for name, use in (("auth", "client"), ("sign", "sign"))
    }
    site = SITE.model_copy(update={"certificates": named, "pfi": PFI})
    surroundings = Surroundings(site, tmp_path, "publication", "dmp", tmp_path, Hasher(b"k" * 32))
    options = {
        "repository": f"{server.url}/repository", "registry": f"{server.url}/registry",
        "patients": f"{server.url}/patients", "tls": "auth", "sign": "sign", "authorities": health.authority,
        "lookups": ["0s", "0s"], "timeouts": {"read": "300ms", "total": "2s"},
    }  # fmt: skip
    made = Bench(server, surroundings, open_submissions(surroundings), options, [])
    yield made
    for one in made.open:
        await one.aclose()
    await made.store.aclose()
    await server.stop()


def request(key: str = "k", **changes: Any) -> Submission:
    made = submission(to_dmp=True, wants_reception=True, **changes)
    return replace(made, request=replace(made.request, key=key, control_id=f"M{key}"))


def replacement() -> Submission:
    document = Document(REPORT, "1.2.3.2", "11502-2", replaces="1.2.3.1")
    return request("r", documents=(document,), action="replace")


async def acknowledged(bench: Bench) -> list[tuple[str, bool, str]]:
    return [(one.of, one.outcome.positive, one.outcome.code) for one in await bench.store.due()]


async def test_a_document_is_published_with_its_signature(bench: Bench, health: Health, tmp_path: Path) -> None:
    destination = await bench.destination()
    receipt = await destination.send(await bench.asked(request()))
    (lot,) = bench.server.lots
    documents = [unquote(one.get("href", ""))[4:] for one in lot.envelope.iter(XOP)]
    contents = [lot.parts[f"<{one}>"] for one in documents]
    assert contents[0] == REPORT
    assert b"action=" in lot.headers["content-type"].encode()
    (tmp_path / "signature.xml").write_bytes(contents[1])
    verify_lot_signature(tmp_path / "signature.xml", health)
    assert bench.server.entries["1.2.3.1"].digest == hashlib.sha1(REPORT).hexdigest()
    assert await acknowledged(bench) == [("Mk", True, "")]
    target, known = await bench.store.target("k", "dmp"), await bench.store.document("1.2.3.1")
    assert target is not None
    assert known is not None
    assert (target.state, target.reference, known.published) == ("done", receipt.reference, True)


async def test_without_mtom_documents_are_inside(bench: Bench) -> None:
    destination = await bench.destination(mtom=False)
    await destination.send(await bench.asked(request()))
    assert bench.server.lots[0].parts == {}


async def test_the_same_message_again_publishes_nothing_twice(bench: Bench) -> None:
    destination = await bench.destination()
    message = await bench.asked(request())
    assert (await destination.send(message)).reference == (await destination.send(message)).reference
    assert len(bench.server.lots) == 1
    assert len(await acknowledged(bench)) == 1


async def test_what_is_not_for_the_dmp_passes_by(bench: Bench) -> None:
    destination = await bench.destination()
    await destination.send(await bench.asked(replace(request(), to_dmp=False)))
    assert bench.server.requests == []


async def test_a_replacement_names_the_entry_as_it_is_now(bench: Bench) -> None:
    destination = await bench.destination()
    await destination.send(await bench.asked(request()))
    bench.server.entries["1.2.3.1"].id = "urn:uuid:changed"
    await destination.send(await bench.asked(replacement()))
    assert b'targetObject="urn:uuid:changed"' in bench.server.lots[1].body


async def test_a_deletion_goes_to_the_registry(bench: Bench) -> None:
    destination = await bench.destination()
    await destination.send(await bench.asked(request()))
    await destination.send(await bench.asked(request("d", action="delete")))
    assert bench.server.entries["1.2.3.1"].status.endswith("Deleted")
    assert len(bench.server.lots) == 1
    assert await acknowledged(bench) == [("Mk", True, ""), ("Md", True, "")]


async def test_a_version_that_is_not_there_is_refused(bench: Bench) -> None:
    destination = await bench.destination()
    with pytest.raises(Refused):
        await destination.send(await bench.asked(replacement()))
    assert await acknowledged(bench) == [("Mr", False, "900")]


Refusal = tuple[str, str]


@pytest.mark.parametrize(
    "answer, code",
    [
        (response("Failure", "DMPClosed"), "DMPClosed"),
        (response("Failure", "XDSUnknownPatientId"), "XDSUnknownPatientId"),
        (response("Failure", "XDSRegistryMetadataError"), "XDSRegistryMetadataError"),
        (response("Failure", "XDSRegistryDeprecatedDocumentError"), "900"),
        (response("Failure", "CodeOfTomorrow"), "CodeOfTomorrow"),
        (response("Failure", "DURAND marie"), "unknown"),
        (fault("Sender"), "Sender"),
        ((500, fault("Sender", "DMPClosed")), "DMPClosed"),
    ],
)
async def test_a_no_ends_the_request_and_is_told(bench: Bench, answer: Any, code: str) -> None:
    bench.server.registers = False
    bench.server.script.append(answer)
    destination = await bench.destination()
    with pytest.raises(Refused) as refusal:
        await destination.send(await bench.asked(request()))
    assert "marie" not in str(refusal.value)
    assert await acknowledged(bench) == [("Mk", False, code)]


@pytest.mark.parametrize(
    "answer",
    [
        response("Failure", "XDSRegistryBusy"),
        response("Failure", "XDSRepositoryError"),
        (503, b""),
        (502, b"<html/>"),
        (500, fault("Receiver")),
        (200, fault("Receiver")),
        (500, b""),
        (200, b"not SOAP"),
        (200, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'),
    ],
)
async def test_not_now_is_tried_again_and_ends_well(bench: Bench, answer: Any) -> None:
    bench.server.registers = False
    bench.server.script.append(answer)
    destination = await bench.destination()
    message = await bench.asked(request())
    with pytest.raises(Undelivered):
        await destination.send(message)
    assert await acknowledged(bench) == []
    for _ in range(4):
        try:
            await destination.send(message)
        except Undelivered:
            continue
        break
    assert await acknowledged(bench) == [("Mk", True, "")]


async def hang() -> None:
    await asyncio.sleep(1)


async def cut() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("silence", [hang, cut])
@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
async def test_an_unknown_outcome_is_looked_up_before_anything_is_sent_again(
    bench: Bench, silence: Callable[[], Any], *, registered: bool, restarted: bool
) -> None:
    bench.server.registers = registered
    bench.server.script.append(silence)
    destination = await bench.destination()
    message = await bench.asked(request())
    with pytest.raises(Undelivered):
        await destination.send(message)
    first = await bench.store.target("k", "dmp")
    assert first is not None
    assert first.state == "sending"
    if restarted:
        await bench.open.pop().aclose()
        destination = await bench.destination()
    for _ in range(5):
        try:
            receipt = await destination.send(message)
        except Undelivered:
            continue
        break
    else:
        pytest.fail("it never ends")
    assert len(bench.server.lots) == (1 if registered else 2)
    assert (receipt.reference == first.reference) is registered
    assert await acknowledged(bench) == [("Mk", True, "")]


async def test_a_document_that_is_there_already_is_a_success(bench: Bench) -> None:
    destination = await bench.destination()
    await destination.send(await bench.asked(request()))
    bench.server.script.append(response("Failure", "XDSDuplicateUniqueIdInRegistry"))
    await destination.send(await bench.asked(request("other")))
    assert await acknowledged(bench) == [("Mk", True, ""), ("Mother", True, "")]


async def test_another_content_under_the_same_identifier_is_held(bench: Bench) -> None:
    destination = await bench.destination()
    await destination.send(await bench.asked(request()))
    bench.server.entries["1.2.3.1"].digest = "0" * 40
    bench.server.script.append(response("Failure", "XDSDuplicateUniqueIdInRegistry"))
    with pytest.raises(Refused):
        await destination.send(await bench.asked(request("other")))


async def test_warnings_are_no_failure_and_partial_success_is_one(bench: Bench) -> None:
    destination = await bench.destination()
    bench.server.script.append(response("Success", "XDSExtraMetadataNotSaved", severity="Warning"))
    await destination.send(await bench.asked(request()))
    bench.server.script.append(response("PartialSuccess", "XDSRegistryMetadataError"))
    document = Document(REPORT, "1.2.3.9", "11502-2")
    with pytest.raises(Refused):
        await destination.send(await bench.asked(request("p", documents=(document,))))


@pytest.mark.parametrize(
    "consent, code",
    [
        (Consent(feeding="IO"), "PatientOpposed"),
        (Consent(dmp="FERME"), "DMPClosed"),
        (Consent(dmp="INEXISTANT"), "DMPNotExisting"),
    ],
)
async def test_what_the_patient_wants_is_honoured(bench: Bench, consent: Consent, code: str) -> None:
    await bench.store.remember((("1.2.250.1.213.1.4.10", INS),), consent, 1.0)
    destination = await bench.destination()
    with pytest.raises(Refused):
        await destination.send(await bench.asked(request()))
    assert bench.server.requests == []
    assert await acknowledged(bench) == [("Mk", False, code)]


async def test_a_patient_who_was_not_informed_is_fed_or_not_as_the_site_says(bench: Bench) -> None:
    strict = await bench.destination(not_informed="refuse")
    with pytest.raises(Refused):
        await strict.send(await bench.asked(request()))
    await (await bench.destination()).send(await bench.asked(request("b")))


@pytest.mark.parametrize("record, code", [("none", "DMPNotExisting"), ("closed", "DMPClosed")])
async def test_the_existence_test_stops_what_would_be_refused(bench: Bench, record: str, code: str) -> None:
    bench.server.record = record
    destination = await bench.destination()
    with pytest.raises(Refused):
        await destination.send(await bench.asked(request()))
    assert bench.server.lots == []
    assert await acknowledged(bench) == [("Mk", False, code)]


async def test_an_active_record_is_not_asked_for_again(bench: Bench) -> None:
    destination = await bench.destination()
    for key in ("a", "b"):
        document = Document(REPORT, f"1.2.3.{ord(key)}", "11502-2")
        await destination.send(await bench.asked(request(key, documents=(document,))))
    assert [one.path for one in bench.server.requests].count("/patients") == 1


@pytest.mark.parametrize("change", [{"ins": ""}, {"ins": "279035121518988"}, {"ins_oid": "1.2.250.1.213.1.4.8"}])
async def test_without_a_qualified_ins_nothing_leaves(bench: Bench, change: dict[str, str]) -> None:
    destination = await bench.destination()
    made = request()
    with pytest.raises(Refused):
        await destination.send(await bench.asked(replace(made, patient=replace(made.patient, **change))))
    assert bench.server.requests == []


async def test_raised_confidentiality_is_not_shared_unless_the_site_says_so(bench: Bench) -> None:
    raised = REPORT.replace(b'<confidentialityCode code="N"', b'<confidentialityCode code="R"')
    document = Document(raised, "1.2.3.1", "11502-2")
    destination = await bench.destination()
    with pytest.raises(Refused):
        await destination.send(await bench.asked(request(documents=(document,))))
    document = Document(raised, "1.2.3.8", "11502-2")
    await (await bench.destination(confidentiality=["R"])).send(await bench.asked(request("r", documents=(document,))))


async def test_a_document_without_what_the_registry_needs_is_refused_with_its_place(bench: Bench) -> None:
    document = Document(REPORT.replace(b'code="11502-2"', b'code="9"', 1), "1.2.3.1", "11502-2")
    destination = await bench.destination()
    with pytest.raises(MessageError) as refusal:
        await destination.send(await bench.asked(request(documents=(document,))))
    assert refusal.value.place == "/ClinicalDocument/code"
    assert await acknowledged(bench) == [("Mk", False, "906")]


async def test_a_certificate_of_another_structure_stops_the_start(bench: Bench) -> None:
    other = PFI.model_copy(update={"organization": PFI.organization.model_copy(update={"id": "1990000099"})})
    site = bench.surroundings.site.model_copy(update={"pfi": other})
    bench.surroundings = replace(bench.surroundings, site=site)
    with pytest.raises(ConfigError, match="structure"):
        await bench.destination()
    await bench.destination(check_structure=False)


async def test_without_a_connection_the_message_waits(bench: Bench) -> None:
    destination = await bench.destination()
    message = await bench.asked(request())
    await bench.server.stop()
    with pytest.raises(Undelivered):
        await destination.send(message)
    target = await bench.store.target("k", "dmp")
    assert target is not None
    assert target.state == "waiting"


async def test_no_name_number_or_content_is_logged(bench: Bench) -> None:
    structlog.configure(cache_logger_on_first_use=False)
    bench.server.script.extend([response("Failure", "XDSRegistryBusy"), response("Failure", "DURAND")])
    destination = await bench.destination()
    message = await bench.asked(request())
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises((Undelivered, Refused)) as error:
                await destination.send(message)
            assert not any(one in str(error.value) for one in (INS, "FICTIVE", "RUTH"))
    assert logs
    assert not any(one in str(logs) for one in (INS, "FICTIVE", "RUTH", "CRP"))


async def test_the_lookup_says_what_the_dmp_has(bench: Bench) -> None:
    await (await bench.destination()).send(await bench.asked(request()))
    keys = ("registry", "patients", "tls", "sign", "authorities")
    options = DmpLookupSettings.model_validate({key: bench.options[key] for key in keys})
    lookup = DmpLookup(options, bench.surroundings)
    await lookup.start()
    message = Message(encode(request()), "submission")
    context: Any = None
    said = (await lookup.ask(message, context)).attributes
    assert (said["dmp_record"], said["dmp_documents"]) == ("active", "current")
    bench.server.entries.clear()
    assert (await lookup.ask(message, context)).attributes["dmp_documents"] == "missing"
    await lookup.aclose()
