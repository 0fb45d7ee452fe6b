"""The step ``validate`` in its worker process, when the rules are not there any more: no message is lost for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from channels.errors import ProfileError, WorkerError
from channels.message import Message
from channels.workers import Workers
from tests.transforms.test_validation import SCHEMA, small_rules

SITE = 'site: essai\nestablishment: {name: CH de Testville, finess: "990000001"}\nrules: rules\n'
CHANNEL = """\
channel: cda
source:
  file: {directory: in}
destinations:
  - name: warned
    transform: [{validate: warn}]
    file: {directory: out}
  - name: refused
    transform: [{validate: refuse}]
    file: {directory: out}
"""
GOOD = Message(b'<section xmlns="urn:hl7-org:v3"><code code="a"/></section>', "cda")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("channels", "in", "out", "rules"):
        (tmp_path / name).mkdir()
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "channels" / "cda.yaml").write_text(CHANNEL)
    small_rules(tmp_path / "rules", SCHEMA)
    return tmp_path


@pytest.fixture
async def pool(site: Path) -> AsyncIterator[Workers]:
    workers = Workers(site, 1)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.mark.parametrize("destination", ["warned", "refused"])
@pytest.mark.parametrize("gone", ["rules", "rules/small.sch", "rules/any.xsd", "rules/pack.json"])
async def test_a_document_waits_until_the_rules_are_back(
    site: Path, pool: Workers, destination: str, gone: str
) -> None:
    path, away = site / gone, site / "away"
    path.rename(away)
    with pytest.raises(WorkerError) as waiting:
        await pool.run("cda", destination, GOOD, 0)
    assert waiting.value.retry
    assert path.name in str(waiting.value)
    away.rename(path)
    if destination == "refused":  # it is no CR-Bio, as our own rules find
        with pytest.raises(ProfileError, match="own model"):
            await pool.run("cda", destination, GOOD, 0)
        return
    (made,) = await pool.run("cda", destination, GOOD, 0)
    assert made.body == GOOD.body
    assert "small" not in made.attributes["validation"]
