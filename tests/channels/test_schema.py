"""The JSON Schemas that editors read."""

from typing import Any

import pytest

from channels import registry
from channels.schema import channel_schema, site_schema
from tests.channels.sites import connectors

pytestmark = pytest.mark.usefixtures("connectors")
__all__ = ["connectors"]


def _references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*(_references(one) for one in schema.values()))
    return set().union(*(_references(one) for one in schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("make", [site_schema, channel_schema])
def test_every_reference_of_a_schema_leads_somewhere(make: Any) -> None:
    schema = make()
    names = {one.removeprefix("#/$defs/") for one in _references(schema)}
    assert names
    assert names <= set(schema["$defs"])


def test_a_connector_is_a_key_of_which_there_is_one() -> None:
    definitions = channel_schema()["$defs"]
    source, destination = definitions["SourceModel"], definitions["DestinationModel"]
    assert source["properties"]["mllp"] == {"$ref": "#/$defs/source-mllp"}
    assert source["oneOf"] == [{"required": ["mllp"]}]
    assert destination["oneOf"] == [{"required": ["file"]}, {"required": ["mllp"]}]
    for model in (source, destination):
        assert not {"connector", "settings"} & set(model["properties"])
        assert "connector" not in model["required"]
        assert model["additionalProperties"] is False
    assert "timeout" in definitions["destination-mllp"]["properties"]
    assert destination["required"] == ["name"]


def test_every_step_is_there_with_its_options() -> None:
    step = channel_schema()["$defs"]["Step"]
    plain, function, options, when = step["anyOf"]
    assert "ins.withhold_unverified" in plain["enum"]
    assert {"set", "copy", "delete", "codes", "charset"} <= set(options["properties"])
    assert when["required"] == ["when", "then"]
    assert function["type"] == "string"


def test_lookups_are_steps_too_and_answers_a_name_or_a_mapping() -> None:
    schema = channel_schema()
    plain, _, options, _ = schema["$defs"]["Step"]["anyOf"]
    assert "pfi.register" in plain["enum"]
    assert options["properties"]["pfi.register"] == {"$ref": "#/$defs/lookup-pfi.register"}
    assert "known_parents_only" in schema["$defs"]["lookup-pfi.register"]["properties"]
    answers = schema["$defs"]["DestinationModel"]["properties"]["answers"]
    assert answers == {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/AnswersModel"}]}
    assert "lookups" in schema["$defs"]["Case"]["properties"]


def test_what_a_file_may_write_shorter_is_in_the_schema() -> None:
    properties = channel_schema()["properties"]
    assert properties["filter"] == {"$ref": "#/$defs/Filter"}
    assert properties["ack"]["anyOf"][0] == {"enum": ["received", "transformed"]}


def test_a_value_that_is_not_text_may_be_a_reference() -> None:
    properties = channel_schema()["$defs"]["destination-mllp"]["properties"]
    reference = {"type": "string", "pattern": r"\$\{"}
    assert reference in properties["timeout"]["anyOf"]


def test_a_connector_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SOURCES, "amqp", "connectors.nowhere:Source")
    registry.names.cache_clear()
    assert "amqp" not in channel_schema()["$defs"]["SourceModel"]["properties"]


def test_a_default_is_written_as_a_file_would_write_it() -> None:
    definitions = channel_schema()["$defs"]
    assert definitions["destination-mllp"]["properties"]["timeout"]["default"] == "30s"
    assert definitions["Queue"]["properties"]["memory"]["default"] == "32MB"
    assert "default" not in definitions["DestinationModel"]["properties"]["retry"]
    assert definitions["DestinationModel"]["properties"]["parallel"]["default"] == 4
