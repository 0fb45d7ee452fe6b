"""The engine is killed, its journal torn, its disk filled up, under load: nothing acknowledged is lost or reordered."""

from pathlib import Path

import pytest

from vaguemestre.measure.crash import Options, Result, run


def crash(options: Options) -> Result:
    lines: list[str] = []
    result = run(options, lines.append)
    assert not result.problem, "\n".join(lines)
    return result


@pytest.mark.timeout(120)
def test_what_was_acknowledged_survives_three_kills(tmp_path: Path) -> None:
    result = crash(Options(kills=3, senders=4, seed=7, directory=tmp_path))
    assert result.kills == 3
    assert len(result.recovery) >= 2
    assert result.verdict.acknowledged > 0
    assert (result.verdict.lost, result.verdict.out_of_order, result.verdict.altered) == (0, 0, 0)
    assert result.kept
    assert {"acknowledged", "delivered", "lost", "duplicates", "out_of_order", "kills"} <= result.values().keys()


@pytest.mark.timeout(120)
def test_a_torn_end_of_the_journal_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    result = crash(Options(kills=3, senders=4, seed=11, case="torn-page", segment_size="200kB", directory=tmp_path))
    assert sum(result.torn.values()) == 3
    assert result.verdict.acknowledged > 0
    assert result.verdict.kept


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mount", [True, False], ids=["tmpfs, when root", "quota"])
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path, *, mount: bool) -> None:
    options = Options(senders=4, seed=13, case="full-disk", room=3_000_000, mount=mount, directory=tmp_path)
    result = crash(options)
    assert result.full == 3
    assert result.negative > 0
    assert result.verdict.acknowledged > 0
    assert result.verdict.kept
