"""Damaged messages: each gives a document that says what the message says, or a refusal with its place."""

import random
import re
from collections.abc import Callable

import pytest
from lxml import etree

from channels.errors import MessageError
from tests.transforms.laboratory import COPY, MESSAGES, context, fixture
from tests.transforms.test_cda import structure
from transforms import er7
from transforms.cda import write
from transforms.cda.reader import read_document
from transforms.compare import compare
from transforms.oru import read_report
from transforms.report import Quantity
from transforms.validation import validate

NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))
Damage = Callable[[list[str], random.Random], list[str]]


def _pick(lines: list[str], chance: random.Random, *starts: str) -> int:
    found = [number for number, line in enumerate(lines) if line.startswith(starts)]
    return chance.choice(found or [len(lines) - 1])


def _with_field(lines: list[str], number: int, field: int, raw: str) -> list[str]:
    cells = lines[number].split("|")
    cells += [""] * (field + 1 - len(cells))
    cells[field] = raw
    return [*lines[:number], "|".join(cells), *lines[number + 1 :]]


def _field(start: str, field: int, *values: str) -> Damage:
    def damage(lines: list[str], chance: random.Random) -> list[str]:
        return _with_field(lines, _pick(lines, chance, start), field, chance.choice(values))

    return damage


def _cut(lines: list[str], chance: random.Random) -> list[str]:
    text = "\r".join(lines)
    return text[: chance.randrange(80, len(text))].split("\r")


def _drop(lines: list[str], chance: random.Random) -> list[str]:
    number = chance.randrange(1, len(lines))
    return lines[:number] + lines[number + 1 :]


def _twice(lines: list[str], chance: random.Random) -> list[str]:
    number = chance.randrange(1, len(lines))
    return [*lines[: number + 1], lines[number], *lines[number + 1 :]]


def _swap(lines: list[str], chance: random.Random) -> list[str]:
    one, other = sorted(chance.sample(range(1, len(lines)), 2))
    return [*lines[:one], lines[other], *lines[one + 1 : other], lines[one], *lines[other + 1 :]]


def _empty(lines: list[str], chance: random.Random) -> list[str]:
    number = chance.randrange(1, len(lines))
    return _with_field(lines, number, chance.randrange(1, lines[number].count("|") + 1), "")


def _null(lines: list[str], chance: random.Random) -> list[str]:
    number = chance.randrange(1, len(lines))
    return _with_field(lines, number, chance.randrange(1, lines[number].count("|") + 1), '""')


def _shifted(lines: list[str], chance: random.Random) -> list[str]:
    number = chance.randrange(1, len(lines))
    cells = lines[number].split("|")
    cells.insert(chance.randrange(1, len(cells)), "X")
    return [*lines[:number], "|".join(cells), *lines[number + 1 :]]


def _other_patient(lines: list[str], chance: random.Random) -> list[str]:
    pid = lines[_pick(lines, chance, "PID")].replace("MODELE", "AUTRE")
    number = _pick(lines, chance, "OBR", "ORC")
    return [*lines[:number], pid, *lines[number:]]


def _no_orders(lines: list[str], chance: random.Random) -> list[str]:
    return [line for line in lines if not line.startswith(("ORC", "OBR"))]


