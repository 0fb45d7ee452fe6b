"""``explain``: every segment with its names, faults at their place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from transforms import er7
from vaguemestre.cli import app
from vaguemestre.explain.faults import inspect
from vaguemestre.explain.names import Names
from vaguemestre.explain.tree import Node, build
from vaguemestre.simulators.traffic import Traffic

pytest.importorskip("hl7apy")

ADT = (
    "MSH|^~\\&|GAP|CH|PFI|CH|20260310083015||ADT^A01^ADT_A01|GAP1|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8\r"
    "EVN||20260310083015\r"
    "PID|1||700123^^^CH&1.2.3&ISO^PI~290067505600227^^^INS&1.2.250.1.213.1.4.10&ISO^INS||MODELE^Zoé^^^^^L||19900615|F"
    "|||||||||||||||||||||||||PROV\r"
    "PV1|1|I|3120^12\r"
    "ZBE|M1^GAP|20260310083000||INSERT|N||NEPHRO^^^^^CH^UF^^^3120||HMS\r"
    "ZZZ|local\\T\\value\r"
    "OBX|1|ED|PDF^x^L||^APPLICATION^PDF^Base64^" + "QUJD" * 100 + "||||||F\r"
).encode()


def explain(body: bytes, *words: str) -> Result:
    return CliRunner().invoke(app, ["explain", "-", *words], input=body)


def tree(body: bytes) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(explain(body, "--json").stdout)
    return made


def parts(nodes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {}
    for node in nodes:
        found[node["place"]] = node
        found.update(parts(node.get("parts", [])))
    return found


def test_every_segment_is_shown_in_order_with_its_name() -> None:
    names = {one["place"]: one["name"] for one in tree(ADT)["segments"]}
    assert list(names) == ["MSH", "EVN", "PID", "PV1", "ZBE", "ZZZ", "OBX"]
    assert (names["PID"], names["ZBE"], names["ZZZ"]) == ("Patient identification", "Mouvement", "")


def test_fields_components_and_tables_have_the_standards_names() -> None:
    found = parts(tree(ADT)["segments"])
    assert found["PID-3[2].5"] == {
        "place": "PID-3[2].5", "name": "Identifier type code", "type": "ID", "table": "0203", "value": "INS",
        "faults": found["PID-3[2].5"]["faults"],
    }  # fmt: skip
    assert found["PID-3[1].4.2"]["name"] == "Universal id"
    assert found["PID-5.2"]["value"] == "Zoé"
    assert found["ZBE-7.10"]["name"] == "Organization identifier"
    assert found["ZBE-4"]["name"].startswith("Action")
    assert found["ZZZ-1"]["value"] == "local&value"
    assert found["OBX-5.4"]["name"] == "Encoding"


def test_a_field_of_a_later_version_is_named_and_marked() -> None:
    body = ADT + b"PRT||UC||SB^Send by^participation\r"
    found = parts(tree(body)["segments"])
    assert found["PRT-4"]["name"] == "Participation"
    assert found["PRT-4"]["added_in"] == "2.8.2"


def test_what_hl7apy_leaves_out_is_told() -> None:
    assert tree(ADT)["not_validated"] == {"ZBE": 1, "ZZZ": 1}
    assert "hl7apy left out ZBE × 1, ZZZ × 1" in explain(ADT).stdout


def test_our_own_findings_are_marked_at_their_place() -> None:
    found = parts(tree(ADT)["segments"])
    assert [fault["code"] for fault in found["PID-3[2]"].get("faults", []) + found["PID-3[2].5"].get("faults", [])]
    assert "◄" in explain(ADT).stdout


def test_a_value_outside_its_table_is_found_where_it_is() -> None:
    body = ADT.replace(b"|F|||", b"|X|||", 1)
    faults = {(one["place"], one["code"]): one for one in tree(body)["faults"]}
    assert ("PID-8", "103") in faults
    assert all("X" not in one["problem"].split() for one in faults.values())


def test_french_values_of_a_table_are_no_fault() -> None:
    levels = {one["place"]: one["level"] for one in tree(ADT)["faults"] if "French" in one["problem"]}
    assert levels
    assert set(levels.values()) == {"ignore"}


def test_a_missing_field_and_a_missing_segment_are_told() -> None:
    body = ADT.replace(b"EVN||20260310083015\r", b"").replace(b"PV1|1|I|", b"PV1|1||")
    places = {(one["place"], one["code"]) for one in tree(body)["faults"]}
    assert ("EVN", "100") in places
    assert ("PV1-2", "101") in places


def test_long_values_are_cut_on_the_screen_only() -> None:
    assert "… (400 characters)" in explain(ADT).stdout
    assert len(parts(tree(ADT)["segments"])["OBX-5.5"]["value"]) == 400


def test_repeated_segments_are_counted() -> None:
    body = Traffic(1).oru().body
    places = [one["place"] for one in tree(body)["segments"]]
    assert "OBX" in places
    assert "OBX[19]" in places


def test_a_message_of_an_unknown_version_takes_the_usual_names() -> None:
    body = ADT.replace(b"2.5^FRA^2.11", b"9.9")
    assert tree(body)["names_of_version"] == "2.5"
    assert "Version 9.9 is not known here" in explain(body).stdout


def test_a_message_without_fault_says_so() -> None:
    body = b"MSH|^~\\&|A|B|C|D|20260310083015||ACK^A01^ACK|1|P|2.5\rMSA|AA|1\r"
    assert "No fault was found." in explain(body).stdout


def test_what_is_no_message_is_refused() -> None:
    made = explain(b"<xml/>")
    assert made.exit_code == 1
    assert "MSH" in made.stderr


def test_every_official_example_is_explained(shared: Path) -> None:
    files = [one for one in (shared / "ans" / "hl7v2-examples").rglob("*") if one.suffix in (".er7", ".hl7")]
    assert len(files) >= 30
    for file in files:
        message = er7.message(file.read_bytes())
        parsed = er7.read(message)
        names = Names(parsed.header.component(12))
        nodes = build(parsed, names, inspect(message, names.version).findings)
        assert [node.place.partition("[")[0] for node in nodes] == [one.id for one in parsed.segments]


@settings(max_examples=60)
@given(st.text(alphabet="|^~\\&\rPIDOBXZ123aé ", max_size=200), st.sampled_from(["|^~\\&", "#*+!%", "|^~"]))
def test_any_message_is_explained_without_losing_a_value(text: str, delimiters: str) -> None:
    field = delimiters[0]
    head = field.join(["MSH", delimiters[1:], "A", "B", "C", "D", "2026", "", "ADT^A01", "1", "P", "2.5"])
    message = er7.message(f"{head}\r{text}".encode())
    parsed = er7.read(message)
    names = Names("2.5")
    nodes = build(parsed, names, inspect(message, names.version).findings)

    def leaves(node: Node) -> list[Node]:
        return [leaf for part in node.parts for leaf in leaves(part)] if node.parts else [node]

    assert len(nodes) == len(parsed.segments)
    for node, segment in zip(nodes, parsed.segments, strict=True):
        valued = [number for number in range(1, len(segment.fields)) if segment[number]]
        assert bool(leaves(node)) >= bool(valued)
