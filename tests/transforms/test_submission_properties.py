"""Whatever is asked is read whole; whatever is damaged is refused with its place; no text repeats a value."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.errors import MessageError
from channels.ports import Outcome
from tests.transforms.pfi_requests import DOCUMENT, INS, INS_OID, Ask, Cda, site
from transforms import er7
from transforms.ack import acknowledge
from transforms.paths import parse_path
from transforms.submission import (
    Document,
    Organization,
    Patient,
    Person,
    Recipient,
    Request,
    Sender,
    Submission,
    Visibility,
    decode,
    encode,
)
from transforms.submission.lps import LpsSettings, ReceivedMail, messages
from transforms.submission.request import RequestSettings, read_request

words = st.text(max_size=20)
people = st.builds(Person, words, words, words, words, words)
structures = st.builds(Organization, words, words, words, words)
submissions = st.builds(
    Submission,
    st.builds(Request, words, words, words, words, words, words, words, words, words, words),
    st.sampled_from(["create", "replace", "delete"]),
    st.builds(Patient, *[words] * 12),
    st.lists(
        st.builds(Document, st.binary(max_size=50), words, words, words, words, st.sampled_from([1, 3]), words, words),
        min_size=1,
        max_size=2,
    ).map(tuple),
    st.builds(Sender, st.none() | people, st.none() | structures, words),
    words,
    words,
    st.builds(Visibility, *[st.booleans()] * 5),
    st.booleans(),
    st.lists(
        st.builds(
            Recipient,
            st.sampled_from(["professional", "organization", "application", "patient"]),
            words,
            st.none() | people,
            st.none() | structures,
            words,
            words,
        ),
        max_size=3,
    ).map(tuple),
    words,
    st.booleans(),
    st.booleans(),
    words,
    words,
    st.booleans(),
    st.lists(st.tuples(words, words, words), max_size=2).map(tuple),
    st.lists(words, max_size=2).map(tuple),
)


@given(submissions)
def test_every_submission_survives_its_codec(one: Submission) -> None:
    assert decode(encode(one)) == one


# any request

oids = st.lists(st.integers(0, 99_999), min_size=2, max_size=5).map(lambda parts: "1.2." + ".".join(map(str, parts)))
names = st.text("ABCDEÉÈœÇ-' &|^~\\", min_size=1, max_size=12).map(str.strip).filter(bool)
addresses = st.text("abcdef0123456789.-", min_size=1, max_size=10).map(lambda one: f"{one}@exemple.mssante.fr")


def escaped(text: str) -> str:
    for sign, code in (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("&", "\\T\\"), ("~", "\\R\\")):
        text = text.replace(sign, code)
    return text


@given(
    st.sampled_from(["MDM", "ORU"]),
    st.sampled_from(["create", "replace", "delete"]),
    st.tuples(oids, oids).filter(lambda pair: pair[0] != pair[1]),
    st.lists(st.tuples(names, addresses), min_size=1, max_size=4, unique_by=lambda one: one[1].lower()),
    st.dictionaries(
        st.sampled_from(["CONNEXION_SECRETE", "INVISIBLE_PATIENT", "MASQUE_PS", "ACK_RECEPTION", "ACK_LECTURE_MSS"]),
        st.sampled_from(["Y", "N"]),
    ),
    st.text(max_size=60),
)
def test_a_request_says_what_was_asked(
    kind: str,
    action: str,
    ids: tuple[str, str],
    boxes: list[tuple[str, str]],
    flags: dict[str, str],
    text: str,
) -> None:
    own, before = ids
    document = Cda(unique_id=f'root="{own}"', replaces=f'root="{before}"' if action == "replace" else "")
    recipients = tuple(
        f"801000000065^{escaped(name)}^X^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS||||||||||^^X.400^{address}"
        for name, address in boxes
    )
    data = base64.b64encode(text.encode("utf-8", "replace")).decode()
    mail = f"OBX|20|ED|CORPSMAIL_PS^-^MetaDMPMSS||^text^^Base64^{data}||||||F"
    ask = Ask(
        kind, action, (document.bytes(),), unique_id=own, replaced=before, recipients=recipients,
        flags={"DESTDMP": "Y", "DESTMSSANTEPS": "Y", **flags}, extra=(mail,),
    )  # fmt: skip
    made, _ = read_request(er7.message(ask.bytes()), site())
    assert (made.action, made.to_dmp) == (action, True)
    assert [(one.person and one.person.family, one.address) for one in made.recipients] == boxes
    assert (made.documents[0].unique_id, made.documents[0].content) == (own, document.bytes())
    assert made.documents[0].replaces == (before if action == "replace" else "")
    said = made.visibility
    assert (said.secret_connection, said.hidden_patient, said.masked_professionals) == tuple(
        flags.get(name) == "Y" for name in ("CONNEXION_SECRETE", "INVISIBLE_PATIENT", "MASQUE_PS")
    )
    assert (made.wants_reception, made.wants_reading) == tuple(
        flags.get(name) == "Y" for name in ("ACK_RECEPTION", "ACK_LECTURE_MSS")
    )
    assert made.mail_professional == text.encode("utf-8", "replace").decode()
    assert decode(encode(made)) == made


# damage

BODY = Ask(
    action="replace", documents=(Cda(replaces='root="1.2.250.1.999999.1.8.1"').bytes(),),
    flags={"DESTDMP": "Y", "DESTMSSANTEPS": "Y", "ACK_RECEPTION": "Y"},
).bytes()  # fmt: skip
LINES = BODY.split(b"\r")[:-1]
LEVELS = ("tolerant", "strict")


def outcome(body: bytes, level: str) -> MessageError | Submission:
    """A submission, or a refusal whose place the acknowledgement can name."""
    try:
        message = er7.message(body)
        made, findings = read_request(message, site(), RequestSettings.model_validate({"level": level}))
    except MessageError as error:
        if error.place:
            parse_path(error.place)
        return error
    for one in findings:
        parse_path(one.place)
    return made


def _damages() -> dict[str, bytes]:
    found = {}
    for number, line in enumerate(LINES):
        name = line[:3].decode()
        found[f"without segment {number} {name}"] = b"\r".join([*LINES[:number], *LINES[number + 1 :]]) + b"\r"
        found[f"segment {number} {name} twice"] = b"\r".join([*LINES[: number + 1], *LINES[number:]]) + b"\r"
        found[f"truncated in {number} {name}"] = b"\r".join([*LINES[:number], line[: len(line) // 2]]) + b"\r"
        found[f"segment {number} {name} without fields"] = b"\r".join([*LINES[:number], line[:4], *LINES[number + 1 :]])
        fields = line.split(b"|")
        for index in range(1 if name != "MSH" else 8, len(fields)):
            if fields[index]:
                changed = b"|".join([*fields[:index], b"\xff?^~&", *fields[index + 1 :]])
                body = b"\r".join([*LINES[:number], changed, *LINES[number + 1 :]]) + b"\r"
                found[f"{name} {number} field {index} is nonsense"] = body
    return found


DAMAGES = _damages()


def test_there_are_more_than_a_hundred_damages() -> None:
    assert len(DAMAGES) > 150


@pytest.mark.parametrize("level", LEVELS)
def test_every_damage_gives_a_request_or_a_refusal_with_its_place(level: str) -> None:
    refusals = [name for name, body in DAMAGES.items() if isinstance(outcome(body, level), MessageError)]
    assert len(refusals) > (55 if level == "tolerant" else 100)


def test_no_damage_changes_the_patient_the_document_or_the_action() -> None:
    intact = outcome(BODY, "tolerant")
    assert isinstance(intact, Submission)
    for name, body in DAMAGES.items():
        made = outcome(body, "tolerant")
        if isinstance(made, Submission):
            assert made.patient.ins in ("", INS), name
            assert made.action == intact.action, name
            assert [one.content for one in made.documents] == [one.content for one in intact.documents], name
            assert not made.to_dmp or made.patient.ins == INS, name


@settings(max_examples=300)
@given(st.data())
def test_no_noise_is_a_traceback(data: st.DataObject) -> None:
    body = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(4, len(body) - 1))
        if data.draw(st.booleans()):
            body[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=5))
        else:
            body[at] = data.draw(st.sampled_from(b'|^~&\\\rA0\x00\xc3<>"'))
    outcome(bytes(body), data.draw(st.sampled_from(LEVELS)))


# no text repeats a value

MARK = "ZQXSECRET"


def _marked() -> list[tuple[str, bytes]]:
    """Requests whose every value has the mark, damaged in every way."""
    found: dict[str, Any] = {
        "family": Cda(family=MARK),
        "id": Cda(unique_id=f'root="{MARK}"'),
        "code": Cda(code=MARK),
        "patient": Cda(patient_ids=f'<id root="{INS_OID}" extension="{MARK}"/>'),
        "birth": Cda(birth=MARK),
        "sex": Cda(sex=MARK),
        "place": Cda(place=MARK),
        "replaces": Cda(replaces=f'root="{MARK}"'),
        "broken": Cda(body=f"<{MARK}"),
    }
    bodies = [(name, Ask(documents=(one.bytes(),)).bytes()) for name, one in found.items()]
    for name, body in DAMAGES.items():
        marked = body.replace(b"FICTIVE", MARK.encode()).replace(b"\xff?^~&", MARK.encode())
        bodies.append((name, marked.replace(b"MEDICO", MARK.encode())))
    return bodies


def _said(body: bytes, own: RequestSettings) -> str:
    """Every text that reading a request gives: findings, the error, and its acknowledgement."""
    try:
        message = er7.message(body)
    except MessageError as error:
        return str(error)
    try:
        _, findings = read_request(message, site(), own)
    except MessageError as error:
        answer = acknowledge(message.view(er7.header_of), Outcome(1, error)).decode("utf-8", "replace")
        return f"{error} {error.place} {error.problem} {answer.partition(chr(13) + 'ERR')[2]}"
    return " ".join(f"{one.place} {one.problem}" for one in findings)


@pytest.mark.parametrize("level", LEVELS)
def test_no_error_or_finding_repeats_a_value(level: str) -> None:
    values = (MARK, INS, DOCUMENT, "RUTH", "19790328", "camille.medico", "700123")
    for name, body in _marked():
        for chosen in ("refuse", "leave_out"):
            own = RequestSettings.model_validate({"level": level, "not_for_dmp": chosen})
            said = _said(body, own)
            assert not [one for one in values if one in said], name


def test_no_error_of_a_received_mail_repeats_a_value() -> None:
    for name, document in (
        ("patient", Cda(patient_ids=f'<id root="{INS_OID}" extension="{MARK}"/>')),
        ("birth", Cda(birth="")),
        ("broken", Cda(body=f"<{MARK}")),
    ):
        received = ReceivedMail(f"<{MARK}>", MARK, MARK, (MARK,), (document.bytes(),), MARK, patient=Patient(ins=MARK))
        with pytest.raises(MessageError) as caught:
            messages(received, LpsSettings(), at=_AT, ins_domain="test")
        assert MARK not in str(caught.value), name


_AT = datetime(2026, 3, 12, tzinfo=UTC)
