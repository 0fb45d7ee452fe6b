"""Validation: the official layers give the verdict of another program; our own rules find what they do not."""

import copy
import json
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from channels.errors import ConfigError, ParseError, ProfileError
from channels.message import Message
from tests.transforms.laboratory import COPY, MESSAGES, context, edited, fixture
from transforms.cda import write
from transforms.oru import read_report
from transforms.validation import Rules, document, rules, validate
from transforms.validation.official import Rules as Official
from transforms.validation.schematron import program
from transforms.validation.step import Validate, ValidateSettings
from transforms.validation.steps import Step, last_steps

PREFIXES = {"cda": "urn:hl7-org:v3"}
CDA = "{urn:hl7-org:v3}"
NAMES = sorted(path.stem for path in MESSAGES.glob("oru_*.hl7"))


def ours(name: str = "oru_crp") -> bytes:
    return write(read_report(fixture(name), context()), COPY)


@pytest.fixture(scope="module")
def pack(shared: Path) -> Path:
    pytest.importorskip("saxonche")
    return shared / "ans" / "cda-pack"


@pytest.fixture(scope="module")
def official(pack: Path) -> Rules:
    return rules(pack)


# the official layers


def counts_of_the_other_program(shared: Path, files: list[Path]) -> list[Counter[tuple[str, str]]]:
    tool = shared / "tools" / "cda-validate"
    if not tool.is_file():
        pytest.skip("no validator beside the checkout")
    command = [sys.executable, str(tool), "--format", "json", "--level", "info", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [Counter((one["schema"], one["level"]) for one in found["failures"]) for found in json.loads(done.stdout)]


def damaged(body: bytes, chance: random.Random) -> bytes:
    """The document after six accidents: elements and attributes lost, changed, doubled."""
    root = etree.fromstring(body)
    elements = [one for one in root.iter(etree.Element) if one is not root]
    for _ in range(6):
        element = chance.choice(elements)
        parent, names = element.getparent(), list(element.attrib)
        accident = chance.randrange(4)
        if accident == 0 and parent is not None:
            parent.remove(element)
        elif accident == 1 and parent is not None:
            parent.append(copy.deepcopy(element))
        elif names and accident == 2:
            del element.attrib[chance.choice(names)]
        elif names:
            name = chance.choice(names)
            element.set(name, f"1.5{str(element.get(name))[::-1][:40]}")
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


@pytest.mark.timeout(180)
def test_each_layer_counts_as_many_faults_as_another_program(shared: Path, official: Rules, tmp_path: Path) -> None:
    chance = random.Random(20261125)
    examples = sorted((shared / "ans" / "cda-examples").glob("*.xml"))
    files = list(examples)
    for number in range(30):
        file = tmp_path / f"{number}.xml"
        file.write_bytes(damaged(chance.choice(examples).read_bytes(), chance))
        files.append(file)
    expected = counts_of_the_other_program(shared, files)
    for file, count in zip(files, expected, strict=True):
        found = Counter((one.layer, one.level) for one in official.check(document.parse(file.read_bytes())))
        assert found == count, file.name


@pytest.mark.timeout(120)
def test_our_documents_conform_and_nothing_of_ours_is_wrong_with_them(pack: Path) -> None:
    for name in NAMES:
        verdict = validate(ours(name), pack, "test")
        assert verdict.errors == ()
        assert verdict.conformant
        assert {one.rule for one in verdict.faults if one.layer == "own"} <= {"file"}  # the PDF of the test is bare


def test_a_fault_has_its_place_line_and_rule_and_no_value(pack: Path) -> None:
    root = etree.fromstring(ours())
    code = root.find(f"{CDA}confidentialityCode")
    assert code is not None
    code.set("code", "SECRET-VALUE")
    (fault, *_) = validate(etree.tostring(root), pack).errors
    assert fault.place == "/cda:ClinicalDocument[1]/cda:confidentialityCode[1]"
    assert fault.line > 0
    assert fault.layer == "minimal-structure"
    assert "SECRET-VALUE" not in "".join(map(str, validate(etree.tostring(root), pack).faults))


def test_a_document_of_another_model_is_not_called_conformant(pack: Path) -> None:
    root = etree.fromstring(ours())
    for template in root.xpath("cda:templateId[@root='1.2.250.1.213.1.1.1.55']", namespaces=PREFIXES):
        root.remove(template)
    verdict = validate(etree.tostring(root), pack)
    assert not verdict.conformant
    assert any("model" in one for one in verdict.unchecked)
    assert [one.rule for one in verdict.errors if one.layer == "own"] == ["model"]


def test_a_folder_as_it_is_published_has_no_manifest(pack: Path, tmp_path: Path) -> None:
    for folder in ("infrastructure", "jeuxDeValeurs", "schematrons"):
        (tmp_path / folder).symlink_to(pack / folder)
    layers, missing = Official(tmp_path).layers(document.parse(ours()))
    assert layers == [
        "xsd", "minimal-structure", "ihe", "content-models", "ans-models", "terminology", "cr-bio-2024.01",
    ]  # fmt: skip
    assert missing == []


def test_a_rule_that_cannot_be_evaluated_is_an_error_and_the_others_go_on(official: Rules) -> None:
    root = document.parse(ours())
    version = root.find(f"{CDA}versionNumber")
    version.addnext(copy.deepcopy(version))
    faults = list(official.check(root))
    assert any("cannot be evaluated" in one.text for one in faults)
    assert any("too often" in one.text for one in faults)


# without the official rules


def test_without_the_official_rules_nothing_is_called_conformant() -> None:
    verdict = validate(ours())
    assert verdict.errors == ()
    assert not verdict.conformant
    assert verdict.checked == ("xml", "own")
    assert any("official rules" in one for one in verdict.unchecked)


@pytest.mark.parametrize("name", NAMES)
def test_our_rules_find_nothing_wrong_with_our_documents(name: str) -> None:
    for domain in ("test", "production"):
        body = write(read_report(fixture(name), context(domain)), COPY)
        assert validate(body, None, domain).errors == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"MSH|^~\\&|",
        b"<a",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
    ],
)
def test_what_is_not_xml_or_has_a_dtd_is_invalid(body: bytes) -> None:
    (fault,) = validate(body).errors
    assert fault.layer == "xml"
    with pytest.raises(ParseError):
        document.parse(body)


