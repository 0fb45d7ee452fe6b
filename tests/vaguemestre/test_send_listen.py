"""``send`` and ``listen``, one program against the other."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import vaguemestre
from tests.connectors import certificates
from vaguemestre.cli import app
from vaguemestre.simulators.traffic import Traffic

CASES = Path(vaguemestre.__file__).parent / "example" / "cases"
ADT = CASES / "adt_a01_inpatient.hl7"


@dataclass
class Listening:
    """A ``listen`` that runs."""

    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def output(self) -> tuple[str, str]:
        out, err = self.process.communicate(timeout=30)
        return out, err


@contextmanager
def listening(*words: object) -> Iterator[Listening]:
    command = [sys.executable, "-m", "vaguemestre", "listen", "0", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("listening on 127.0.0.1:"), line
        try:
            yield Listening(process, int(line.rpartition(":")[2]))
        finally:
            process.terminate()


def send(*words: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["send", *map(str, words)], input=stdin)


def rows(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_message_arrives_byte_for_byte_and_its_answer_is_shown(tmp_path: Path) -> None:
    with listening("--save", tmp_path / "got", "--count", 1) as there:
        made = send(there.address, ADT)
        out, err = there.output()
    assert made.exit_code == 0, made.output
    assert "AA  ADT^A01 GAP000101" in made.stdout
    assert "1 messages in" in made.stdout
    assert "ADT^A01  GAP000101" in out
    assert "1 messages received" in err
    assert (tmp_path / "got" / "000001-GAP000101.hl7").read_bytes() == ADT.read_bytes()


def test_scripted_answers_are_given_in_order_and_the_last_goes_on() -> None:
    with listening("--answers", "AR,ae,AA") as there:
        made = send(there.address, ADT, "--repeat", 5, "--json")
    assert made.exit_code == 1
    *messages, summary = rows(made)
    assert [one["code"] for one in messages] == ["AR", "AE", "AA", "AA", "AA"]
    assert summary["answers"] == {"AR": 1, "AE": 1, "AA": 3}
    assert summary["sent"] == 5


def test_a_cut_connection_is_opened_again() -> None:
    with listening("--answers", "close,AA") as there:
        made = send(there.address, ADT, "--repeat", 2, "--json")
    assert made.exit_code == 1
    assert [one["code"] for one in rows(made)[:2]] == ["", "AA"]
    assert "closed without an answer" in str(rows(made)[0]["problem"])


def test_a_file_has_many_messages_and_several_connections_share_them(tmp_path: Path) -> None:
    traffic = Traffic(1)
    file = tmp_path / "day.hl7"
    file.write_bytes(b"".join(traffic.adt().body for _ in range(30)))
    with listening("--json", "--count", 30) as there:
        made = send(there.address, file, "--connections", 4, "--rate", 2000)
        out, _ = there.output()
    assert made.exit_code == 0
    received = [json.loads(line) for line in out.splitlines()]
    assert len({one["control_id"] for one in received}) == 30
    assert all(one["answer"] == "AA" for one in received)


def test_messages_come_from_standard_input() -> None:
    with listening() as there:
        made = send(there.address, "-", stdin=ADT.read_bytes())
    assert made.exit_code == 0


def test_nobody_at_the_address_is_told() -> None:
    made = send("127.0.0.1:1", ADT)
    assert made.exit_code == 2
    assert "none" in made.stdout


def test_no_answer_in_time_is_told() -> None:
    with listening("--delay", 30) as there:
        made = send(there.address, ADT, "--timeout", 0.1, "--json")
    assert made.exit_code == 2
    assert rows(made)[0]["problem"] == "no answer in time"


def test_what_is_no_hl7_is_sent_and_cut() -> None:
    with listening("--count", 1) as there:
        made = send(there.address, "-", "--json", stdin=b"hello")
        out, _ = there.output()
    assert made.exit_code == 2
    assert "unreadable (MSH)" in out


@pytest.mark.parametrize("address", ["127.0.0.1", "host:port", "host:99999"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    made = send(address, ADT)
    assert made.exit_code == 2
    assert "host:port" in made.stderr


def test_an_answer_that_does_not_exist_is_told() -> None:
    made = CliRunner().invoke(app, ["listen", "0", "--answers", "AX"])
    assert made.exit_code == 2
    assert "AA, AE, AR" in made.stderr
    assert CliRunner().invoke(app, ["listen", "0", "--clients", "x.pem"]).exit_code == 2


def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(made.server_certificate.read_bytes() + made.server_key.read_bytes())
    mine = tmp_path / "mine.pem"
    mine.write_bytes(made.client_certificate.read_bytes() + made.client_key.read_bytes())
    with listening("--certificate", both, "--clients", made.authority) as there:
        trusted = ["--authorities", made.authority, "--server-name", "localhost"]
        good = send(there.address, ADT, *trusted, "--certificate", mine)
        unknown = send(there.address, ADT, "--tls", "--json")
        anonymous = send(there.address, ADT, *trusted, "--json")
    assert good.exit_code == 0, good.output
    assert unknown.exit_code == anonymous.exit_code == 2
    assert "CERTIFICATE" in str(rows(unknown)[0]["problem"])
