"""A received document as a message for the hospital's software, and what that software answers."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.errors import MessageError, ParseError
from tests.transforms.pfi_requests import BEFORE, DOCUMENT, INS, INS_OID, OTHER_INS, Cda
from transforms import er7
from transforms.submission import Organization, Patient, Person, Visibility
from transforms.submission.lps import Integration, LpsSettings, LpsUnit, ReceivedMail, messages, read_outcome

GOLDEN = Path(__file__).resolve().parent.parent / "messages" / "pfi"
AT = datetime(2026, 3, 12, 15, 0, 7, tzinfo=UTC)
UNITS = {"dpi@ch-test.mssante.fr": LpsUnit(code="3435", name="Service d'urologie")}
REPLACING = Cda(replaces=f'root="{BEFORE}"')


def mail(*documents: Cda, **changes: Any) -> ReceivedMail:
    values: dict[str, Any] = {
        "message_id": "<20260312.1@exemple.mssante.fr>",
        "subject": "XDM/1.0/DDM+CR d’examens FICTIVE RUTH 28/03/1979",
        "sender": "camille.medico@exemple.mssante.fr",
        "recipients": ("dpi@ch-test.mssante.fr",),
        "documents": tuple(one.bytes() for one in documents or (Cda(),)),
        "text": "Cher confrère,\nvoici.",
        "reply_to": "secretariat@exemple.mssante.fr",
        "author": Person("801000000065", "MEDICO", "CAMILLE", "1.2.250.1.71.4.2.1", "IDNPS"),
        "institution": Organization("1990000002", "CH & Test", "1.2.250.1.71.4.2.2", "IDNST"),
    }
    return ReceivedMail(**values | changes)


def written(received: ReceivedMail, **settings: Any) -> list[bytes]:
    own = LpsSettings(units=UNITS, **settings)
    return messages(received, own, at=AT, ins_domain="test", facility="990000001")


def refused(received: ReceivedMail, **settings: Any) -> str:
    with pytest.raises(MessageError) as caught:
        written(received, **settings)
    return caught.value.condition


GOLDENS: dict[str, tuple[ReceivedMail, dict[str, str]]] = {
    "lps-create": (mail(), {}),
    "lps-replace": (mail(REPLACING, visibility=Visibility(hidden_patient=True, changed=True)), {}),
    "lps-delete": (mail(action="delete"), {}),
    "lps-1.0": (mail(reading_asked=True), {"profile": "1.0"}),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_a_mail_becomes_the_message_of_the_volet(name: str) -> None:
    received, settings = GOLDENS[name]
    (body,) = written(received, **settings)
    assert body.decode().replace("\r", "\n") == (GOLDEN / f"{name}.hl7").read_text("utf-8")
    assert written(received, **settings) == [body]


def test_document_and_mail_are_those_received() -> None:
    parsed = er7.parse(written(mail())[0])
    assert base64.b64decode(parsed.get("OBX-5.5")) == Cda().bytes()
    assert base64.b64decode(parsed.get("OBX[2]-5.5")).decode() == "Cher confrère,\nvoici."
    assert parsed.get("OBX[2]-3.1") == "<20260312.1@exemple.mssante.fr>"
    assert parsed.get("OBX[2]-3.2") == "XDM/1.0/DDM+CR d’examens FICTIVE RUTH 28/03/1979"
    assert parsed.get("PRT-8.1") == "CH & Test"
    assert (parsed.get("PID-3.1"), parsed.get("PID-3.4.2"), parsed.get("PID-32")) == (INS, INS_OID, "VALI")
    assert parsed.get("TXA-12") == DOCUMENT


@pytest.mark.parametrize(
    "received,trigger,order,status,parent",
    [
        (mail(), "MDM^T02", "NW", "F", ""),
        (mail(REPLACING), "MDM^T10", "RO", "C", BEFORE),
        (mail(REPLACING, action="delete"), "MDM^T04", "CA", "D", ""),
    ],
)
def test_the_action_is_that_of_the_document_or_of_the_archive(
    received: ReceivedMail, trigger: str, order: str, status: str, parent: str
) -> None:
    parsed = er7.parse(written(received)[0])
    found = parsed.header.kind, parsed.get("ORC-1"), parsed.get("OBX-11"), parsed.get("TXA-13")
    assert found == (trigger, order, status, parent)


def test_each_document_is_a_message() -> None:
    first, second = written(mail(Cda(), Cda(unique_id='root="1.2.3" extension="7"')))
    assert er7.peek(first).control_id != er7.peek(second).control_id
    assert er7.parse(second).get("TXA-12.1") == "7"
    assert er7.parse(second).get("TXA-12.3") == "1.2.3"


def test_addresses_and_telephones_of_the_document_are_kept() -> None:
    ids = Cda().patient_ids + (
        '<addr use="H"><houseNumber>4</houseNumber><streetName>rue des Essais</streetName>'
        "<postalCode>75013</postalCode><city>TESTVILLE</city></addr>"
        '<addr><streetAddressLine>2 quai</streetAddressLine></addr><addr nullFlavor="UNK"/>'
        '<telecom value="tel:0600000000" use="MC"/><telecom value="mailto:a@b.fr"/><telecom nullFlavor="UNK"/>'
    )
    parsed = er7.parse(written(mail(Cda(patient_ids=ids)))[0])
    assert parsed.values("PID-11.1") == ["4 rue des Essais", "2 quai", ""]
    assert parsed.get("PID-11[3].9") == "51215"
    assert parsed.values("PID-13.12") == ["0600000000", ""]
    assert parsed.get("PID-13[2].4") == "a@b.fr"


# when it goes back

NO_INS = '<id root="1.2.3" extension="7"/>'
REFUSED: dict[str, tuple[ReceivedMail, str]] = {
    "no INS": (mail(Cda(patient_ids=NO_INS)), "903"),
    "a wrong key": (mail(Cda(patient_ids=f'<id root="{INS_OID}" extension="{INS[:-1]}0"/>')), "903"),
    "a production INS": (mail(Cda(patient_ids=f'<id root="1.2.250.1.213.1.4.8" extension="{INS}"/>')), "903"),
    "another patient in METADATA": (mail(patient=Patient(ins=OTHER_INS)), "904"),
    "another birth date in METADATA": (mail(patient=Patient(ins=INS, birth_date="19790329")), "904"),
    "another name in METADATA": (mail(patient=Patient(family="AUTRE")), "904"),
    "no birth place": (mail(Cda(place="")), "905"),
    "no sex": (mail(Cda(sex="UN")), "905"),
    "no birth date": (mail(Cda(birth="")), "905"),
    "two patients": (
        mail(Cda(), Cda(patient_ids=f'<id root="{INS_OID}" extension="{OTHER_INS}"/>')), "904",
    ),
    "masked": (mail(visibility=Visibility(masked_professionals=True)), "906"),
    "a replacement of nothing": (mail(action="replace"), "900"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_cannot_be_integrated(name: str) -> None:
    received, code = REFUSED[name]
    assert refused(received) == code


def test_what_is_no_document_is_refused() -> None:
    assert refused(mail(documents=(b"rien",))) == "102"


def test_a_site_may_take_documents_without_ins_or_traits() -> None:
    (body,) = written(mail(Cda(patient_ids=NO_INS)), ins="optional")
    assert er7.parse(body).get("PID-32") == "PROV"
    (body,) = written(mail(Cda(place="")), traits="any")
    assert er7.parse(body).get("PID-32") == "VALI"


def test_the_same_patient_in_metadata_passes() -> None:
    same = Patient(ins=INS, family="Fictive", birth_date="19790328", sex="F")
    assert len(written(mail(patient=same))) == 1


# the answer

HEAD = b"MSH|^~\\&|DPI|CH|PFI|CH|20260312150010||ACK^T02^ACK|9|P|2.6|||AL|AL|FRA|UNICODE UTF-8\r"


@pytest.mark.parametrize(
    "rest,expected",
    [
        (b"MSA|AA|LPS1\r", Integration(positive=True)),
        (b"MSA|CA|LPS1\r", Integration(positive=True)),
        (
            b"MSA|AE|LPS1\rERR|||207^Application error^messageErrorCondition|E|902^SECRET^applicationErrorCode\r",
            Integration(positive=False, code="902", label="Unknown patient identifier"),
        ),
        (
            b"MSA|AR|LPS1\rERR|||207|E|904^x\r",
            Integration(positive=False, code="904", label="INS different from the document"),
        ),
        (
            b"MSA|AE|LPS1\rERR||PID^1^3|101^Required^HL70357|E\r",
            Integration(positive=False, code="101", label="Required field missing"),
        ),
        (b"MSA|AE|LPS1\r", Integration(positive=False, code="906", label="Other error")),
        (b"MSA|AR|LPS1\r", Integration(positive=False, code="906", label="Other error", retry=True)),
        (b"MSA|AE|LPS1\rERR|||207|E|12345^x\r", Integration(positive=False, code="906", label="Other error")),
    ],
)
def test_an_answer_is_read(rest: bytes, expected: Integration) -> None:
    assert read_outcome(HEAD + rest) == expected


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(ParseError):
        read_outcome(HEAD)
