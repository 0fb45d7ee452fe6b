"""Reports of ours become requests, as the policy of the site says."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from channels.errors import MessageError, VersionNeeded
from channels.message import Message
from channels.numbering import Issue, remembered, told
from channels.pfi_settings import PfiSettings, ReportPolicy
from channels.ports import Context
from tests.transforms.laboratory import context, edited, fixture, validator
from transforms import er7
from transforms.cda import cr_bio, level_1
from transforms.submission import Submission, decode
from transforms.submission.document import read_facts
from transforms.submission.from_report import FromReport, with_oids
from transforms.submission.notes import warnings
from transforms.submission.origin import Origin, origin

PFI: dict[str, Any] = {
    "organization": {"id": "1990000002", "name": "CH de Testville"},
    "source_oid": "1.2.250.1.999999.9",
    "responsible": {"id": "801000000057", "family": "DURAND", "given": "Anne"},
}
PRESCRIBER = "801000000017"
BOX = "camille.medico@exemple.mssante.fr"


class Addresses:
    def __init__(self, rows: dict[str, str]) -> None:
        self._rows = rows

    def translate(self, value: str) -> str | None:
        return self._rows.get(value)


def setting(reports: dict[str, Any] | None = None, **pfi: Any) -> Context:
    own = context(tables={"addresses": Addresses({PRESCRIBER: BOX})})
    found = PfiSettings.model_validate({**PFI, "reports": reports or {}, **pfi})
    return replace(own, site=own.site.model_copy(update={"pfi": found}))


def report(name: str = "oru_with_pdf") -> Message:
    return cr_bio(fixture(name), context())


def outcome(message: Message, where: Context, **own: Any) -> Message | None:
    made = FromReport(ReportPolicy.model_validate(own))(message, where)
    assert not isinstance(made, list) or made == []
    return made if isinstance(made, Message) else None


def sent(message: Message, where: Context, **own: Any) -> Submission:
    made = outcome(message, where, **own)
    assert made is not None
    assert made.format == "submission"
    return decode(made.body)


EVERYBODY = {
    "dmp": True,
    "recipients": [{"role": "prescriber", "table": "addresses"}],
    "patient": True,
    "others": ["archives@ch-test.mssante.fr"],
    "reply_to": "labo@ch-test.mssante.fr",
    "reading": True,
}


def test_a_report_goes_to_the_dmp_the_prescriber_and_the_patient() -> None:
    made = sent(report(), setting(EVERYBODY))
    assert (made.action, made.to_dmp, made.wants_reception, made.wants_reading) == ("create", True, True, True)
    ins = made.patient.ins
    assert [(one.kind, one.address) for one in made.recipients] == [
        ("professional", BOX),
        ("organization", "archives@ch-test.mssante.fr"),
        ("patient", f"{ins}@patient.mssante.fr"),
    ]
    assert made.closes_conversation
    assert made.reply_to == "labo@ch-test.mssante.fr"
    assert made.sender.organization is not None
    assert made.sender.organization.id == "1990000002"
    assert made.sender.person is not None
    assert made.sender.person.id == "801000000057"
    (document,) = made.documents
    assert (document.code, document.level, document.replaces) == ("11502-2", 3, "")
    assert re.fullmatch(r"2\.25\.\d+", document.unique_id)
    assert read_facts(document.content, "").unique_id == document.unique_id


def test_its_request_is_the_laboratorys_message() -> None:
    message = fixture("oru_with_pdf")
    header = message.view(er7.header_of)
    made = sent(report(), setting(EVERYBODY))
    request = made.request
    assert (request.sending_application, request.sending_facility) == (header.component(3), header.component(4))
    assert (request.receiving_application, request.receiving_facility) == (header.component(5), header.component(6))
    assert (request.control_id, request.kind, request.profile) == (header.control_id, "ORU^R01", "")
    assert made.visit_class == er7.read(message).get("PV1-2")
    assert made.order_ids
    assert sent(report(), setting(EVERYBODY)).request.key == request.key


def test_without_a_policy_nothing_is_sent() -> None:
    assert outcome(report(), setting()) is None


def test_options_of_the_step_replace_parts_of_the_policy() -> None:
    where = setting(EVERYBODY)
    made = sent(report(), where, dmp=False, patient=False, others=[])
    assert (made.to_dmp, len(made.recipients)) == (False, 1)


def test_awaited_results_are_not_sent_until_they_are_there() -> None:
    partial = edited("oru_crp", ("OBX", 11, "P"))
    document = cr_bio(partial, context())
    assert outcome(document, setting({"dmp": True})) is None
    assert sent(document, setting({"dmp": True, "partial": True})).to_dmp


def test_an_unknown_address_is_left_to_the_directory() -> None:
    made = sent(report(), setting({"recipients": [{"role": "prescriber"}]}))
    assert [(one.address, one.person.id if one.person else "") for one in made.recipients] == [("", PRESCRIBER)]


def test_a_rule_may_send_nothing_to_a_role() -> None:
    assert outcome(report(), setting({"recipients": [{"role": "prescriber", "send": False}]})) is None


def test_nobody_gets_it_twice() -> None:
    rules = [{"role": "prescriber", "table": "addresses"}, {"role": "prescriber", "table": "addresses"}]
    made = sent(report(), setting({"recipients": rules, "others": [BOX]}))
    assert [one.address for one in made.recipients] == [BOX]


def code_of_the_chapter(document: Message) -> str:
    found = re.search(rb'<section>.*?<code code="([^"]+)"', document.body, re.DOTALL)
    assert found is not None
    return found[1].decode()


def test_a_sensitive_report_is_hidden_from_the_patient_and_not_mailed_to_them() -> None:
    document = report()
    mask = {"chapters": [code_of_the_chapter(document)], "hidden_patient": True}
    made = sent(document, setting({**EVERYBODY, "masks": [mask]}))
    assert made.visibility.hidden_patient
    assert [one.kind for one in made.recipients] == ["professional", "organization"]


def test_a_rule_on_a_result_applies_to_reports_that_hold_it() -> None:
    document = cr_bio(fixture("oru_crp"), context())
    masks = [{"codes": ["1988-5"], "hidden_representatives": True}, {"codes": ["7917-8"], "withheld": True}]
    made = sent(document, setting({**EVERYBODY, "masks": masks}))
    assert made.visibility.hidden_representatives
    assert not made.visibility.hidden_patient


def test_what_is_masked_from_professionals_is_not_mailed_to_them() -> None:
    made = sent(report(), setting({**EVERYBODY, "masks": [{"masked_professionals": True}]}))
    assert [one.kind for one in made.recipients] == ["patient"]


def test_a_withheld_report_goes_nowhere() -> None:
    assert outcome(report(), setting({**EVERYBODY, "masks": [{"withheld": True}]})) is None


def test_every_rule_applies_to_a_report_that_cannot_be_looked_into() -> None:
    document = level_1(fixture("oru_with_pdf"), context())
    made = sent(document, setting({**EVERYBODY, "masks": [{"codes": ["7917-8"], "hidden_patient": True}]}))
    assert made.visibility.hidden_patient
    assert made.documents[0].level == 1


def test_without_qualified_identity_the_dmp_and_the_patient_get_nothing() -> None:
    document = cr_bio(edited("oru_crp", ("PID", 32, "PROV")), context())
    message = outcome(document, setting(EVERYBODY))
    assert message is not None
    made = decode(message.body)
    assert (made.to_dmp, [one.kind for one in made.recipients]) == (False, ["professional", "organization"])
    assert len(warnings(message)) == 2


def test_without_responsible_the_biologist_is_the_author() -> None:
    made = sent(report(), setting(EVERYBODY, responsible=None, device={"id": "V1"}))
    assert made.sender.person is not None
    assert made.sender.person.id.startswith("8")


def numbered_report(before: str) -> Message:
    message = remembered(fixture("oru_crp"))
    try:
        return cr_bio(message, context())
    except VersionNeeded as need:
        issue = Issue(2, need.document, before, "")
        return cr_bio(told(message, need, issue), context())


def test_a_corrected_report_replaces_the_one_before() -> None:
    before = "00000000-0000-4000-8000-00000000000A"
    made = sent(numbered_report(before), setting(EVERYBODY))
    assert (made.action, made.documents[0].replaces) == ("replace", f"2.25.{UUID(before).int}")


def answered(message: Message, where: Context, before: str) -> Message | None:
    """What the step gives where the engine remembers versions."""
    try:
        return outcome(remembered(message), where)
    except VersionNeeded as need:
        return outcome(told(remembered(message), need, Issue(2, need.document, before, "")), where)


@pytest.mark.parametrize("name", ["oru_crp", "oru_with_pdf"])
def test_the_message_alone_is_enough(name: str) -> None:
    where = setting(EVERYBODY)
    assert sent(fixture(name), where) == sent(report(name), where)


@pytest.mark.parametrize("status", ["D", "W"])
def test_a_report_whose_every_result_is_withdrawn_is_deleted(status: str) -> None:
    before = "00000000-0000-4000-8000-00000000000A"
    withdrawn = edited("oru_crp", ("OBX", 11, status))
    message = answered(withdrawn, setting(EVERYBODY), before)
    assert message is not None
    made = decode(message.body)
    assert (made.action, made.to_dmp, made.documents[0].unique_id) == ("delete", True, f"2.25.{UUID(before).int}")
    assert (made.documents[0].content, made.documents[0].code) == (b"", "11502-2")
    assert [one.kind for one in made.recipients] == ["professional", "organization", "patient"]
    assert made.request.control_id == withdrawn.control_id


@pytest.mark.parametrize(
    "mask,kinds",
    [
        ({"codes": ["1988-5"], "hidden_patient": True}, ["professional", "organization"]),
        ({"codes": ["7917-8"], "hidden_patient": True}, ["professional", "organization", "patient"]),
        ({"chapters": ["18725-2"], "hidden_patient": True}, ["professional", "organization"]),
        ({"codes": ["1988-5"], "withheld": True}, ["professional", "organization", "patient"]),
    ],
)
def test_a_deletion_tells_nobody_of_what_was_hidden_from_them(mask: dict[str, Any], kinds: list[str]) -> None:
    withdrawn = edited("oru_crp", ("OBX", 11, "D"))
    message = answered(withdrawn, setting({**EVERYBODY, "masks": [mask]}), "00000000-0000-4000-8000-00000000000A")
    assert message is not None
    assert [one.kind for one in decode(message.body).recipients] == kinds


def test_nothing_is_deleted_that_was_never_made() -> None:
    with pytest.raises(MessageError) as caught:
        outcome(edited("oru_crp", ("OBX", 11, "D")), setting(EVERYBODY))
    assert (caught.value.place, caught.value.condition) == ("OBX-11", "900")


def test_numbers_become_oids_and_nothing_else_changes() -> None:
    body = numbered_report("00000000-0000-4000-8000-00000000000A").body
    changed = with_oids(body)
    assert with_oids(changed) == changed
    back = re.sub(rb"2\.25\.(\d+)", lambda match: str(UUID(int=int(match[1]))).upper().encode(), changed)
    assert back == body
    assert changed != body


def test_a_report_with_oids_keeps_the_official_rules(shared: Path, tmp_path: Path) -> None:
    before = "00000000-0000-4000-8000-00000000000A"
    assert validator(shared, tmp_path)({"report": with_oids(numbered_report(before).body)}) == []


def test_a_document_from_elsewhere_has_what_its_message_knows() -> None:
    message = Message(b"<a/>", "cda", kind="ORU^R01", control_id="7", sender="SGL|LABO")
    assert origin(message) == Origin("SGL", "LABO", control_id="7", kind="ORU^R01")


def test_nothing_of_the_patient_is_kept_beside_the_report() -> None:
    said = report().attributes["origin"]
    assert len(json.loads(said)) == 10
    patient = decode_patient(report())
    assert not any(value and value in said for value in patient)


def decode_patient(document: Message) -> tuple[str, ...]:
    who = read_facts(document.body, "").patient
    return who.ins, who.family, who.given, who.birth_date, who.local_id


@pytest.mark.parametrize("format_", ["fhir+json", "pdf"])
def test_only_documents_are_taken(format_: str) -> None:
    with pytest.raises(MessageError):
        outcome(replace(report(), format=format_), setting())


def test_the_setting_that_lacks_is_named() -> None:
    with pytest.raises(MessageError, match="setting pfi of site"):
        outcome(report(), context())