def test_a_folder_without_rules_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rules here"):
        Official(tmp_path)
    (tmp_path / "pack.json").write_text("[]")
    with pytest.raises(ConfigError, match="manifest"):
        Official(tmp_path)


def test_a_manifest_may_not_leave_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("saxonche")
    (tmp_path / "pack.json").write_text(json.dumps({"xsd": "../x.xsd", "schematrons": []}))
    with pytest.raises(ConfigError, match="outside"):
        list(Official(tmp_path).check(document.parse(b"<a/>")))


# Schematron itself

SCHEMA = """<schema xmlns="http://purl.oclc.org/dsdl/schematron" queryBinding="xslt2" defaultPhase="all">
<ns prefix="c" uri="urn:hl7-org:v3"/><ns prefix="v" uri="urn:v"/>
<phase id="all">
 <active pattern="first"/><active pattern="made"/><active pattern="rooted"/><active pattern="wide"/>
</phase>
<let name="allowed" value="('a', 'b')"/>
<pattern id="first"><let name="path" value="'values.xml'"/>
 <rule context="c:code[@code='skip']"><assert test="true()">never</assert></rule>
 <rule context="c:code"><extends rule="listed"/>
  <assert id="known" test="@code = doc($path)//v:c/@code">unknown <value-of select="@code"/></assert></rule>
 <rule abstract="true" id="listed"><let name="one" value="@code"/>
  <report role="warning" test="not($one = $allowed)">not listed</report></rule>
</pattern>
<pattern id="model" abstract="true"><rule context="$what"><assert test="@value">value of $what</assert></rule></pattern>
<pattern id="made" is-a="model"><param name="what" value="c:text | c:title"/></pattern>
<pattern id="rooted">
 <rule context="*[c:templateId/@root='1.2']"><assert role="info" test="c:code">code</assert></rule>
</pattern>
<pattern id="wide">
 <rule context="c:section/*[not(self::c:code | self::c:templateId)]"><assert test="false()">closed</assert></rule>
</pattern>
<pattern id="unused"><rule context="c:code"><assert test="false()">outside the phase</assert></rule></pattern>
</schema>"""


