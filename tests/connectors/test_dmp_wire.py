"""Envelopes, MTOM and answers of the DMP, as bytes."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from channels.errors import ConfigError
from connectors.dmp.answers import Answer, Found, read_answer, read_found
from connectors.dmp.errors import error_table
from connectors.dmp.existence import Question, existence_request, read_existence
from connectors.dmp.mtom import Multipart, Part, envelope_of
from connectors.dmp.query import get_documents
from connectors.dmp.soap import Broken, Fault, body_of, envelope
from connectors.dmp.xml import HL7, SOAP

REGRESP = (
    '<rs:RegistryResponse xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" '
    'status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:{status}">{errors}</rs:RegistryResponse>'
)
ERROR = '<rs:RegistryError errorCode="{}" codeContext="DUPONT" location="" severity="urn:oasis:{}"/>'


def soap(body: str) -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Header/><s:Body>{body}</s:Body></s:Envelope>'.encode()


def related(root: bytes, *, end: bytes = b"\r\n", start: bool = True) -> tuple[str, bytes]:
    lines = [
        b"--edge", b"Content-Type: application/octet-stream", b"Content-ID: <other@x>", b"", b"<not>the root</not>",
        b"--edge", b"Content-Type: application/xop+xml", b"Content-ID: <root@x>", b"", root, b"--edge--", b"",
    ]  # fmt: skip
    if not start:
        lines = lines[5:]
    more = '; start="<root@x>"' if start else ""
    return f'multipart/related; type="application/xop+xml"; boundary=edge{more}', end.join(lines)


# requests


async def test_a_multipart_is_what_pythons_own_parser_reads() -> None:
    contents = [bytes(range(256)) * 3, b"\r\n--x\r\n", b""]
    parts = [Part(f"document{number}@vaguemestre", one) for number, one in enumerate(contents)]
    made = Multipart(b"<envelope/>", parts, action="urn:a")
    body = b"".join([piece async for piece in made.chunks()])
    assert len(body) == made.length
    head = f"Content-Type: {made.content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    read = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    assert read.get_param("start-info") == "application/soap+xml"
    assert read.get_param("type") == "application/xop+xml"
    found = list(read.iter_parts())
    assert found[0]["Content-ID"] == read.get_param("start")
    assert [one["Content-ID"] for one in found[1:]] == [f"<{one.content_id}>" for one in parts]
    assert b"\r\n\r\n" + contents[0] + b"\r\n--" in body


async def test_a_large_part_leaves_in_pieces() -> None:
    made = Multipart(b"<envelope/>", [Part("a@b", b"x" * 1_000_000)], action="urn:a")
    assert max([len(piece) async for piece in made.chunks()]) <= 262_144


def test_an_envelope_has_its_addressing() -> None:
    made = envelope(action="urn:a&b", to="https://x/?a=1&b=2", message_id="1-2", assertion=b"<a/>", body=[b"<b/>"])
    root = etree.fromstring(made)
    space = {"s": SOAP, "a": "http://www.w3.org/2005/08/addressing"}
    assert root.findtext("s:Header/a:Action", None, space) == "urn:a&b"
    assert root.findtext("s:Header/a:MessageID", None, space) == "urn:uuid:1-2"
    assert root.findtext("s:Header/a:To", None, space) == "https://x/?a=1&b=2"
    assert [one.tag for one in root.iterfind("s:Body/*", space)] == ["b"]


def test_a_question_about_a_document_fits_the_schema(shared: Path) -> None:
    schema = etree.XMLSchema(etree.parse(shared / "ihe" / "xsd" / "ebRS30" / "query.xsd"))
    for returns in ("LeafClass", "ObjectRef"):
        made = etree.fromstring(get_documents("1.2.3", returns))
        schema.assertValid(made)
        assert "('1.2.3')" in etree.tostring(made).decode()


def test_the_existence_test_asks_for_one_ins() -> None:
    question = Question("279035121518989", "1.2.250.1.213.1.4.10", "D", "1.2.250.1.999999.7", "Vaguemestre")
    root = etree.fromstring(existence_request(question, datetime(2026, 11, 25, 8, tzinfo=UTC)))
    names = {"h": HL7}
    value = root.find("h:controlActProcess/h:queryByParameter/h:parameterList/h:patientIdentifier/h:value", names)
    assert value is not None
    assert (value.get("root"), value.get("extension")) == ("1.2.250.1.213.1.4.10", "279035121518989")
    assert root.find("h:processingCode", names).get("code") == "D"  # type: ignore[union-attr]  # it is there
    order = [etree.QName(one).localname for one in root]
    assert order == [
        "id", "creationTime", "interactionId", "processingCode", "processingModeCode", "acceptAckCode", "receiver",
        "sender", "attentionLine", "controlActProcess",
    ]  # fmt: skip


# answers


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("start", [True, False])
def test_an_answer_is_read_from_a_multipart(end: bytes, start: bool) -> None:
    kind, data = related(soap("<a/>"), end=end, start=start)
    assert body_of(kind, data).tag == "a"


def test_an_answer_is_read_as_it_is() -> None:
    assert body_of("application/soap+xml; charset=utf-8", soap("<a/>")).tag == "a"
    assert body_of("", soap("<a/>")).tag == "a"


@pytest.mark.parametrize(
    "kind, data",
    [
        ("text/html", b"<html>busy</html>"),
        ("text/plain", b"DUPONT"),
        ("application/soap+xml", b""),
        ("application/soap+xml", soap("")),
        ("application/soap+xml", f'<s:Envelope xmlns:s="{SOAP}"/>'.encode()),
        ("multipart/related; boundary=edge", b"no edge at all"),
        ("multipart/related", b"--edge\r\n\r\n<a/>\r\n--edge--"),
        ("multipart/related; boundary=edge", b"--edge\r\nhalf a part"),
        ("application/soap+xml", b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'),
    ],
)
def test_what_is_no_answer_is_said(kind: str, data: bytes) -> None:
    with pytest.raises(Broken) as raised:
        body_of(kind, data)
    assert "DUPONT" not in str(raised.value)


@pytest.mark.parametrize(
    "body, code, subcodes",
    [
        ("<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason/></s:Fault>", "Receiver", ()),
        (
            (
                "<s:Fault><s:Code><s:Value>s:Sender</s:Value>"
                "<s:Subcode><s:Value>d:DMPClosed</s:Value></s:Subcode></s:Code>"
                "<s:Detail><Erreur><code>DMPFoo</code></Erreur></s:Detail></s:Fault>"
            ),
            "Sender",
            ("DMPClosed", "Erreur", "code", "DMPFoo"),
        ),
        ("<s:Fault/>", "Receiver", ()),
    ],
)
def test_a_fault_is_read(body: str, code: str, subcodes: tuple[str, ...]) -> None:
    with pytest.raises(Fault) as raised:
        body_of("application/soap+xml", soap(body))
    assert (raised.value.code, raised.value.subcodes) == (code, subcodes)


def test_a_fault_of_soap_1_1_is_read() -> None:
    space = "http://schemas.xmlsoap.org/soap/envelope/"
    fault = "<s:Fault><faultcode>s:Client</faultcode><detail><c>X1</c></detail></s:Fault>"
    data = f'<s:Envelope xmlns:s="{space}"><s:Body>{fault}</s:Body></s:Envelope>'.encode()
    with pytest.raises(Fault) as raised:
        body_of("text/xml", data)
    assert (raised.value.code, raised.value.subcodes) == ("Sender", ("c", "X1"))


def regresp(status: str, *errors: tuple[str, str]) -> Answer:
    listed = "".join(ERROR.format(*one) for one in errors)
    written = f"<rs:RegistryErrorList>{listed}</rs:RegistryErrorList>" if errors else ""
    return read_answer(etree.fromstring(REGRESP.format(status=status, errors=written)))


def test_an_answer_of_the_registry_is_read() -> None:
    assert regresp("Success") == Answer("Success")
    warned = regresp("Success", ("XDSExtraMetadataNotSaved", "names:tc:ebxml-regrep:ErrorSeverityType:Warning"))
    assert warned == Answer("Success", (), ("XDSExtraMetadataNotSaved",))
    failed = regresp("Failure", ("DMPClosed", "x:Error"), ("Other", "x:Warning"))
    assert failed == Answer("Failure", ("DMPClosed",), ("Other",))
    assert regresp("PartialSuccess").status == "PartialSuccess"
    assert regresp("Failure").errors == ("XDSRegistryError",)
    for wrong in ("Perhaps", ""):
        with pytest.raises(Broken):
            regresp(wrong)
    with pytest.raises(Broken):
        read_answer(etree.fromstring("<a/>"))


def test_entries_and_references_are_found() -> None:
    rim = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
    approved = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
    text = f"""<q:AdhocQueryResponse xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:r="{rim}">
      <r:RegistryObjectList><!-- none --><r:ObjectRef id="urn:uuid:1"/><r:ObjectRef id=""/>
      <r:ExtrinsicObject id="urn:uuid:2" status="{approved}"><r:Slot name="hash"><r:ValueList><r:Value> AB </r:Value>
      </r:ValueList></r:Slot><r:VersionInfo versionName="3"/><r:ExternalIdentifier value="1.2.3"
      identificationScheme="urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"/></r:ExtrinsicObject>
      </r:RegistryObjectList></q:AdhocQueryResponse>"""
    found = read_found(etree.fromstring(text))
    assert found == [Found("urn:uuid:1"), Found("urn:uuid:2", "1.2.3", approved, "ab", 3)]
    assert all(one.current for one in found)


def existence(code: str, status: str = "") -> str:
    patient = f'<subject><registrationEvent><subject1><patient><statusCode code="{status}"/></patient></subject1>'
    patient = f"{patient}</registrationEvent></subject>" if status else ""
    ack = f'<queryAck><queryResponseCode code="{code}"/></queryAck>'
    return f'<PRPA_IN201308UV02 xmlns="{HL7}"><controlActProcess>{patient}{ack}</controlActProcess></PRPA_IN201308UV02>'


def test_the_state_of_a_record_is_read() -> None:
    assert read_existence(etree.fromstring(existence("OK", "active"))) == "active"
    assert read_existence(etree.fromstring(existence("OK", "terminated"))) == "closed"
    assert read_existence(etree.fromstring(existence("NF"))) == "none"
    for other in (existence("AE"), existence("OK"), "<a/>"):
        with pytest.raises(Broken):
            read_existence(etree.fromstring(other))


# the table of error codes


def test_every_code_of_the_standard_has_a_rule() -> None:
    table = error_table(None)
    assert table.rule("XDSRegistryBusy").action == "retry"
    assert table.rule("XDSUnknownPatientId").action == "final"
    assert table.rule("XDSDuplicateUniqueIdInRegistry").action == "look"
    assert table.rule("XDSRegistryDeprecatedDocumentError").action == "parent"
    assert table.rule("Never-heard-of").action == "hold"
    assert table.rule("DUPONT JEAN <2790351215189>").code == "unknown"


def test_rows_of_the_site_go_over_the_built_in_ones(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("code,action,label\nDMPClosed,hold,Fermé\n\nDMP_17,retry,Plus tard\n", "utf-8")
    table = error_table(file)
    assert (table.rule("DMPClosed").action, table.rule("DMPClosed").label) == ("hold", "Fermé")
    assert table.rule("DMP_17").action == "retry"
    assert table.rule("XDSRegistryBusy").action == "retry"


@pytest.mark.parametrize(
    "text, problem",
    [
        ("code;action\n", "codes.csv:1:1"),
        ("code,action,label\nA,perhaps,L\n", "codes.csv:2:1"),
        ("code,action,label\nA,hold\n", "codes.csv:2:1"),
        ("code,action,label\nA B,hold,L\n", "codes.csv:2:1"),
    ],
)
def test_a_faulty_table_is_said_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=problem):
        error_table(file)


def test_the_root_of_a_multipart_without_start_is_the_first_part() -> None:
    kind, data = related(b"<a/>", start=False)
    assert envelope_of(kind, data) == b"<a/>"
