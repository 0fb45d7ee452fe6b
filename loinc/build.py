"""Rebuild the files of ``loinc/data`` that come from public terminology.

``python -m loinc.build FOLDER`` reads, in FOLDER: ``loinc/loinc-lab-subset.csv``, ``loinc/loinc-fr-labels.csv``,
``nabm/nabm-labels.csv`` and ``nabm/nabm-loinc.csv``. The other files of ``data`` (lexicon, specimens, usual tests,
weights) are our own work and are edited by hand.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from loinc.terms import is_code

DATA = Path(__file__).with_name("data")


def build(source: Path, target: Path) -> dict[str, int]:
    """Write ``terms.csv``, ``labels_fr.csv`` and ``nabm.csv`` into ``target``; file name -> rows.

    Raises OSError when a file of ``source`` is missing, ValueError when a code has a wrong check digit.
    """
    loinc, nabm = source / "loinc", source / "nabm"
    terms = (
        (row["LOINC_NUM"], row["LONG_COMMON_NAME"], row["EXAMPLE_UCUM_UNITS"].replace(";", "|"))
        for row in _rows(loinc / "loinc-lab-subset.csv")
    )
    labels = ((row["LOINC_NUM"], row["form"], row["french"]) for row in _rows(loinc / "loinc-fr-labels.csv"))
    return {
        "terms.csv": _write(target / "terms.csv", ("code", "name", "units"), _checked(terms)),
        "labels_fr.csv": _write(target / "labels_fr.csv", ("code", "form", "french"), _checked(labels)),
        "nabm.csv": _write(target / "nabm.csv", ("act", "label", "codes"), _acts(nabm)),
    }


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from csv.DictReader(stream)


def _checked(rows: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    for row in rows:
        if not is_code(row[0]):
            raise ValueError(f"{row[0]}: the check digit is wrong")
        yield row


def _acts(folder: Path) -> Iterator[Sequence[str]]:
    """One row an act: its label and its LOINC codes, blank between them."""
    codes: dict[str, list[str]] = defaultdict(list)
    for row in _rows(folder / "nabm-loinc.csv"):
        codes[row["nabm_code"]].append(row["loinc"])
    for row in _rows(folder / "nabm-labels.csv"):
        yield row["nabm_code"], row["label"].strip(), " ".join(codes[row["nabm_code"]])


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=";", lineterminator="\n")
        writer.writerow(header)
        ordered = sorted(rows, key=lambda row: int(row[0].partition("-")[0]))
        writer.writerows(ordered)
    return len(ordered)


if __name__ == "__main__":
    for file, count in build(Path(sys.argv[1]), DATA).items():
        print(f"{file}: {count} rows")  # noqa: T201  # a program that reports
