"""The step ``xslt``: what a style sheet makes, and what it cannot reach."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from channels.errors import ConfigError, MessageError, ParseError
from channels.message import Message
from channels.ports import Context
from channels.testing import sample_context

pytest.importorskip("saxonche")

from transforms.xslt import Xslt, XsltSettings

HEAD = (
    '<xsl:stylesheet version="3.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'
    ' xmlns:xs="http://www.w3.org/2001/XMLSchema" exclude-result-prefixes="#all">\n'
)
XML = b"<patient><name>ZO\xc3\x89</name></patient>"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "mon site"
    for name in ("transforms", "mappings", "var"):
        (folder / name).mkdir(parents=True)
    (folder / "site.yaml").write_text("site: x\n")
    (folder / "mappings" / "uf.csv").write_text("3120,N1\n")
    (folder / "transforms" / "été 1.xml").write_text("<season/>", encoding="utf-8")
    (folder / "transforms" / "common.xsl").write_text(
        HEAD + "<xsl:variable name='word' select=\"'shared'\"/></xsl:stylesheet>"
    )
    (folder / "var" / "key.xml").write_text("<key>secret</key>")
    (tmp_path / "secret.xml").write_text("<key>secret</key>")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "evil.xsl").write_text(
        HEAD + "<xsl:template name='xsl:initial-template'>secret</xsl:template></xsl:stylesheet>"
    )
    return folder


def template(content: str, top: str = "") -> str:
    return f'{HEAD}{top}\n<xsl:template match="/"><o>{content}</o></xsl:template></xsl:stylesheet>'


def step(site: Path, text: str, **options: Any) -> Xslt:
    file = site / "transforms" / "t.xsl"
    file.write_text(text, encoding="utf-8")
    settings = XsltSettings.model_validate({"stylesheet": "transforms/t.xsl", **options}, context={"directory": site})
    return Xslt(settings)


def run(made: Xslt, body: bytes = XML, context: Context | None = None) -> Message:
    return made(Message(body, "xml", control_id="C1", id=7), context or sample_context())


def test_the_result_is_the_next_message_in_utf_8(site: Path) -> None:
    made = run(step(site, template('<xsl:value-of select="patient/name"/>'), format="cda"))
    assert made.body == '<?xml version="1.0" encoding="UTF-8"?><o>ZOÉ</o>'.encode()
    assert (made.format, made.charset, made.control_id, made.id) == ("cda", "utf-8", "C1", 7)


def test_a_style_sheet_serves_many_messages_and_bears_a_resend(site: Path) -> None:
    made = step(site, template('<xsl:value-of select="patient/name"/>'))
    bodies = [run(made, b"<patient><name>%d</name></patient>" % number).body for number in (1, 2, 1)]
    assert bodies[0] == bodies[2] != bodies[1]


def test_the_input_may_be_in_another_encoding(site: Path) -> None:
    body = "<?xml version='1.0' encoding='ISO-8859-1'?><patient><name>É</name></patient>".encode("latin-1")
    assert "É" in run(step(site, template('<xsl:value-of select="patient/name"/>')), body).body.decode()


def test_the_output_is_utf_8_whatever_the_style_sheet_says(site: Path) -> None:
    text = template('<xsl:value-of select="patient/name"/>', top='<xsl:output encoding="iso-8859-1"/>')
    assert run(step(site, text)).body.decode() == '<?xml version="1.0" encoding="UTF-8"?><o>ZOÉ</o>'


def test_a_style_sheet_in_another_encoding_is_read(site: Path) -> None:
    file = site / "transforms" / "latin.xsl"
    file.write_bytes(b"<?xml version='1.0' encoding='iso-8859-1'?>" + template("é").encode("latin-1"))
    settings = XsltSettings.model_validate({"stylesheet": "transforms/latin.xsl"}, context={"directory": site})
    assert "é" in run(Xslt(settings)).body.decode()


def test_text_output_has_no_xml_declaration(site: Path) -> None:
    text = template('<xsl:value-of select="patient/name"/>', top='<xsl:output method="text"/>')
    assert run(step(site, text, format="raw")).body == "ZOÉ".encode()


def test_parameters_and_the_time_of_receipt_are_given(site: Path) -> None:
    top = '<xsl:param name="laboratory"/><xsl:param name="received"/>'
    made = step(site, template('<xsl:value-of select="$laboratory, $received"/>', top), parameters={"laboratory": "L1"})
    assert b"<o>L1 2026-03-10T12:00:00Z</o>" in run(made).body


def test_files_of_transforms_and_mappings_can_be_read(site: Path) -> None:
    content = (
        "<xsl:value-of select=\"unparsed-text('../mappings/uf.csv'), $word\"/>"
        "<xsl:copy-of select=\"doc('%C3%A9t%C3%A9%201.xml')\"/>"
    )
    made = run(step(site, template(content, top='<xsl:import href="common.xsl"/>')))
    assert b"3120,N1" in made.body
    assert b"shared" in made.body
    assert b"<season/>" in made.body


READS = {
    "doc": "doc('{out}/secret.xml')",
    "doc of the journal's key": "doc('{site}/var/key.xml')",
    "doc, relative": "doc('../../secret.xml')",
    "doc, encoded dots": "doc('%2e%2e/%2e%2e/secret.xml')",
    "doc, absolute path": "doc('{path}/secret.xml')",
    "document": "document('{out}/secret.xml')",
    "unparsed-text": "unparsed-text('{out}/secret.txt')",
    "unparsed-text-lines": "unparsed-text-lines('{out}/secret.txt')",
    "json-doc": "json-doc('{out}/secret.txt')",
    "collection": "collection('{out}?select=*.xml')",
    "uri-collection": "uri-collection('{out}')",
    "transform": "transform(map {{'stylesheet-location': '{out}/evil.xsl'}})?output",
    "network": "doc('http://127.0.0.1:9/x')",
    "jar": "doc('jar:{out}/x.zip!/secret.xml')",
    "entity": "parse-xml('&lt;!DOCTYPE a [&lt;!ENTITY x SYSTEM &quot;{out}/secret.txt&quot;>]>&lt;a>&amp;x;&lt;/a>')",
    "java": "Q{{java:java.lang.System}}getProperty('user.home')",
    "file module": "Q{{http://expath.org/ns/file}}read-text('{path}/secret.txt')",
}


@pytest.mark.parametrize("attack", READS)
def test_nothing_outside_is_read(site: Path, attack: str, capfd: pytest.CaptureFixture[str]) -> None:
    expression = READS[attack].format(out=site.parent.as_uri(), site=site.as_uri(), path=site.parent)
    with pytest.raises((MessageError, ConfigError)) as refused:
        run(step(site, template(f'<xsl:copy-of select="{expression}"/>')))
    assert "secret<" not in str(refused.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "expression",
    [
        "unparsed-text-available('{out}/secret.txt')",
        "doc-available('{out}/secret.xml')",
        "exists(available-environment-variables())",
        "string(environment-variable('PATH')) != ''",
        "system-property('user.home') != ''",
    ],
)
def test_nothing_outside_can_be_asked_about(site: Path, expression: str) -> None:
    expression = expression.format(out=site.parent.as_uri())
    assert b"<o>false</o>" in run(step(site, template(f'<xsl:value-of select="{expression}"/>'))).body


@pytest.mark.parametrize(
    "top",
    [
        '<xsl:import href="{out}/evil.xsl"/>',
        '<xsl:include href="../../evil.xsl"/>',
        '<xsl:param name="p" static="yes" select="unparsed-text(\'{out}/secret.txt\')"/>',
    ],
)
def test_nothing_outside_is_read_while_compiling(site: Path, top: str) -> None:
    made = step(site, template("", top.format(out=site.parent.as_uri())))
    with pytest.raises(ConfigError):
        made.prepare()


def test_nothing_is_written(site: Path) -> None:
    target = site.parent / "made.xml"
    with pytest.raises((ConfigError, MessageError)):
        run(step(site, template(f'<xsl:result-document href="{target.as_uri()}"><x/></xsl:result-document>')))
    assert not target.exists()


def test_a_link_out_of_the_site_is_not_followed(site: Path) -> None:
    (site / "transforms" / "link.xml").symlink_to(site.parent / "secret.xml")
    with pytest.raises(MessageError):
        run(step(site, template("<xsl:copy-of select=\"doc('link.xml')\"/>")))


@pytest.mark.parametrize(
    "content, problem",
    [
        ('<xsl:value-of select="xs:integer(patient/name)"/>', "the style sheet stopped with error FORG0001"),
        (
            "<xsl:sequence select=\"error(QName('urn:x', 'x:NO-INS'), patient/name)\"/>",
            "the style sheet stopped with error x:NO-INS",
        ),
        ('<xsl:message terminate="yes"><xsl:copy-of select="."/></xsl:message>', "the style sheet refuses the message"),
    ],
)
def test_an_error_has_its_place_and_no_value(
    site: Path, content: str, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MessageError) as refused:
        run(step(site, template(content)))
    assert refused.value.problem == problem
    assert refused.value.place.startswith("t.xsl:3:")
    assert "ZO" not in "".join(capfd.readouterr())


def test_every_fault_of_a_style_sheet_is_told_at_its_place(site: Path) -> None:
    with pytest.raises(ConfigError) as faults:
        step(site, template('<xsl:value-of select="$nothing"/>\n<xsl:wrong/>')).prepare()
    assert "t.xsl:3:" in str(faults.value)
    assert "t.xsl:4:" in str(faults.value)
    assert "xsl:wrong" in str(faults.value)


def test_a_module_that_is_missing_is_named(site: Path) -> None:
    with pytest.raises(ConfigError, match=r"transforms/nope\.xsl is not among the files"):
        step(site, template("", '<xsl:import href="nope.xsl"/>')).prepare()


@pytest.mark.parametrize(
    "body, place",
    [
        (b"<a>\n<b></a>", "2:8"),
        (b"MSH|^~\\&|", "1:1"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "/etc/passwd">]><a>&x;</a>', "1:1"),
        (b'<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><a>&y;</a>', "1:1"),
    ],
)
def test_input_that_is_no_plain_xml_is_refused(site: Path, body: bytes, place: str) -> None:
    with pytest.raises(ParseError) as refused:
        run(step(site, template("")), body)
    assert refused.value.place == place


@pytest.mark.parametrize("text, problem", [(HEAD, "not well-formed XML"), ("<a/>", "is not a style sheet")])
def test_a_broken_style_sheet_is_a_fault_of_the_channel_file(site: Path, text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        step(site, text)


def test_it_runs_in_a_worker() -> None:
    assert Xslt.in_worker


def test_a_large_text_passes(site: Path) -> None:
    body = b"<patient><name>%s</name></patient>" % (b"A" * 12_000_000)
    assert (
        b"<o>12000000</o>"
        in run(step(site, template('<xsl:value-of select="string-length(patient/name)"/>')), body).body
    )