def small_rules(folder: Path, schema: str = SCHEMA) -> Official:
    pytest.importorskip("saxonche")
    (folder / "small.sch").write_text(schema)
    (folder / "values.xml").write_text('<v:list xmlns:v="urn:v"><v:c code="a"/><v:c code="z"/></v:list>')
    (folder / "any.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:hl7-org:v3">'
        '<xs:element name="section"><xs:complexType><xs:sequence><xs:any minOccurs="0" maxOccurs="unbounded"'
        ' processContents="skip"/></xs:sequence></xs:complexType></xs:element></xs:schema>'
    )
    manifest = {"xsd": "any.xsd", "schematrons": [{"id": "small", "file": "small.sch"}]}
    (folder / "pack.json").write_text(json.dumps(manifest))
    return Official(folder)


def found(official: Official, inside: str) -> list[tuple[str, str, str]]:
    root = document.parse(f'<section xmlns="urn:hl7-org:v3">{inside}</section>'.encode())
    return sorted((one.level, one.rule, one.place.rpartition("/")[2]) for one in official.check(root))


@pytest.mark.parametrize(
    "inside, expected",
    [
        ('<code code="a"/>', []),
        ('<code code="skip"/>', []),
        ('<code code="z"/>', [("warning", "listed", "cda:code[1]")]),
        ('<code code="b"/>', [("error", "first/2#known", "cda:code[1]")]),
        ('<templateId root="1.2"/>', [("info", "rooted/1", "cda:section[1]")]),
        ('<templateId root="1.2"/><templateId root="1.2"/>', [("info", "rooted/1", "cda:section[1]")]),
        ('<title value="1"/>', [("error", "wide/1", "cda:title[1]")]),
        ("<text/>", [("error", "made/1", "cda:text[1]"), ("error", "wide/1", "cda:text[1]")]),
    ],
)
def test_schematron_as_the_standard_says(inside: str, expected: list[tuple[str, str, str]], tmp_path: Path) -> None:
    assert found(small_rules(tmp_path), inside) == expected


def test_a_context_may_read_a_value_set(tmp_path: Path) -> None:
    schema = SCHEMA.replace(
        "context=\"c:code[@code='skip']\"", "context=\"c:code[@code=doc('values.xml')//v:c/@code]\""
    )
    folder = tmp_path / "règles et valeurs"
    folder.mkdir()
    inner = small_rules(folder, schema)
    assert found(inner, '<code code="z"/>') == []
    assert found(inner, '<code code="b"/>') == [("error", "first/2#known", "cda:code[1]")]


def test_a_value_set_that_is_not_in_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "secret.xml").write_text('<v:list xmlns:v="urn:v"><v:c code="a"/></v:list>')
    inner = small_rules(tmp_path / "rules", SCHEMA.replace("'values.xml'", "'../secret.xml'"))
    assert found(inner, '<code code="a"/>') == [("error", "first/2#known", "cda:code[1]")]


def test_rules_that_are_gone_meanwhile_are_no_fault_of_the_document(tmp_path: Path) -> None:
    """A value set whose name is computed is looked for when a document comes."""
    folder = tmp_path / "rules"
    folder.mkdir()
    official = small_rules(folder, SCHEMA.replace("doc($path)", "doc(concat($path, ''))"))
    assert found(official, '<code code="b"/>') == [("error", "first/2#known", "cda:code[1]")]
    late = small_rules(folder, SCHEMA.replace("doc($path)", "doc(concat($path, ''))"))
    late.prepare()
    folder.rename(tmp_path / "away")
    with pytest.raises(ConfigError, match="rules"):
        found(late, '<code code="a"/>')