DAMAGES: dict[str, Damage] = {
    "truncated": _cut,
    "segment lost": _drop,
    "segment twice": _twice,
    "segments swapped": _swap,
    "field emptied": _empty,
    "field null": _null,
    "fields shifted": _shifted,
    "another patient": _other_patient,
    "no order": _no_orders,
    "impossible date": _field("OBX", 19, "20261332", "2026-02-31", "99999999", "hier", "20260310256199"),
    "impossible collection": _field("OBR", 7, "00001301", "20260230", "X"),
    "impossible birth": _field("PID", 7, "19901315", "15/06/90", "1850", "21990101"),
    "result without code": _field("OBX", 3, "", "^^L", "^^^^^", "^&"),
    "wrong LOINC": _field("OBX", 3, "1988-6^CRP^LN", "CRP^CRP^L^abc^CRP^LN", "1988-5^^LN^1988-4^^LN"),
    "unknown unit": _field("OBX", 6, "bouteilles", "mg/l/l", "µµ", "^^UCUM", "mmol"),
    "odd value": _field("OBX", 5, "1,2,3", "--5", "1e5", "NaN", "<<3", "\\X00\\", "^^^", "&&&", "~~~", "1.2.3"),
    "odd type": _field("OBX", 2, "ZZ", "NM ", "ED", "RP", "CX", "nm", "MA"),
    "odd status": _field("OBX", 11, "Q", "f", "FF", "~", "D", "W"),
    "odd order status": _field("OBR", 25, "Q", "f", "FINAL", "X"),
    "odd range": _field("OBX", 7, "10-5", "5-", "-", "<", "a-b", "1 - 2 - 3", "\\.br\\"),
    "odd flag": _field("OBX", 8, "~", "HH~HH", "é", "<&>", "H^^"),
    "odd link": _field("OBR", 26, "x", "^^^", "&&&^1", "630-4&&LN^1^^"),
    "odd parent": _field("OBR", 29, "^", "LAB-900211", "^LAB-900211&&&", "~"),
    "odd biologist": _field("OBR", 32, "&&&", "1", "DURAND^ANNE", "~~", "801000000058&&"),
    "odd laboratory": _field("OBX", 23, "INCONNU", "^^^^^^^^^1999999999", "&", "LABX"),
    "odd sex": _field("PID", 8, "X", "3", "~", "f"),
    "odd identity": _field("PID", 3, "", "^^^^PI", "1~2~3", "290067505600228^^^&1.2.250.1.213.1.4.10&ISO^INS"),
    "odd identity status": _field("PID", 32, "vali", "VALI~PROV", "QUAL", "^"),
    "odd specimen": _field("SPM", 4, "", "&&", "SER^Sérum^HL70487^^^~PLAS", "^", "ZZZ"),
    "odd sampling": _field("SPM", 17, "20260399", "20260310071500^20260309", "^", "0"),
    "odd number": _field("OBR", 3, "", "^SGL", "&", "1^2^3^4"),
}


def document_or_place(body: bytes) -> None:
    report, place = None, "?"
    try:
        report = read_report(er7.message(body), context())
    except MessageError as error:
        place = error.place
    assert re.match(r"[A-Z?]", place)
    if report is None:
        return
    written = write(report, report.copies or COPY)
    structure(etree.fromstring(written))
    assert {one.rule for one in validate(written, None, "test").errors} <= {"interpretation"}
    again = read_document(written, context())
    assert [one for one in compare(report, again) if not one.name.startswith("copy")] == []
    source = body.decode("utf-8", "replace")
    for result in report.results():
        assert all(value.source in source for value in result.values if isinstance(value, Quantity))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_message_gives_a_document_or_a_refusal(name: str, damage: str) -> None:
    lines = fixture(name).body.decode().rstrip("\r").split("\r")
    for seed in range(4):
        chance = random.Random(f"{name} {damage} {seed}")
        document_or_place(("\r".join(DAMAGES[damage](lines, chance)) + "\r").encode())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", sorted(DAMAGES)[::4])
def test_two_damages_at_once(name: str, first: str) -> None:
    lines = fixture(name).body.decode().rstrip("\r").split("\r")
    chance = random.Random(f"{name} {first}")
    for second in sorted(DAMAGES)[::5]:
        damaged = DAMAGES[first](lines, chance)
        if len(damaged) > 3:
            document_or_place(("\r".join(DAMAGES[second](damaged, chance)) + "\r").encode())


@pytest.mark.parametrize("charset", ["latin-1", "utf-16-le", "cp1252", "cp850", "mac-roman"])
@pytest.mark.parametrize("name", NAMES)
def test_a_message_that_is_not_in_the_charset_it_says(name: str, charset: str) -> None:
    document_or_place(fixture(name).body.decode().encode(charset, "replace"))


@pytest.mark.parametrize("body", [b"", b"MSH", b"MSH|^~\\&", b"PID|1", b"\x00" * 200, b"MSH|^~\\&|" + b"A" * 5000])
def test_what_is_hardly_a_message(body: bytes) -> None:
    with pytest.raises(MessageError):
        read_report(er7.message(body), context())


def test_another_patient_is_always_refused() -> None:
    for name in NAMES:
        lines = fixture(name).body.decode().rstrip("\r").split("\r")
        body = ("\r".join(_other_patient(lines, random.Random(name))) + "\r").encode()
        with pytest.raises(MessageError) as caught:
            read_report(er7.message(body), context())
        assert caught.value.place.startswith("PID")
