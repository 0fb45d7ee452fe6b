"""The catalogue as a FHIR R4 CodeSystem, the transcoding as a ConceptMap, and back.

Nothing is lost either way: what FHIR has no element for is an extension ``urn:vaguemestre:transcoding:…``.

Source: FHIR 4.0.1, CodeSystem and ConceptMap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from channels.errors import ChannelFileError, ConfigErrors
from loinc.catalogue import Catalogue, Entry, entries_of
from loinc.tabular import Table, clean
from loinc.transcoding import Row, Transcoding, rows_of

__all__ = ["Dictionary", "code_system", "concept_map", "dumps", "read"]

LOINC = "http://loinc.org"
_OURS = "urn:vaguemestre:transcoding:"
_PROPERTIES = {
    "specimen": "specimen",
    "unit": "unit",
    "technique": "technique",
    "analyser": "analyser",
    "value_type": "resultType",
    "decimals": "decimals",
    "range": "range",
    "section": "chapter",
    "sub_section": "subChapter",
    "nabm": "nabm",
    "comment": "comment",
}
_FIELDS = {code: name for name, code in _PROPERTIES.items()}
_CONDITIONS = ("specimen", "unit", "technique")
_PRODUCTS = ("ucum", "molar_mass")
_METADATA = ("status", "relationship", "decimals", "since", "until", "author", "date", "evidence")
_LINE = re.compile(r"line (\d+)")


class Dictionary(NamedTuple):
    """The laboratory's dictionary: its URI, a name for machines, a title, a version (a day and a number)."""

    url: str
    name: str
    title: str
    version: str


def dumps(resource: Mapping[str, Any]) -> str:
    """A resource as text, keys in the order of the standard."""
    return json.dumps(resource, ensure_ascii=False, indent=2) + "\n"


# out


def code_system(catalogue: Catalogue, dictionary: Dictionary, day: str) -> dict[str, Any]:
    """The catalogue. An analysis of a local code that has several is a concept below that of the code."""
    concepts: dict[str, list[Entry]] = {}
    for entry in catalogue:
        concepts.setdefault(entry.local_code, []).append(entry)
    return {
        **_head("CodeSystem", dictionary, day),
        "caseSensitive": True,
        "hierarchyMeaning": "grouped-by",
        "content": "complete",
        "count": sum(len(entries) + (len(entries) > 1) for entries in concepts.values()),
        "property": [
            *({"code": code, "type": "string"} for code in ("localCode", *_PROPERTIES.values())),
            {"code": "frequency", "type": "integer"},
            {"code": "inactive", "uri": "http://hl7.org/fhir/concept-properties#inactive", "type": "boolean"},
        ],
        **({"concept": [_concepts(code, entries) for code, entries in concepts.items()]} if concepts else {}),
    }


def _head(kind: str, dictionary: Dictionary, day: str) -> dict[str, Any]:
    suffix = "" if kind == "CodeSystem" else ":loinc"
    return {
        "resourceType": kind,
        "url": dictionary.url + suffix,
        "version": dictionary.version,
        "name": dictionary.name + ("Loinc" if suffix else ""),
        "title": dictionary.title,
        "status": "active",
        "date": day,
    }


def _concepts(code: str, entries: list[Entry]) -> dict[str, Any]:
    if len(entries) == 1:
        return _concept(code, entries[0])
    below = [_concept("|".join(_escaped(part) for part in entry.key), entry) for entry in entries]
    return {"code": code, "concept": below}


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("|", "%7C")


def _concept(code: str, entry: Entry) -> dict[str, Any]:
    properties: list[dict[str, Any]] = (
        [{"code": "localCode", "valueString": entry.local_code}] if code != entry.local_code else []
    )
    properties += [
        {"code": name, "valueString": getattr(entry, field)}
        for field, name in _PROPERTIES.items()
        if getattr(entry, field)
    ]
    if entry.frequency:
        properties.append({"code": "frequency", "valueInteger": entry.frequency})
    if not entry.active:
        properties.append({"code": "inactive", "valueBoolean": True})
    short = {"use": {"code": "short"}, "value": entry.short_label}
    return {
        "code": code,
        **({"display": entry.label} if entry.label else {}),
        **({"designation": [short]} if entry.short_label else {}),
        **({"property": properties} if properties else {}),
    }


