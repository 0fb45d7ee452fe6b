"""The PFI is killed and cut from the DMP and the mailboxes: every result is published once and mailed once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vaguemestre.cli import app
from vaguemestre.measure.pfi_compare import Mailed, Published, Told, Wanted, compare
from vaguemestre.measure.pfi_crash import Options, Result, run

WANTED = Wanted({"C1": ("A", 1), "C2": ("A", 2)}, {("A", 1): ("d@x", "p@x"), ("A", 2): ("d@x", "p@x")}, ["C1", "C2"])
PUBLISHED = [Published(("A", 1), "1.1", "chain", 1, False), Published(("A", 2), "1.2", "chain", 2, True)]
MAILED = [Mailed(("A", n), to, f"<{n}.{to}>") for n in (1, 2) for to in ("d@x", "p@x")]
TOLD = [Told(f"C{n}", "Z01", True, "", f"Z{n}") for n in (1, 2)]


@pytest.mark.timeout(180)
def test_every_result_is_published_once_and_mailed_once_after_three_kills(tmp_path: Path) -> None:
    lines: list[str] = []
    result = run(Options(kills=3, senders=2, patients=2, seed=7, directory=tmp_path), lines.append)
    assert not result.problem, "\n".join(lines)
    assert result.kept, result.values()
    assert result.kills == 3
    assert result.verdict.acknowledged > 5
    assert result.verdict.published == result.verdict.acknowledged
    assert result.verdict.mailed == 2 * result.verdict.acknowledged
    assert result.verdict.corrections > 0
    assert sum(result.cuts.values()) > 0


def test_what_went_well_is_judged_so() -> None:
    verdict = compare(WANTED, PUBLISHED, [*MAILED, MAILED[0]], [*TOLD, TOLD[0]], 1)
    assert verdict.kept
    assert (verdict.acknowledged, verdict.published, verdict.mailed, verdict.told) == (2, 2, 4, 2)
    assert (verdict.mails_repeated, verdict.told_repeated, verdict.refused_duplicates) == (1, 1, 1)


@pytest.mark.parametrize(
    "found, published, mailed, told",
    [
        ("unpublished", PUBLISHED[1:], MAILED, TOLD),
        ("published_twice", [*PUBLISHED, PUBLISHED[0]], MAILED, TOLD),
        ("published_twice", [*PUBLISHED, replace(PUBLISHED[0], unique_id="1.3")], MAILED, TOLD),
        ("misplaced", [PUBLISHED[0], replace(PUBLISHED[1], chain="other")], MAILED, TOLD),
        ("misplaced", [replace(PUBLISHED[0], current=True), PUBLISHED[1]], MAILED, TOLD),
        ("misplaced", [PUBLISHED[0], replace(PUBLISHED[1], place=1)], MAILED, TOLD),
        ("unmailed", PUBLISHED, MAILED[1:], TOLD),
        ("mailed_twice", PUBLISHED, [*MAILED, replace(MAILED[0], message_id="<other>")], TOLD),
        ("faulty", PUBLISHED, [replace(MAILED[0], faulty=True), *MAILED[1:]], TOLD),
        ("unknown", PUBLISHED, [*MAILED, Mailed(("A", 1), "nobody@x", "<other>")], TOLD),
        ("untold", PUBLISHED, MAILED, TOLD[1:]),
        ("told_twice", PUBLISHED, MAILED, [*TOLD, replace(TOLD[0], control_id="Z9")]),
        ("told_no", PUBLISHED, MAILED, [*TOLD, Told("C1", "Z02", False, "d@x", "Z8")]),
    ],
)
def test_what_went_wrong_is_found(
    found: str, published: list[Published], mailed: list[Mailed], told: list[Told]
) -> None:
    verdict = compare(WANTED, published, mailed, told)
    assert not verdict.kept
    assert getattr(verdict, found) > 0


@pytest.mark.timeout(120)
def test_the_command_tells_what_it_found(tmp_path: Path) -> None:
    asked = [
        "crashtest",
        "--case",
        "pfi",
        "--kills",
        "1",
        "--senders",
        "1",
        "--seed",
        "5",
        "--directory",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, [*asked, "--json"])
    assert result.exit_code == 0, result.output
    values = json.loads(result.output)
    assert (values["case"], values["kills"], values["problem"]) == ("pfi", 1, "")
    assert values["published"] == values["acknowledged"]


def test_a_result_is_good_only_when_the_engine_came_back() -> None:
    verdict = compare(WANTED, PUBLISHED, MAILED, TOLD)
    result = Result(Options(), verdict, 2, 1.5, [0.9, 0.5, 0.7])
    assert result.kept
    assert result.values()["recovery_s"] == {"median": 0.7, "worst": 0.9}
    assert not replace(result, problem="the engine does not come back").kept
