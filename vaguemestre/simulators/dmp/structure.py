"""The shape of ebRIM: our own grammar always, the official schemas when the operator has them.

Source: ebRIM 3.0, ebRS 3.0 (OASIS); XDS.b (IHE ITI TF-2 3.41.4.1).
"""

from __future__ import annotations

import copy
from collections import Counter
from functools import cache
from pathlib import Path

from lxml import etree

from channels.errors import ConfigError
from vaguemestre.simulators.dmp import names, soap
from vaguemestre.simulators.dmp.rules import Judge
from vaguemestre.simulators.dmp.tables import content

_SCHEMAS = {names.XDS: "IHE/IHEXDSB.xsd", names.LCM: "ebRS30/lcm.xsd", names.QUERY: "ebRS30/query.xsd"}
_VALUE_LENGTH = 256


@cache
def _grammar() -> etree.RelaxNG:
    return etree.RelaxNG(etree.fromstring(content("registry.rng")))


@cache
def _schema(folder: Path, namespace: str) -> etree.XMLSchema:
    path = folder / _SCHEMAS[namespace]
    try:
        return etree.XMLSchema(etree.parse(path))
    except (OSError, etree.Error) as error:
        raise ConfigError(f"schemas: {path} cannot be used: {type(error).__name__}") from error


def load(folder: Path | None) -> None:
    """Compile all that will be used. Raises ConfigError when the folder does not hold it."""
    _grammar()
    for namespace in _SCHEMAS if folder is not None else ():
        _schema(Path(folder or ""), namespace)


def check(request: etree._Element, judge: Judge, schemas: Path | None) -> None:
    """Check a submission, a deletion or a query; documents count as Base64, as the schemas want them."""
    plain = request
    if soap.find(request, "xds:Document"):
        plain = copy.deepcopy(request)
        for document in soap.find(plain, "xds:Document"):
            for child in list(document):
                document.remove(child)
            document.text = "AA=="
    namespace = str(etree.QName(request).namespace)
    if namespace != names.QUERY:
        grammar = _grammar()
        judge.check(grammar.validate(plain), "xml.structure", _first_line(grammar.error_log, request))
    if schemas is not None:
        schema = _schema(schemas, namespace)
        judge.check(schema.validate(plain), "xml.schema", _first_line(schema.error_log, request))
    _identifiers(request, judge)


def _first_line(log: etree._ListErrorLog, request: etree._Element) -> str:
    lines = sorted(entry.line for entry in log if entry.line > 0)
    return f"ligne {lines[0]}" if lines else str(etree.QName(request).localname)


def _identifiers(request: etree._Element, judge: Judge) -> None:
    objects = soap.find(request, ".//rim:RegistryObjectList//*[@id]")
    for name, times in Counter(str(one.get("id")) for one in objects).items():
        judge.check(times == 1, "xml.unique-id", name)
    for slot in soap.find(request, ".//rim:Slot"):
        longest = max((len(value.text or "") for value in soap.find(slot, "rim:ValueList/rim:Value")), default=0)
        judge.check(longest <= _VALUE_LENGTH, "xml.value-length", str(slot.get("name", "")))
    for attribute in ("classifiedObject", "registryObject"):
        for one in soap.find(request, f".//*[@id]/*[@{attribute}]"):
            parent = one.getparent()
            kept = parent is not None and parent.get("id") == one.get(attribute)
            judge.check(kept, "xml.references", str(one.get("id", "")))