def concept_map(transcoding: Transcoding, catalogue: Catalogue, dictionary: Dictionary, day: str) -> dict[str, Any]:
    """The transcoding, proposals and refusals too.

    A proposal has the equivalence ``relatedto``, a refusal ``disjoint``: neither is taken for a translation elsewhere.
    """
    rows: dict[str, list[Row]] = {}
    for row in transcoding:
        rows.setdefault(row.local_code, []).append(row)
    elements = []
    for code, found in rows.items():
        entries = catalogue.of(code)
        display = {"display": entries[0].label} if entries and entries[0].label else {}
        elements.append({"code": code, **display, "target": [_target(row) for row in found]})
    group = {"source": dictionary.url, "target": LOINC, "element": elements}
    return {**_head("ConceptMap", dictionary, day), **({"group": [group]} if elements else {})}


def _target(row: Row) -> dict[str, Any]:
    equivalence = {"proposed": "relatedto", "refused": "disjoint", "without_loinc": "unmatched"}.get(row.status)
    kept = {name: getattr(row, name) for name in _METADATA}
    if equivalence is None:
        kept["relationship"] = ""
    extension = [{"url": _OURS + name, "valueString": text} for name, text in kept.items() if text]
    depends = [{"property": _OURS + name, "value": getattr(row, name)} for name in _CONDITIONS if getattr(row, name)]
    product = [{"property": _OURS + name, "value": getattr(row, name)} for name in _PRODUCTS if getattr(row, name)]
    return {
        "extension": extension,
        **({"code": row.loinc} if row.loinc else {}),
        **({"display": row.loinc_name} if row.loinc_name else {}),
        "equivalence": equivalence or row.relationship or "equivalent",
        **({"comment": row.comment} if row.comment else {}),
        **({"dependsOn": depends} if depends else {}),
        **({"product": product} if product else {}),
    }


# in


class Content(NamedTuple):
    """What a resource gave; None for what it does not speak of."""

    catalogue: Catalogue | None
    rows: list[Row] | None


def read(text: str, name: str) -> Content:
    """A CodeSystem, a ConceptMap to LOINC, or a Bundle of both.

    A map of another origin, without our extensions, gives proposals: somebody of the laboratory checks them.
    Raises ChannelFileError when it is none of these, ConfigErrors with what is wrong (the line is that of the text).
    """
    try:
        resource = json.loads(text)
    except json.JSONDecodeError as error:
        raise ChannelFileError(name, error.lineno, error.colno, "not JSON") from None
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    bundle = kind == "Bundle"
    resources = [one.get("resource") for one in _dicts(resource.get("entry"))] if bundle else [resource]
    systems = [one for one in _dicts(resources) if one.get("resourceType") == "CodeSystem"]
    maps = [one for one in _dicts(resources) if one.get("resourceType") == "ConceptMap"]
    if not systems and not maps:
        raise ChannelFileError(name, 1, 1, "neither a CodeSystem nor a ConceptMap, nor a Bundle of them")
    rows = list(_map_rows(maps))
    return Content(
        Catalogue(entries_of(_table(_system_rows(systems), name))) if systems else None,
        _placed(rows_of, _table(rows, name), text) if maps else None,
    )


def _placed(function: Any, table: Table, text: str) -> list[Row]:
    try:
        return list(function(table))
    except ConfigErrors as error:
        lines = text.splitlines()
        raise ConfigErrors([_at_code(fault, table, lines) for fault in error.faults]) from None


