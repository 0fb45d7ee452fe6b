"""What the simulated DMP knows: certificates, documents and their versions, patients, questions."""

import base64
import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.vaguemestre.dmp_damage import Bench, both, drop, edit, found, write
from tests.vaguemestre.dmp_ebrim import INS, LEVEL_1
from tests.vaguemestre.dmp_lots import Document, Element, Lot, Sender, later
from vaguemestre.simulators.dmp import names as n
from vaguemestre.simulators.dmp.registry import Registry
from vaguemestre.simulators.dmp.rules import RULES
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.pki import Authority

OTHER = "181016322075140"
CDA = b'<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="%s"/></ClinicalDocument>'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def bench(authority: Authority) -> Bench:
    return Bench(authority)


def named(element: str, **attributes: str) -> Any:
    """Set attributes of an HL7 element of the question."""
    return edit(f"//hl7:{element}", **attributes)


# --- who asks -----------------------------------------------------------------------------------------------------


def test_the_client_must_be_known_and_of_the_structure(bench: Bench, authority: Authority, tmp_path: Path) -> None:
    submission = bench.sender.submission
    assert bench.judge(submission(Lot()), shown=False).broken[:1] == ["tls.certificate"]
    stranger = Authority(tmp_path / "other").issue("stranger", "client")
    assert bench.judge(submission(Lot()), stranger.certificate).broken == ["tls.certificate"]
    other = authority.issue("other", "client", structure="1990000002")
    assert bench.judge(submission(Lot()), other.certificate).broken == ["tls.structure"]
    assert bench.judge(submission(Lot()), bench.sender.sign.certificate).broken == ["tls.client-use"]
    ended = authority.issue("ended", "client", days=-1)
    assert bench.judge(submission(Lot()), ended.certificate).broken == ["tls.certificate"]
    gone = authority.issue("gone", "client")
    authority.revoke(gone.certificate)
    assert bench.judge(submission(Lot()), gone.certificate).broken == ["tls.certificate"]


@pytest.mark.parametrize(
    "use, structure, days, broken",
    [
        ("sign", "1990000001", -1, {"vihf.certificate", "signature.certificate"}),
        ("client", "1990000001", 300, {"vihf.certificate-use", "signature.certificate"}),
        ("sign", "1990000002", 300, {"vihf.certificate-structure", "signature.structure"}),
    ],
)
def test_what_signs_must_be_a_seal_in_force(
    bench: Bench, authority: Authority, use: Any, structure: str, days: float, broken: set[str]
) -> None:
    bench.sender.sign = authority.issue("bad-sign", use, structure=structure, days=days)
    assert set(bench.submit(Lot()).broken) == broken


def test_an_assertion_serves_once(bench: Bench) -> None:
    request = bench.sender.submission(Lot())
    assert bench.judge(request).accepted
    assert "vihf.once" in bench.judge(request).broken


def test_digests_versions_and_orders_are_settings(authority: Authority) -> None:
    strict = Bench(authority, DmpSettings(digests=frozenset({"sha256"}), vihf_versions=frozenset({"4.0"})))
    assert set(strict.submit(Lot()).broken) == {"signature.algorithms", "vihf.version"}
    weak = Bench(authority, DmpSettings(digests=frozenset({"sha1"})))
    assert weak.submit(Lot()).broken == ["vihf.digest"]
    backwards = Bench(authority, DmpSettings(issuer_order="x500"))
    assert backwards.submit(Lot()).broken == ["vihf.issuer"]
    late = Bench(authority, DmpSettings(clock=later(600)))
    assert "vihf.fresh" in late.submit(Lot()).broken


def test_base64_in_the_envelope_is_taken_on_request_only(authority: Authority) -> None:
    for inline, broken in ((True, []), (False, ["http.media-type", "mtom.include", "lot.document"])):
        bench = Bench(authority, DmpSettings(inline=inline))
        assert bench.judge(inlined(bench.sender, Lot())).broken == broken


