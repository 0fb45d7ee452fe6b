"""A submission keeps the order of its patient, and is found by the patient's numbers."""

import pytest

from channels.errors import ParseError
from channels.message import Message
from transforms.submission import Document, Patient, Request, Submission, encode
from transforms.submission.format import FORMAT


def message(patient: Patient, size: int = 10) -> Message:
    document = Document(b"x" * size, "1.2.3", "11502-2")
    return Message(encode(Submission(Request("k", "1"), "create", patient, (document,))), "submission")


@pytest.mark.parametrize(
    "patient, keys, found",
    [
        (Patient(ins="I", local_id="L"), ("L",), ["L", "I"]),
        (Patient(ins="I"), ("I",), ["I"]),
        (Patient(local_id='É"\\', family="x" * 500), ('É"\\',), ['É"\\']),
        (Patient(family="X"), (), []),
    ],
)
@pytest.mark.parametrize("size", [10, 100_000])
def test_the_patient_is_the_lane(patient: Patient, keys: tuple[str, ...], found: list[str], size: int) -> None:
    assert FORMAT.index(message(patient, size), ("patient",)) == (keys, [("patient", one) for one in found])
    assert FORMAT.index(message(patient), ("channel",))[0] == ()


@pytest.mark.parametrize("body", [b"", b"MSH|", b'{"patient":', b'{"documents":[]}'])
def test_what_is_no_submission_is_said(body: bytes) -> None:
    with pytest.raises(ParseError):
        FORMAT.index(Message(body, "submission"), ("patient",))