def _at_code(fault: ChannelFileError, table: Table, lines: list[str]) -> ChannelFileError:
    """The fault at the line of the text that has the code of the row."""
    cells = next((cells for line, cells in table.rows if line == fault.line), {})
    wanted = json.dumps(cells.get("loinc") or cells.get("local_code", ""), ensure_ascii=False)
    line = next((number for number, one in enumerate(lines, 1) if wanted in one), 1)
    return ChannelFileError(fault.file, line, 1, _LINE.sub("another target", fault.problem))


def _table(rows: Iterable[dict[str, str]], name: str) -> Table:
    cleaned = [{key: clean(text) for key, text in row.items()} for row in rows]
    columns = tuple(dict.fromkeys(("local_code", "loinc", *(key for row in cleaned for key in row))))
    return Table(name, columns, tuple(enumerate(cleaned, 1)))


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _system_rows(systems: Iterable[dict[str, Any]]) -> Iterator[dict[str, str]]:
    for system in systems:
        for concept in _dicts(system.get("concept")):
            yield from _analyses(concept)


def _analyses(concept: dict[str, Any]) -> Iterator[dict[str, str]]:
    below = list(_dicts(concept.get("concept")))
    for one in below:
        yield from _analyses(one)
    if below and not concept.get("property"):
        return
    values: dict[str, Any] = {}
    for one in _dicts(concept.get("property")):
        values[_text(one.get("code"))] = next((one[key] for key in one if key.startswith("value")), "")
    short = next(
        (one for one in _dicts(concept.get("designation")) if (one.get("use") or {}).get("code") == "short"), {}
    )
    yield {
        "local_code": _text(values.get("localCode")) or _text(concept.get("code")),
        "label": _text(concept.get("display")),
        "short_label": _text(short.get("value")),
        "frequency": _text(values.get("frequency")),
        "active": "no" if values.get("inactive") is True else "",
        **{field: _text(values.get(code)) for code, field in _FIELDS.items()},
    }


def _map_rows(maps: Iterable[dict[str, Any]]) -> Iterator[dict[str, str]]:
    for one in maps:
        origin = " ".join(filter(None, ("ConceptMap", _text(one.get("url")), _text(one.get("version")))))
        for group in _dicts(one.get("group")):
            if group.get("target") not in (LOINC, None):
                continue
            for element in _dicts(group.get("element")):
                for target in _dicts(element.get("target")):
                    yield _row(_text(element.get("code")), target, origin)


def _row(local_code: str, target: dict[str, Any], origin: str) -> dict[str, str]:
    ours = {
        _text(one.get("url")).removeprefix(_OURS): _text(one.get("valueString"))
        for one in _dicts(target.get("extension"))
        if _text(one.get("url")).startswith(_OURS)
    }
    equivalence = _text(target.get("equivalence"))
    code = _text(target.get("code"))
    foreign = {"status": _foreign_status(equivalence, code), "evidence": origin}
    relation = equivalence if equivalence in ("wider", "narrower", "inexact", "subsumes", "specializes") else ""
    stated = {name: ours[name] for name in _METADATA if name in ours} if "status" in ours else foreign
    return {
        "local_code": local_code,
        "loinc": code,
        "loinc_name": _text(target.get("display")),
        "relationship": relation,
        "comment": _text(target.get("comment")),
        **_named(target.get("dependsOn"), _CONDITIONS),
        **_named(target.get("product"), _PRODUCTS),
        **stated,
    }


def _foreign_status(equivalence: str, code: str) -> str:
    if equivalence == "unmatched" or not code:
        return "without_loinc"
    return "refused" if equivalence == "disjoint" else "proposed"


def _named(value: Any, names: tuple[str, ...]) -> dict[str, str]:
    """The properties whose URI ends in one of the names."""
    found = {}
    for one in _dicts(value):
        end = re.split(r"[#:/]", _text(one.get("property")))[-1].replace("-", "_").lower()
        if end in names:
            found[end] = _text(one.get("value"))
    return found