def inlined(sender: Sender, lot: Lot) -> tuple[str, str, bytes]:
    """A lot without MTOM."""
    parts: dict[str, bytes] = {}

    def keep(kind: str, body: bytes) -> tuple[str, bytes]:
        for part in body.split(b"\r\n--frontiere")[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            parts[head.split(b"Content-ID: <")[1].split(b"@")[0].decode()] = content
        envelope = etree.fromstring(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--frontiere")[0])
        for document in found(envelope, "//xds:Document"):
            document.remove(document[0])
            document.text = base64.b64encode(parts[str(document.get("id"))]).decode()
        return "application/soap+xml", etree.tostring(envelope)

    lot.wire = keep
    return sender.submission(lot)


# --- documents and their versions ---------------------------------------------------------------------------------


def test_a_known_document_is_a_duplicate_or_an_alteration(bench: Bench) -> None:
    first = Lot()
    bench.submit(first)
    same = Document(first.documents[0].unique_id)
    assert bench.submit(Lot([same])).broken == ["registry.duplicate"]
    assert b"XDSDuplicateUniqueIdInRegistry" in bench.answer.body
    assert bench.submit(Lot([Document(same.unique_id, text="Autre")])).broken == ["registry.altered"]
    assert bench.submit(Lot(unique_id=first.unique_id)).broken == ["set.reused"]
    assert bench.registry.state()["received"][same.unique_id] == 3
    assert bench.registry.published() == {same.unique_id: 1}


def test_two_documents_of_a_lot_have_two_identifiers(bench: Bench) -> None:
    one = Document()
    assert "entry.unique-in-lot" in bench.submit(Lot([one, Document(one.unique_id)])).broken


def test_a_lot_holds_a_document(bench: Bench) -> None:
    assert bench.submit(Lot([])).broken == ["lot.documents"]


@pytest.mark.parametrize(
    "content, broken",
    [
        (b"not xml", ["cda.readable"]),
        (CDA % b"1.2.3", ["cda.identifier", "cda.patient"]),
        (CDA.replace(b'"/>', b'" extension="4"/>') % b"1.2.3", ["cda.identifier", "cda.patient"]),
        (b"<other/>", []),
    ],
)
def test_a_document_says_what_its_entry_says(bench: Bench, content: bytes, broken: list[str]) -> None:
    assert bench.submit(Lot([Document(content=content)])).broken == broken


def test_a_replacement_deprecates_the_version_before(bench: Bench) -> None:
    first = Lot()
    bench.submit(first)
    old = bench.entry(first)
    parent = first.documents[0].unique_id
    second = Lot([Document(replaces=[old], parents=[parent])])
    assert bench.submit(second).action == "replacement"
    before, after = (bench.registry.documents(unique_id=one.documents[0].unique_id)[0] for one in (first, second))
    assert (before.status, after.status) == (n.DEPRECATED, n.APPROVED)
    assert (after.logical_id, after.version) == (before.logical_id, 2)
    assert before.entry_uuid != old
    again = Lot([Document(replaces=[old], parents=[parent])])
    assert bench.submit(again).broken == ["replace.current"]
    assert bench.submit(Lot([Document(replaces=[before.entry_uuid], parents=[parent])])).broken == ["replace.current"]


def test_a_replacement_names_a_document_of_this_patient_and_structure(bench: Bench, authority: Authority) -> None:
    first = Lot()
    bench.submit(first)
    old, parent = bench.entry(first), first.documents[0].unique_id
    unknown = "urn:uuid:0f5d3e5c-6a3b-4d5e-9d8e-2c1b7a9f4e10"
    assert bench.submit(Lot([Document(replaces=[unknown], parents=[parent])])).broken == ["replace.target"]
    assert bench.submit(Lot([Document(replaces=[old], parents=[parent])], ins=OTHER)).broken == ["replace.target"]
    assert bench.submit(Lot([Document(replaces=[old], parents=["1.2.3"])])).broken == ["cda.parent"]
    wrong = edit(f"//rim:Association[@associationType='{n.REPLACES}']", sourceObject="Signature01")
    assert "replace.source" in bench.submit(Lot([Document(replaces=[old], parents=[parent])], metadata=wrong)).broken
    with bench.registry.transaction():
        bench.registry.change(bench.registry.documents(entry_uuid=old)[0], n.APPROVED)
    assert bench.submit(Lot([Document(replaces=[old], parents=[parent])])).broken == ["replace.target"]
    neighbour = Sender(authority, "1990000002")
    lot = Lot([Document(replaces=[bench.entry(first)], parents=[parent])])
    lot.metadata = write(
        "//rim:Slot[@name='authorInstitution']/rim:ValueList/rim:Value",
        "A^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^1990000002",
    )
    assert bench.judge(neighbour.submission(lot), neighbour.client.certificate).broken == ["replace.structure"]


def test_both_levels_go_together(bench: Bench) -> None:
    pair = Lot([Document(), Document(format=LEVEL_1)])
    assert bench.submit(pair).accepted
    entries = [bench.entry(pair, 0), bench.entry(pair, 1)]
    parents = [one.unique_id for one in pair.documents]
    one = Lot([Document(replaces=entries[:1], parents=parents)])
    assert bench.submit(one).broken == ["replace.levels"]
    assert bench.judge(bench.sender.deletion(entries[:1])).broken == ["delete.levels"]
    both_levels = [
        Document(replaces=[entries[0]], parents=parents),
        Document(format=LEVEL_1, replaces=[entries[1]], parents=parents),
    ]
    assert bench.submit(Lot(both_levels)).accepted
    current = [one.entry_uuid for one in bench.registry.documents(status=n.APPROVED, is_signature=0)]
    assert bench.judge(bench.sender.deletion(current)).accepted
    differ = Lot([Document(), Document(format=LEVEL_1)])
    differ.metadata = both(
        edit("//*[@id='Document02']/rim:Classification[@nodeRepresentation='11502-2']", nodeRepresentation="11490-0"),
        edit("//*[@id='Document02']/rim:Classification[@nodeRepresentation='10']", nodeRepresentation="10"),
    )
    assert bench.submit(differ).broken == ["entry.levels"]


UPDATE = f"//rim:Association[@associationType='{n.UPDATE_STATUS}']"
DELETIONS: list[tuple[str, Any]] = [
    ("delete.association", edit(UPDATE, sourceObject="Autre")),
    ("delete.association", drop(UPDATE)),
    ("delete.statuses", write("//rim:Slot[@name='NewStatus']/rim:ValueList/rim:Value", "urn:asip:ci-sis:2010:StatusType:Archived")),
    ("delete.target", edit(UPDATE, targetObject="urn:uuid:0f5d3e5c-6a3b-4d5e-9d8e-2c1b7a9f4e10")),
    ("xml.structure", lambda tree: tree.append(etree.Element("autre"))),
    ("set.time", write("//rim:Slot[@name='submissionTime']/rim:ValueList/rim:Value", "2026")),
]  # fmt: skip


@pytest.mark.parametrize("broken, damage", DELETIONS)
def test_a_deletion_has_its_shape(bench: Bench, broken: str, damage: Any) -> None:
    lot = Lot()
    bench.submit(lot)
    request = bench.sender.deletion([bench.entry(lot)], Lot(metadata=damage))
    assert bench.judge(request).broken == [broken]
    assert bench.registry.documents(status=n.APPROVED, is_signature=0)


def test_a_deletion_holds_no_document(bench: Bench) -> None:
    lot = Lot()
    bench.submit(lot)

    def add(tree: Element) -> None:
        parent = found(tree, "//rim:RegistryObjectList")[0]
        etree.SubElement(parent, f"{{{n.RIM}}}ExtrinsicObject", id="Document01", mimeType="text/xml")

    assert "delete.set" in bench.judge(bench.sender.deletion([bench.entry(lot)], Lot(metadata=add))).broken


def test_only_the_author_deletes_and_once(bench: Bench, authority: Authority) -> None:
    lot = Lot()
    bench.submit(lot)
    entry = bench.entry(lot)
    neighbour = Sender(authority, "1990000002")
    assert bench.judge(neighbour.deletion([entry]), neighbour.client.certificate).broken == ["delete.structure"]
    assert bench.judge(bench.sender.deletion([entry])).accepted
    assert bench.judge(bench.sender.deletion([entry])).broken == ["delete.current"]
    assert bench.judge(bench.sender.query(lot.documents[0].unique_id)).accepted
    assert b"ObjectRef " not in bench.answer.body
    assert bench.submit(Lot([Document(lot.documents[0].unique_id)])).broken == ["registry.duplicate"]


# --- patients and questions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state, broken, status, found_code, right",
    [
        ("active", [], "active", "OK", "VALIDE"),
        ("closed", ["patient.closed"], "terminated", "OK", "VALIDE"),
        ("none", ["patient.unknown"], "", "NF", "NON_EXISTE"),
        ("opposed", ["patient.opposed"], "active", "OK", "INTERDIT"),
    ],
)
def test_a_patients_dmp_takes_documents_or_not(
    bench: Bench, state: str, broken: list[str], status: str, found_code: str, right: str
) -> None:
    bench.registry.set_patient(INS, state)
    assert bench.judge(bench.sender.existence()).accepted
    answer = etree.fromstring(bench.answer.body)
    assert answer.xpath("string(//hl7:patient/hl7:statusCode/@code)", namespaces=n.NAMESPACES) == status
    assert answer.xpath("string(//hl7:queryResponseCode/@code)", namespaces=n.NAMESPACES) == found_code
    assert answer.xpath("string(//hl7:attentionLine/hl7:value)", namespaces=n.NAMESPACES) == right
    assert bench.submit(Lot()).broken == broken


EXISTENCE: list[tuple[str, Any]] = [
    ("patients.interaction", named("interactionId", extension="PRPA_IN201305UV02")),
    ("patients.codes", named("acceptAckCode", code="NE")),
    ("patients.devices", edit("//hl7:receiver/hl7:device/hl7:id", root="1.2.3")),
    ("patients.reason", named("reasonCode", code="AUTRE")),
    ("patients.query", edit("//hl7:queryByParameter/hl7:statusCode", code="old")),
    ("vihf.other-patient", edit("//hl7:patientIdentifier/hl7:value", extension=OTHER)),
]  # fmt: skip


@pytest.mark.parametrize("broken, damage", EXISTENCE)
def test_an_existence_test_has_its_shape(bench: Bench, broken: str, damage: Any) -> None:
    assert bench.judge(bench.sender.existence(Lot(metadata=damage))).broken == [broken]
    assert b"Fault>" in bench.answer.body


def test_a_document_is_found_by_its_identifier(bench: Bench) -> None:
    lot = Lot()
    bench.submit(lot)
    name = lot.documents[0].unique_id
    bench.judge(bench.sender.query(name))
    assert f'<rim:ObjectRef id="{bench.entry(lot)}"/>'.encode() in bench.answer.body
    bench.judge(bench.sender.query(name, "LeafClass"))
    entry = found(etree.fromstring(bench.answer.body), "//rim:ExtrinsicObject")[0]
    assert (entry.get("id"), entry.get("status")) == (bench.entry(lot), n.APPROVED)
    bench.judge(bench.sender.query(bench.entry(lot), slot="$XDSDocumentEntryEntryUUID"))
    assert bench.entry(lot).encode() in bench.answer.body
    bench.judge(bench.sender.query(name, lot=Lot(ins=OTHER)))
    assert b"<rim:RegistryObjectList></rim:RegistryObjectList>" in bench.answer.body


def double_slot(tree: Element) -> None:
    slot = found(tree, "//rim:Slot")[0]
    other = copy.deepcopy(slot)
    other.set("name", "$XDSDocumentEntryEntryUUID")
    slot.addnext(other)


FIND = edit("//rim:AdhocQuery", id=n.FIND_DOCUMENTS)
QUERIES: list[tuple[str, Any]] = [
    ("query.known", edit("//rim:AdhocQuery", id="urn:uuid:10b545ea-725c-446d-9b95-8aeb444eddf3")),
    ("query.forbidden", FIND),
    ("query.parameter", edit("//rim:Slot", name="$XDSDocumentEntryStatus")),
    ("query.return", edit("//query:ResponseOption", returnType="RegistryObject")),
    ("query.parameters", double_slot),
]  # fmt: skip


@pytest.mark.parametrize("broken, damage", QUERIES)
def test_a_query_has_its_shape(bench: Bench, broken: str, damage: Any) -> None:
    assert bench.judge(bench.sender.query("1.2.3", lot=Lot(metadata=damage))).broken == [broken]
    assert (b"query:AdhocQueryResponse" in bench.answer.body) == (broken != "query.return")


def test_a_list_is_given_when_consultation_is_allowed(authority: Authority) -> None:
    bench = Bench(authority, DmpSettings(consultation=True))
    lot = Lot()
    bench.submit(lot)

    def find(tree: Element) -> None:
        FIND(tree)
        double_slot(tree)
        for slot, (name, value) in zip(
            found(tree, "//rim:Slot"),
            (
                ("$XDSDocumentEntryPatientId", f"'{INS}^^^&1.2.250.1.213.1.4.10&ISO^NH'"),
                ("$XDSDocumentEntryStatus", f"('{n.APPROVED}')"),
            ),
            strict=True,
        ):
            slot.set("name", name)
            slot[0][0].text = value

    assert bench.judge(bench.sender.query("x", lot=Lot(metadata=find))).accepted
    assert bench.entry(lot).encode() in bench.answer.body


def used_in_vain(registry: Registry, assertion: str) -> None:
    """A transaction that fails."""
    with registry.transaction():
        registry.is_first_use(assertion)
        registry.set_patient("2", "gone")


def test_a_file_keeps_the_state(tmp_path: Path) -> None:
    first = Registry(tmp_path / "dmp.db")
    with first.transaction():
        first.set_patient("1", "closed")
        assert first.is_first_use("a")
    with pytest.raises(ValueError, match="active"):
        used_in_vain(first, "b")
    first.close()
    second = Registry(tmp_path / "dmp.db")
    assert second.patient("1") == "closed"
    assert not second.is_first_use("a")
    assert second.is_first_use("b")
    second.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 200), st.binary(max_size=8)), min_size=1, max_size=4),
    kind=st.text(max_size=3),
)
def test_damaged_bytes_are_refused_and_break_nothing(
    authority: Authority, cuts: list[tuple[float, int, bytes]], kind: str
) -> None:
    bench = Bench(authority)
    service, content_type, body = bench.sender.submission(Lot())
    damaged = body
    for where, length, put in cuts:
        place = int(where * len(damaged))
        damaged = damaged[:place] + put + damaged[place + length :]
    case = bench.judge((service, content_type + kind, damaged))
    assert case.verdict in {"accepted", "refused"}
    assert bench.answer.status in {200, 500}
    assert etree.fromstring(bench.answer.body) is not None
    assert not case.accepted or len(bench.registry.documents()) == 2


def test_a_key_of_an_unknown_kind_is_refused(bench: Bench) -> None:
    lot = Lot(signed_assertion=write("//ds:X509Certificate", base64.b64encode(b"0\x03\x02\x01\x01").decode()))
    assert bench.submit(lot).broken == ["vihf.certificate"]


def test_every_rule_is_broken_somewhere() -> None:
    """No rule is there without a case that breaks it, in one of the files on the simulated DMP."""
    here = Path(__file__).parent
    told = "".join(path.read_text("utf-8") for path in here.glob("test_simulator_dmp*.py"))
    assert [name for name in RULES if f'"{name}"' not in told] == []
