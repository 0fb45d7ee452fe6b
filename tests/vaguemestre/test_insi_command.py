"""``insi verify`` against the simulated service, ``insi check``, ``insi datamatrix``."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from channels.errors import ChannelFileError, ConfigError, MessageError, Refused, Undelivered
from connectors.insi.traits import Traits
from tests.connectors.test_insi_channel import CHANNEL, SITE
from tests.transforms.test_ins_datamatrix import RUTH
from vaguemestre.cli import app
from vaguemestre.commands.simulate_insi import build
from vaguemestre.identities import Line, Report, read_lines, verify_all
from vaguemestre.simulators.insi.service import Behaviour, InsiSimulator

HEAD = "id;ins;oid;nom;prenoms;sexe;naissance;lieu\n"
TEST = "1.2.250.1.213.1.4.10"
ROWS = (
    f"1;279035121518989;{TEST};Fictive;Ruth Isabelle;F;19790328;51215\n"
    f"2;2 79 03 51 215 189 89;{TEST};FICTIVE;RUTH;F;1979-03-28;\n"
    f"3;279035121518989;{TEST};AUTRE;RUTH;F;19790328;51215\n"
    f"4;279035121518988;{TEST};FICTIVE;RUTH;F;19790328;51215\n"
    "5;279035121518989;1.2.250.1.213.1.4.8;FICTIVE;RUTH;F;19790328;51215\n"
    f"6;279035121518989;{TEST};FICTIVE;RUTH;F;1979;51215\n"
)
WORDS = ["verified", "verified", "mismatch", "wrong-key", "wrong-domain", "incomplete"]
PERSONAL = ("279035121518989", "FICTIVE", "Fictive", "RUTH", "Ruth", "AUTRE", "1979-03-28", "19790328")


def run(*words: str, **options: str) -> Result:
    return CliRunner().invoke(app, list(words), **options)  # type: ignore[arg-type]  # input, as text


def verify(file: Path, site: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own: it sets the log up once and for all."""
    command = [sys.executable, "-m", "vaguemestre", "insi", "verify", str(file), str(site), "--rate", "50", *words]
    environment = {**os.environ, "P12": "rehearsal"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def insi(pki: Path) -> Iterator[InsiSimulator]:
    """The service, in a thread: the command has an event loop of its own."""
    made, _ = build(pki, None, ["SIMULATEUR"], "1990000001")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(made.start(), loop).result()
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def site(insi: InsiSimulator, pki: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    files = build(pki, None, [], "1990000001")[1]
    text = CHANNEL.format(url=insi.url, authority=files["authority"], policy="verify", more="", ack="")
    text = text.replace("probe: {}", "file: {directory: in}", 1).replace("probe: {}", "file: {directory: out}")
    (folder / "channels").mkdir()
    (folder / "site.yaml").write_text(SITE.format(**files))
    (folder / "channels" / "adt.yaml").write_text(text)
    insi.behaviour, insi.calls = Behaviour(), []
    return folder


def words_of(report: Path) -> list[str]:
    return [line.split(",")[1] for line in report.read_text().splitlines()[1:]]


def test_each_line_has_its_word_and_nothing_of_the_person_is_told(
    site: Path, insi: InsiSimulator, tmp_path: Path
) -> None:
    file, out = tmp_path / "identites.csv", tmp_path / "rapport.csv"
    file.write_text(HEAD + ROWS)
    result = verify(file, site, "--out", str(out))
    assert (result.returncode, words_of(out)) == (1, WORDS)
    assert len(insi.calls) == 3
    assert {rule for one in insi.calls for rule in one.broken} == set()
    told = result.stdout + result.stderr + out.read_text()
    assert not [one for one in PERSONAL if one in told]
    assert out.stat().st_mode & 0o077 == 0


def test_a_second_run_asks_only_about_what_is_not_done(site: Path, insi: InsiSimulator, tmp_path: Path) -> None:
    file, out = tmp_path / "identites.csv", tmp_path / "rapport.csv"
    file.write_text(HEAD + ROWS)
    insi.behaviour = Behaviour(http=503, times=1)
    verify(file, site, "--out", str(out), "--pause", "0")
    assert words_of(out) == ["unreachable", *WORDS[1:]]
    out.write_text(out.read_text() + "7,veri")  # cut by a crash
    result = verify(file, site, "--out", str(out))
    assert (result.returncode, words_of(out)) == (0, ["unreachable", *WORDS[1:], "verified"])
    assert "done before: 5" in result.stdout


def test_a_service_that_fails_is_given_up(site: Path, insi: InsiSimulator, tmp_path: Path) -> None:
    file, out = tmp_path / "identites.csv", tmp_path / "rapport.csv"
    rows = "".join(f"{n};279035121518989;{TEST};FICTIVE;RUTH;F;19790328;51215\n" for n in range(9))
    file.write_text(HEAD + rows)
    insi.behaviour = Behaviour(fault="sim_idam", sender=True)
    result = verify(file, site, "--out", str(out))
    assert (result.returncode, words_of(out)) == (2, ["refused"] * 5)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["--out", "{file}"], "--out is the file of identities itself"),
        (["--out", "{other}"], "is not a report of this command"),
        (["--out", "{new}", "--channel", "adx"], "the channel 'adx' has no step `insi`"),
    ],
)
def test_what_cannot_be_run_is_told(site: Path, tmp_path: Path, arguments: list[str], problem: str) -> None:
    file, other = tmp_path / "identites.csv", tmp_path / "other.csv"
    file.write_text(HEAD + ROWS)
    other.write_text("a,b\n")
    places = {"file": file, "other": other, "new": tmp_path / "new.csv"}
    result = verify(file, site, *(one.format(**places) for one in arguments))
    assert result.returncode == 2
    assert problem in result.stderr


