"""Business acknowledgements, codes of mail servers, and consents."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.errors import ParseError
from connectors.shared.submissions import Due, Outcome
from transforms import er7
from transforms.submission import zam
from transforms.submission.consent import read_consent
from transforms.submission.smtp import SMTP_CODES, smtp_code

GOLDEN = Path(__file__).resolve().parent.parent / "messages" / "pfi"
AT = datetime(2026, 3, 12, 15, 0, 7, tzinfo=UTC)
ADDRESS = "camille.medico@exemple.mssante.fr"

OUTCOMES = {
    "zam-z01-yes": Outcome("Z01", positive=True),
    "zam-z01-no": Outcome("Z01", positive=False, code="DMPClosed", label="DMP fermé", system="DMP_ERROR_CODE"),
    "zam-z02-yes": Outcome("Z02", positive=True, address=ADDRESS, reader="801000000065"),
    "zam-z02-no": Outcome("Z02", positive=False, code="550", label=SMTP_CODES["550"], address=ADDRESS),
    "zam-z03-yes": Outcome("Z03", positive=True, address=ADDRESS),
    "zam-z03-no": Outcome("Z03", positive=False, code="902", address=ADDRESS),
}


def due(outcome: Outcome, profile: str = "2.1") -> Due:
    return Due(7, "PFI555", "DPI900", outcome, "DPI", "CH-TEST", "PFI", "CH & TEST", "T", profile, AT.timestamp())


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_acknowledgement_is_written_as_the_volet_says(name: str) -> None:
    written = zam.write(due(OUTCOMES[name]), at=AT)
    assert written.decode().replace("\r", "\n") == (GOLDEN / f"{name}.hl7").read_text("utf-8")


@pytest.mark.parametrize("profile", ["2.1", "2.0", "1.2", ""])
@pytest.mark.parametrize("name", OUTCOMES)
def test_what_is_written_is_read_again(name: str, profile: str) -> None:
    one = due(OUTCOMES[name], profile)
    found = zam.read(zam.write(one, at=AT))
    outcome = one.outcome
    assert (found.kind, found.positive, found.of, found.control_id) == (
        outcome.kind,
        outcome.positive,
        "DPI900",
        "PFI555",
    )
    assert (found.address, found.reader) == (outcome.address, outcome.reader)
    assert found.code == outcome.code
    assert (found.sending_application, found.receiving_application, found.processing_id) == ("PFI", "DPI", "T")
    assert found.profile == (profile or "2.1")
    assert found.time == found.event_time == "20260312150007"


def test_a_value_cannot_begin_a_segment() -> None:
    outcome = replace(OUTCOMES["zam-z02-no"], label="a\rERR|x^y&z", address="a|b@c.fr")
    lines = zam.write(due(outcome), at=AT).split(b"\r")
    assert [one[:3] for one in lines] == [b"MSH", b"EVN", b"OBX", b"OBX", b"ERR", b""]
    assert zam.read(b"\r".join(lines)).address == "a|b@c.fr"


@pytest.mark.parametrize(
    "body,place",
    [
        (b"MSH|^~\\&|A|B|C|D|20260101||ACK^Z01^ACK|1|P|2.6\rMSA|AA|1\r", "MSH-9"),
        (b"MSH|^~\\&|A|B|C|D|20260101||ZAM^Z09^ZAM_Z01|1|P|2.6\rOBX|1\r", "MSH-9"),
        (b"MSH|^~\\&|A|B|C|D|20260101||ZAM^Z01^ZAM_Z01|1|P|2.6\rOBX|1|CWE|A|X|O\r", "OBX-5"),
        (b"MSH|^~\\&|A|B|C|D|20260101||ZAM^Z01^ZAM_Z01|1|P|2.6\rOBX|1|CWE|A||Y\r", "OBX-4"),
    ],
)
def test_what_is_no_acknowledgement_is_refused(body: bytes, place: str) -> None:
    with pytest.raises(ParseError) as caught:
        zam.read(body)
    assert caught.value.place == place


@pytest.mark.parametrize(
    "text,code",
    [
        ("smtp; 550 5.1.1 <a@b.fr>: Recipient address rejected: User unknown", "550"),
        ("smtp;552-5.2.2 mailbox full", "552"),
        ("421 4.4.2 timeout", "421"),
        ("smtp; 571 Delivery not authorized", "554"),
        ("smtp; 454 4.7.1 relay access denied", "451"),
        ("4.2.2", "451"),
        ("5.2.2", "554"),
        ("", "554"),
        ("the mailbox 42 has no room", "554"),
        ("x-unix; something", "554"),
    ],
)
def test_an_answer_of_a_mail_server_has_its_code(text: str, code: str) -> None:
    assert smtp_code(text) == (code, SMTP_CODES[code])


def test_the_list_of_codes_is_that_of_the_volet() -> None:
    volet = (
        "101 111 251 252 420 421 422 431 432 441 442 450 451 452 500 501 502 503 504 510 512 513 523 530 541 550 551"
    )
    assert sorted(SMTP_CODES) == [*volet.split(), "552", "553", "554"]


# consents

HEAD = "MSH|^~\\&|GAP|CH-TEST|PFI|CH-TEST|20260310083015||ADT^A01^ADT_A01|GAP1|P|2.5^FRA^2.11\rEVN||{at}\r"
PID = "PID|1||700123^^^CH-TEST&990000001&M^PI~279035121518989^^^INS&1.2.250.1.213.1.4.10&ISO^INS\r"


def adt(zfa: str, at: str = "20260310083015", pid: str = PID) -> bytes:
    return (HEAD.format(at=at) + pid + zfa).encode()


def test_a_consent_names_its_patient_in_every_spelling() -> None:
    facts = read_consent(er7.message(adt("ZFA|ACTIF|2026|||||||INO|20260310|IC|20260310\r")), "1.2.3")
    assert facts is not None
    assert facts.identifiers == (
        ("1.2.250.1.213.1.4.10", "279035121518989"),
        ("990000001", "700123"),
        ("CH-TEST", "700123"),
        ("1.2.3", "700123"),
    )
    assert facts.at == datetime(2026, 3, 10, 7, 30, 15, tzinfo=UTC).timestamp()
    assert (facts.dmp, facts.feeding, facts.consultation) == ("ACTIF", "INO", "IC")
    assert (facts.feeding_date, facts.consultation_date, facts.dmp_collected) == ("20260310", "20260310", "2026")


def test_a_time_with_a_zone_is_that_instant() -> None:
    facts = read_consent(er7.message(adt("ZFA|FERME\r", "20260310083015+0400")))
    assert facts is not None
    assert facts.at == datetime(2026, 3, 10, 4, 30, 15, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "zfa,pid",
    [
        ("", PID),
        ("ZFA\r", PID),
        ("ZFA||||||||||\r", PID),
        ("ZFA|autre||||||||peut-être\r", PID),
        ("ZFA|ACTIF\r", ""),
        ("ZFA|ACTIF\r", "PID|1||\r"),
        ('ZFA|""||||||||""\r', PID),
    ],
)
def test_nothing_said_erases_nothing(zfa: str, pid: str) -> None:
    assert read_consent(er7.message(adt(zfa, pid=pid))) is None


def test_codes_are_read_in_any_case() -> None:
    facts = read_consent(er7.message(adt("ZFA|Fermé|||||||| io \r")))
    assert facts is not None
    assert (facts.dmp, facts.feeding, facts.consultation) == ("FERME", "IO", "")


@pytest.mark.parametrize("at", ["", "2026", "20261350999999", "hier"])
def test_a_time_that_cannot_be_read_is_that_of_the_next_best(at: str) -> None:
    facts = read_consent(er7.message(adt("ZFA|ACTIF\r", at)))
    assert facts is not None
    assert facts.at == datetime(2026, 3, 10, 7, 30, 15, tzinfo=UTC).timestamp()
