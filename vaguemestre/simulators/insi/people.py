"""Invented people, with numbers under the test authority; a site may bring a table of its own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from channels.errors import ConfigError

_COLUMNS = ["number", "oid", "family", "given", "sex", "birth_date", "birth_place", "former"]
_TEST = ("1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11")


@dataclass(frozen=True, slots=True)
class Person:
    """One identity. number: 15 characters; given: names with spaces between; former: an INS that was in use before."""

    number: str
    oid: str
    family: str
    given: str
    sex: str
    birth_date: str
    birth_place: str
    former: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Traits of a request; given: one text an element."""

    family: str
    given: tuple[str, ...]
    sex: str
    birth_date: str
    birth_place: str


def read_people(file: Path | None) -> list[Person]:
    """The people of a table (CSV), or those of the package. Raises ConfigError for a table that is none."""
    source = file if file is not None else files("vaguemestre.simulators.insi") / "data" / "people.csv"
    rows = csv.reader(source.read_text("utf-8").splitlines())
    name = file.name if file is not None else "people.csv"
    if next(rows, None) != _COLUMNS:
        raise ConfigError(f"{name}:1:1: the columns are {', '.join(_COLUMNS)}")
    found = []
    for row in filter(None, rows):
        if len(row) != len(_COLUMNS) or row[1] not in _TEST:
            raise ConfigError(f"{name}:{rows.line_num}:1: a row has {len(_COLUMNS)} columns, and a test OID")
        found.append(Person(*row))
    return found


def matching(people: list[Person], asked: Asked) -> list[Person]:
    """Who has these traits: all given names as they are listed, or one of them; the birth place when it is asked."""
    return [one for one in people if _fits(one, asked)]


def _fits(person: Person, asked: Asked) -> bool:
    known, given = person.given.split(), " ".join(asked.given).split()
    same_given = given == known or (len(given) == 1 and given[0] in known)
    same_place = asked.birth_place in ("", person.birth_place)
    rest = (person.family, person.sex, person.birth_date) == (asked.family, asked.sex, asked.birth_date)
    return rest and same_given and same_place