@pytest.mark.parametrize(
    "text, place",
    [
        ("id;ins\n1;2\n", "1:1: a column lacks: birth_date, family, given, oid, sex"),
        (HEAD + "1;2\n", "2:1: a line has 8 columns"),
        (HEAD + ROWS + ROWS[:60].split("\n", maxsplit=1)[0] + ";F;x;y\n", "8:1: "),
        (HEAD + ROWS.replace("2;", "1;", 1), "3:1: the number of the line"),
        (HEAD + ";a;b;c;d;e;f;g\n", "2:1: the number of the line"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_at_its_line(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "identites.csv"
    file.write_text(text)
    with pytest.raises(ChannelFileError) as refusal:
        read_lines(file)
    assert str(refusal.value).startswith(f"identites.csv:{place}")
    assert not [one for one in PERSONAL if one in str(refusal.value)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", ","])
def test_files_of_spreadsheets_are_read(tmp_path: Path, encoding: str, delimiter: str) -> None:
    file = tmp_path / "identites.csv"
    head = "ID;INS;OID;Family;Given;Sex;Birth_date;Birth_place\r\n"
    text = head + "\r\n1;2A;x;Bélœil;Zoë;f;19790328;2a004\r\n"
    file.write_bytes(text.replace("œ", "oe").replace(";", delimiter).encode(encoding))
    (line,) = read_lines(file)
    assert line.traits == Traits("BELOEIL", ("ZOE",), "F", "1979-03-28", "2A004")
    assert "BELOEIL" not in repr(line)


@pytest.mark.parametrize(
    "error, word",
    [(Undelivered("x"), "unreachable"), (Refused("x"), "refused"), (MessageError("x"), "refused-traits")],
)
async def test_each_failure_has_its_word(tmp_path: Path, error: Exception, word: str) -> None:
    async def verify(_number: str, _oid: str, _traits: Traits) -> bool:
        raise error

    report = Report(tmp_path / "r.csv")
    line = Line("1", "279035121518989", TEST, Traits("A", ("B",), "F", "1979-03-28"))
    tally = await verify_all([line], report, "test", verify, pause=0)
    report.close()
    assert dict(tally.words) == {word: 1}


def test_a_report_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text("id,name\n1,x\n")
    with pytest.raises(ConfigError):
        Report(file)
    assert file.read_text() == "id,name\n1,x\n"


@pytest.mark.parametrize(
    "number, code", [("279035121518989", 0), ("2 79 03 51 215 189 89", 0), ("279035121518988", 1), ("x", 1)]
)
def test_the_key_of_a_number_is_checked(number: str, code: int) -> None:
    assert run("insi", "check", number).exit_code == code
    result = run("insi", "check", "-", input=number)
    assert result.exit_code == code
    assert number not in result.output or number == "x"


def test_a_scanned_datamatrix_is_shown(tmp_path: Path) -> None:
    result = run("insi", "datamatrix", "-", input=f"]d1{RUTH}\n")
    assert result.exit_code == 0
    assert json.loads(result.output)["birth_date"] == "1979-03-28"
    file = tmp_path / "scan"
    file.write_text(RUTH.replace("18989S2", "18988S2"))
    result = run("insi", "datamatrix", str(file))
    assert (result.exit_code, json.loads(result.output)["key"]) == (1, "wrong")
    result = run("insi", "datamatrix", "-", input="FICTIVE")
    assert result.exit_code == 1
    assert "FICTIVE" not in result.stderr
