"""The self-presentable variant: valid, the same content, and it shows the narrative without any script."""

import contextlib
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lxml import etree

from channels.errors import ParseError, UnsupportedError
from channels.message import Message
from tests.transforms.laboratory import COPY, MESSAGES, Validate, context, edited, fixture, validator
from transforms.cda import write
from transforms.cda.presentation import self_presentable
from transforms.oru import read_report
from transforms.validation import validate

NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def document(*changes: tuple[str, int, str], name: str = "oru_crp") -> Message:
    return Message(write(read_report(edited(name, *changes), context()), COPY), "cda")


def facts(root: etree._Element) -> list[tuple[object, ...]]:
    return [
        (one.tag, sorted((key, str(value).removeprefix("c:") if key == TYPE else value) for key, value in one.items()),
         one.text, one.tail)
        for one in root.iter(etree.Element)
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_document_is_changed(name: str) -> None:
    plain = document(name=name)
    made = self_presentable(plain, context())
    inner = etree.fromstring(made.body).find(".//{urn:hl7-org:v3}ClinicalDocument")
    assert inner is not None
    assert facts(inner) == facts(etree.fromstring(plain.body))
    assert all(one.prefix == "c" for one in inner.iter("{urn:hl7-org:v3}*"))
    assert validate(made.body, None, "test").errors == ()


@pytest.mark.parametrize("name", NAMES)
def test_it_shows_its_narrative(name: str) -> None:
    made = self_presentable(document(name=name), context())
    tree = etree.fromstring(made.body).getroottree()
    page = etree.XSLT(tree)(tree)
    shown = " ".join("".join(map(str, page.getroot().itertext())).split())
    for result in read_report(fixture(name), context()).results():
        assert " ".join(result.code.text.split()) in shown
        for value in result.values:
            assert " ".join(value.source.split("\n")[0].split()) in shown


@pytest.mark.parametrize("where", ["the disk", "a server"])
def test_a_browser_shows_it(where: str, tmp_path: Path) -> None:
    """Chromium, which takes no style sheet from a file, not even the one in which the document stands."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    (tmp_path / "report.xml").write_bytes(self_presentable(document(), context()).body)
    with contextlib.ExitStack() as stack:
        address = (tmp_path / "report.xml").as_uri()
        if where == "a server":
            address = stack.enter_context(served(tmp_path)) + "/report.xml"
        quiet = ("quic", "background-networking", "component-update", "sync", "gpu", "extensions")
        options = ["--headless", "--no-first-run", *(f"--disable-{one}" for one in quiet)]
        options += ["--no-sandbox"] if os.getuid() == 0 else []
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run([browser, *options, profile, "--dump-dom", address], capture_output=True, check=True)
    assert "Compte rendu d'examens biologiques" in done.stdout.decode()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder over HTTP; its address."""
    handler = partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the class has
        """Nothing on standard error."""


def test_markup_in_a_value_is_only_text() -> None:
    made = self_presentable(document(("OBX", 2, "ST"), ("OBX", 5, "<script>a</script>"), ("OBX", 6, "")), context())
    tree = etree.fromstring(made.body).getroottree()
    page = etree.XSLT(tree)(tree)
    assert page.xpath("//script") == []
    assert page.xpath("//@src | //@href") == []


def test_only_a_plain_document_is_taken() -> None:
    made = self_presentable(document(), context())
    with pytest.raises(UnsupportedError):
        self_presentable(made, context())
    with pytest.raises(ParseError):
        self_presentable(made.with_body(b"<!DOCTYPE a><a/>"), context())


@pytest.mark.timeout(120)
def test_it_is_valid_under_the_official_rules(shared: Path, tmp_path: Path) -> None:
    check: Validate = validator(shared, tmp_path)
    assert check({name: self_presentable(document(name=name), context()).body for name in NAMES}) == []
