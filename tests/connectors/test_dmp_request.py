"""The request that publishes, as it leaves: its bytes, its schema, its signatures."""

import base64
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from channels.certificates import CertificateSettings
from channels.ports import Surroundings
from connectors.dmp.lots import Lots, Ready
from connectors.dmp.mtom import Multipart
from connectors.dmp.service import Dmp
from connectors.dmp.settings import DmpDestinationSettings
from connectors.dmp.xml import SOAP, XDS, XOP
from tests.connectors.dmp_certificates import Health
from tests.connectors.intake import SITE
from tests.connectors.test_dmp_destination import PFI, request
from tests.connectors.test_dmp_signatures import verify_assertion
from tests.transforms.test_xds import REPORT
from transforms.submission import Document, Submission

GOLDEN = Path(__file__).parent / "golden" / "dmp_request.xml"
AT = datetime(2026, 11, 25, 8, 15, 30, tzinfo=UTC)
PLACE = "https://dmp.example.test/v2/services"
BODIES = {"{http://www.w3.org/2000/09/xmldsig#}" + one for one in ("DigestValue", "SignatureValue", "X509Certificate")}


@pytest.fixture
def dmp(health: Health, tmp_path: Path) -> tuple[DmpDestinationSettings, Dmp]:
    options = DmpDestinationSettings.model_validate(
        {"repository": f"{PLACE}/repository", "registry": f"{PLACE}/registry", "sign": "sign"}
    )
    sign = CertificateSettings.model_validate({"file": health.directory / "sign.pem", "use": "sign"})
    site = SITE.model_copy(update={"certificates": {"sign": sign}, "pfi": PFI})
    return options, Dmp(options, Surroundings(site, tmp_path, "publication", "dmp"))


def written(dmp: tuple[DmpDestinationSettings, Dmp], one: Submission, entries: dict[str, str]) -> tuple[Ready, bytes]:
    """The call, and its envelope."""
    options, service = dmp
    ready = Lots(options, service).ready(one, entries)
    said = service.identity.assertion(one, "_7d9a0d5e-0000-0000-0000-000000000000", AT)
    multipart, content = service._written(ready.call, said, "4b0f2a3e-0000-0000-0000-000000000000")
    return ready, content if multipart is None else multipart._pieces[1]


def steady(envelope: bytes) -> str:
    """The envelope, indented, without what differs each time: numbers of lots, times, digests, signatures."""
    root = etree.fromstring(envelope, etree.XMLParser(remove_blank_text=True))
    for element in root.iter(etree.Element):
        if element.tag in BODIES:
            element.text = "..."
    etree.indent(root)
    text = etree.tostring(root, encoding="unicode") + "\n"
    text = re.sub(r"1\.2\.250\.1\.999999\.7\.([34])\.\d+\.\d+", r"1.2.250.1.999999.7.\1.N", text)
    return re.sub(r"(?<=<rim:Value>)\d{14}(?=<)", lambda found: "NOW" if _is_now(found[0]) else found[0], text)


def _is_now(stamp: str) -> bool:
    at = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return abs(datetime.now(UTC) - at) < timedelta(minutes=10)


def test_the_request_is_the_one_that_was_looked_at(dmp: tuple[DmpDestinationSettings, Dmp]) -> None:
    _, envelope = written(dmp, request(), {})
    signature_size = r'(<rim:Slot name="(?:hash|size)">\s*<rim:ValueList>\s*<rim:Value>)[^<]+'
    text = re.sub(signature_size, r"\1...", steady(envelope))
    assert text == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize("count", [1, 2])
def test_the_body_fits_the_schema_of_ihe(dmp: tuple[DmpDestinationSettings, Dmp], shared: Path, count: int) -> None:
    schema = etree.XMLSchema(etree.parse(shared / "ihe" / "xsd" / "IHE" / "IHEXDSB.xsd"))
    documents = tuple(Document(REPORT, f"1.2.3.{number}", "11502-2", replaces="1.2.9") for number in range(count))
    one = request(documents=documents, action="replace")
    ready, envelope = written(dmp, one, {"1.2.9": "urn:uuid:0f5d3e5c-6a3b-4d5e-9d8e-2c1b7a9f4e10"})
    body = etree.fromstring(envelope).find(f"{{{SOAP}}}Body")
    assert body is not None
    contents = {part.content_id: part.content for part in ready.call.parts}
    included = [(one, one.getparent()) for one in body.iter(f"{{{XOP}}}Include")]
    assert len(included) == count + 1
    for include, document in included:
        assert document is not None
        content = contents[str(include.get("href")).removeprefix("cid:")]
        document.remove(include)
        document.text = base64.b64encode(content).decode()
    schema.assertValid(body[0])
    names = [one.get("id") for one in body.iter(f"{{{XDS}}}Document")]
    assert names == [*(f"Document{number:02}" for number in range(1, count + 1)), "Signature01"]


def test_a_deletion_fits_the_schema(dmp: tuple[DmpDestinationSettings, Dmp], shared: Path) -> None:
    schema = etree.XMLSchema(etree.parse(shared / "ihe" / "xsd" / "ebRS30" / "lcm.xsd"))
    ready, envelope = written(dmp, request(action="delete"), {"1.2.3.1": "urn:uuid:1"})
    body = etree.fromstring(envelope).find(f"{{{SOAP}}}Body")
    assert body is not None
    schema.assertValid(body[0])
    assert (ready.call.service, ready.call.parts) == ("registry", ())


def test_xmlsec1_verifies_the_assertion_in_the_whole_request(
    dmp: tuple[DmpDestinationSettings, Dmp], health: Health, tmp_path: Path
) -> None:
    _, envelope = written(dmp, request(), {})
    (tmp_path / "request.xml").write_bytes(envelope)
    verify_assertion(tmp_path / "request.xml", health)


def test_two_lots_never_have_the_same_number(dmp: tuple[DmpDestinationSettings, Dmp]) -> None:
    lots = [written(dmp, request(), {})[0].lot for _ in range(20)]
    assert len(set(lots)) == 20
    assert all(len(one) <= 64 for one in lots)


def test_a_document_of_ten_megabytes_leaves_uncopied(
    dmp: tuple[DmpDestinationSettings, Dmp], record_property: Callable[[str, object], None]
) -> None:
    """What Python holds of it at once, besides the document itself: lxml's own tree is measured in bench/dmp.py."""
    comment = b"<!--" + b"x" * 10_000_000 + b"-->"
    document = Document(REPORT + comment, "1.2.3.1", "11502-2")
    one = replace(request(), documents=(document,))
    tracemalloc.start()
    ready, _ = written(dmp, one, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ready.call.parts[0].content is document.content
    record_property("peak_megabytes_besides_the_document", round(peak / 1e6, 1))
    assert Multipart(b"", ready.call.parts, action="a").length > 10_000_000