@pytest.mark.parametrize(
    "schema, problem",
    [
        ("<a/>", "not a Schematron schema"),
        ("<schema", "small.sch"),
        (SCHEMA.replace('is-a="model"', 'is-a="nothing"'), "no abstract pattern"),
        (SCHEMA.replace('extends rule="listed"', 'extends rule="nothing"'), "extends 'nothing'"),
        (SCHEMA.replace("<phase", '<include href="gone.sch"/><phase'), "gone.sch"),
        (SCHEMA.replace('context="c:code"><extends', 'context="c:code[doc($path)]"><extends'), "computed"),
    ],
)
def test_what_is_wrong_with_a_schema_is_named(schema: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "small.sch"
    file.write_text(schema)
    with pytest.raises(ConfigError, match=problem):
        program(file)


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("/", [Step(document=True)]),
        ("c:id", [Step("{urn:hl7-org:v3}id")]),
        ("//c:a[x/y='/']/c:id", [Step("{urn:hl7-org:v3}id", "{urn:hl7-org:v3}a")]),
        ("c:a//c:id", [Step("{urn:hl7-org:v3}id")]),
        ("c:a/*[not(self::c:b | self::c:c)]", [Step("", "{urn:hl7-org:v3}a")]),
        ("c:a | @code", [Step("{urn:hl7-org:v3}a"), Step(other=True)]),
        ("*[c:templateId/@root = '1.2']", [Step(template="1.2")]),
        ("*[c:templateId[@root='1.2']]", [Step(template="1.2")]),
        ("*[c:templateId/@root='1.2' and c:b]", [Step(template="1.2")]),
        ("*[c:templateId/@root='1.2' or c:b]", [Step()]),
        ("*[c:templateId/@root='1.2' and c:b or c:d]", [Step()]),
        ("q:unknown", [Step()]),
    ],
)
def test_the_last_step_of_a_pattern(pattern: str, expected: list[Step]) -> None:
    assert last_steps(pattern, {"c": "urn:hl7-org:v3"}) == expected


# the step


def step(level: str, **more: Any) -> Validate:
    return Validate(ValidateSettings.model_validate({"level": level, **more}))


def test_refuse_names_the_place_and_the_rule() -> None:
    sound = Message(ours("oru_ionogramme"), "cda")
    assert step("refuse")(sound, context()) is sound
    wrong = sound.with_body(sound.body.replace(b'"#r1"', b'"#r99"'))
    with pytest.raises(ProfileError, match="own reference: points to no ID") as caught:
        step("refuse")(wrong, context())
    assert caught.value.place.endswith("/cda:originalText[1]/cda:reference[1]")


def test_warn_lets_the_document_go_on_and_says_so() -> None:
    sound = Message(ours("oru_ionogramme"), "cda", attributes={"file": "a.xml"})
    made = step("warn")(sound.with_body(sound.body.replace(b'"#r1"', b'"#r99"')), context())
    assert made.attributes == {"file": "a.xml", "validation": "own reference"}
    assert b'"#r99"' in made.body


def test_an_ins_of_the_other_domain_is_refused() -> None:
    message = Message(ours("oru_multi"), "cda")
    assert step("refuse")(message, context("test")) is message
    with pytest.raises(ProfileError, match="domain production"):
        step("refuse")(message, context("production"))


def test_the_short_form_and_the_worker() -> None:
    assert ValidateSettings.model_validate("warn").level == "warn"
    assert Validate.in_worker is True


def test_the_step_uses_the_rules_of_the_site(pack: Path) -> None:
    site = context().site.model_copy(update={"rules": pack})
    inside = replace(context(), site=site)
    wrong = ours().replace(b'<realmCode code="FR"/>', b"")
    with pytest.raises(ProfileError, match=r"realmCode|xsd|minimal-structure"):
        step("refuse")(Message(wrong, "cda"), inside)
    step("refuse", rules=pack).prepare()


@pytest.mark.parametrize("kind, value", [("TS", "202603100715"), ("DT", "20260310"), ("TS", "20260310071530")])
def test_a_date_is_the_same_on_both_sides(kind: str, value: str) -> None:
    changes = [("OBX", 2, kind), ("OBX", 5, value), ("OBX", 6, ""), ("OBX", 7, ""), ("OBX", 8, "")]
    body = write(read_report(edited("oru_crp", *changes), context()), COPY)
    assert validate(body, None, "test").errors == ()
    other = re.sub(rb'(xsi:type="TS" value=")2026', rb"\g<1>2025", body)
    assert other != body
    assert [one.rule for one in validate(other, None, "test").errors] == ["narrative"]
