"""JSON Schemas of ``site.yaml`` and of channel files, for editors: completion, descriptions, faults while typing.

The loader is the judge: a schema cannot see that a name exists or that two channels listen on the same port.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pydantic import BaseModel

from channels import registry
from channels.errors import ConfigError
from channels.model import Channel
from channels.site import Site

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{"}
_TEXT = {"type": ["string", "number", "boolean"]}


def site_schema() -> dict[str, Any]:
    """Of ``site.yaml``."""
    return {"$schema": DIALECT, **_open_to_references(Site.model_json_schema())}


def channel_schema() -> dict[str, Any]:
    """Of a channel file, with the settings of every connector and step that is installed."""
    schema = Channel.model_json_schema(ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = schema["$defs"]
    for kind, model in (("source", "SourceModel"), ("destination", "DestinationModel")):
        _connectors(kind, definitions[model], definitions)
    step = _steps(definitions)
    _as_written(schema, definitions)
    opened = _open_to_references(schema)
    opened["$defs"]["Step"] = step
    return {"$schema": DIALECT, **opened}


def _connectors(kind: str, schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Replace the model's ``connector`` and ``settings`` by one key a connector, of which there must be one."""
    properties = schema["properties"]
    for ours in ("connector", "settings"):
        properties.pop(ours, None)
    names = []
    for name in sorted(registry.names(kind)):
        try:
            connector = registry.find(kind, name)
        except ConfigError:
            continue  # its extra is not installed
        properties[name] = _define(f"{kind}-{name}", connector.settings, definitions)
        names.append(name)
    schema["required"] = [one for one in schema.get("required", []) if one != "connector"]
    schema["oneOf"] = [{"required": [name]} for name in names]


def _define(name: str, model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, str]:
    """Add a model and what it uses to the definitions, under names of its own; returns the reference to it."""
    made = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    for inner, schema in made.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = schema
    definitions[name] = made
    return {"$ref": f"#/$defs/{name}"}


def _steps(definitions: dict[str, Any]) -> dict[str, Any]:
    """A name, or one ``name: {options}``, or ``when:`` with ``then:``; the site's functions have any options."""
    with_options: dict[str, Any] = {}
    plain = []
    for name in sorted(registry.names("transform")):
        try:
            target = registry.find("transform", name)
        except ConfigError:
            continue
        settings = getattr(target, "settings", None)
        if settings is None:
            plain.append(name)
        elif name != "when":
            with_options[name] = _define(f"step-{name}", settings, definitions)
    for name in sorted(registry.names("lookup")):
        with contextlib.suppress(ConfigError):
            with_options[name] = _define(f"lookup-{name}", registry.find("lookup", name).settings, definitions)
            plain.append(name)
    when = {
        "type": "object",
        "properties": {
            "when": {"$ref": "#/$defs/Filter"},
            "then": {"type": "array", "items": {"$ref": "#/$defs/Step"}, "minItems": 1},
        },
        "required": ["when", "then"],
        "additionalProperties": False,
    }
    one = {
        "type": "object",
        "properties": with_options,
        "patternProperties": {r"^[A-Za-z_]\w*\.\w+$": {"type": "object"}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {
        "description": "One step: its name, or `name: {options}`, or `when:` with `then:`.",
        "anyOf": [{"enum": plain}, {"type": "string", "pattern": r"^[A-Za-z_]\w*\.\w+$"}, one, when],
    }


def _as_written(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Where a file may say something shorter than the model: filters, ``ack``, ``lane``."""
    values = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
    row = {"type": "object", "additionalProperties": values, "minProperties": 1}
    definitions["Filter"] = {
        "description": "Rows `PLACE: value`: any row; in a row, every field; in a field, any value.",
        "anyOf": [row, {"type": "array", "items": row, "minItems": 1}],
    }
    for properties in (schema["properties"], definitions["DestinationModel"]["properties"]):
        properties["filter"] = {"$ref": "#/$defs/Filter"}
    for definition in definitions.values():
        if "when" in definition.get("properties", {}) and "then" not in definition["properties"]:
            definition["properties"]["when"] = {"$ref": "#/$defs/Filter"}
    properties = definitions["DestinationModel"]["properties"]
    properties["answers"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/AnswersModel"}]}
    delivered = {
        "type": "object",
        "properties": {"delivered": {"type": "string"}, "within": definitions["AckPolicy"]["properties"]["within"]},
        "required": ["delivered"],
        "additionalProperties": False,
    }
    schema["properties"]["ack"] = {
        "description": "When the sender is acknowledged: `received`, `transformed`, or `{delivered: DESTINATION}`.",
        "anyOf": [{"enum": ["received", "transformed"]}, delivered, {"$ref": "#/$defs/AckPolicy"}],
    }


def _open_to_references(schema: Any) -> Any:
    """Any value that is not text in the model may be written as a reference."""
    if isinstance(schema, list):
        return [_open_to_references(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    opened = {key: _open_to_references(value) for key, value in schema.items()}
    _default(schema, opened)
    narrow = "pattern" in schema or "enum" in schema or schema.get("type") in ("integer", "number", "boolean")
    if narrow and "type" in schema and "properties" not in schema:
        outer = {key: opened.pop(key) for key in ("title", "description", "default") if key in opened}
        return {**outer, "anyOf": [opened, _REFERENCE]}
    return opened


def _default(schema: dict[str, Any], opened: dict[str, Any]) -> None:
    """Write a default as a file would; those that are made of several values are in their own definitions."""
    default = schema.get("default")
    if isinstance(default, dict):
        del opened["default"]
    elif isinstance(default, int | float) and not isinstance(default, bool) and schema.get("type") == "string":
        opened["default"] = f"{default:g}s" if "ms|s|m" in schema["pattern"] else f"{default / 1_000_000:g}MB"
