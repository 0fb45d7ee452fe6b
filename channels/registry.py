"""Names of connectors, transforms and formats, and where their code is.

Code is imported when a channel needs it, so a node that only routes stays small. Other distributions add names
through the entry-point groups ``vaguemestre.sources``, ``.destinations``, ``.lookups`` and ``.transforms``.
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from channels.errors import ConfigError, UnknownNameError

SOURCES = {
    "mllp": "connectors.mllp:MllpSource",
    "file": "connectors.file:FileSource",
    "http": "connectors.http:HttpSource",
    "sftp": "connectors.sftp:SftpSource",
    "amqp": "connectors.amqp:AmqpSource",
    "mssante": "connectors.mssante:MssanteSource",
    "channel": "connectors.channel:ChannelSource",
    "zam": "connectors.zam:ZamSource",
}
DESTINATIONS = {
    "mllp": "connectors.mllp:MllpDestination",
    "file": "connectors.file:FileDestination",
    "http": "connectors.http:HttpDestination",
    "sftp": "connectors.sftp:SftpDestination",
    "amqp": "connectors.amqp:AmqpDestination",
    "mssante": "connectors.mssante:MssanteDestination",
    "channel": "connectors.channel:ChannelDestination",
    "dmp": "connectors.dmp.destination:DmpDestination",
    "consent": "connectors.consent:ConsentDestination",
}
LOOKUPS: dict[str, str] = {
    "pfi.register": "connectors.register:Register",
    "dmp": "connectors.dmp.lookup:DmpLookup",
    "annuaire": "connectors.annuaire:AnnuaireLookup",
    "insi": "connectors.insi:InsiLookup",
}
TRANSFORMS = {
    "set": "transforms.steps:Set",
    "copy": "transforms.steps:Copy",
    "delete": "transforms.steps:Delete",
    "codes": "transforms.codes:Codes",
    "when": "transforms.steps:When",
    "charset": "transforms.steps:Charset",
    "xslt": "transforms.xslt:Xslt",
    "hl7.repair": "transforms.repair:repair",
    "ins.withhold_unverified": "transforms.ins:withhold_unverified",
    "loinc.transcode": "transforms.loinc_codes:Transcode",
    "validate": "transforms.validation.step:Validate",
    "cda.cr_bio": "transforms.cda:cr_bio",
    "cda.level_1": "transforms.cda:level_1",
    "cda.self_presentable": "transforms.cda.presentation:self_presentable",
    "pfi.request": "transforms.submission.request:ReadRequest",
    "pfi.from_report": "transforms.submission.from_report:FromReport",
    "mssante.mails": "transforms.mail:Mails",
    "mssante.mdm": "transforms.mail:Mdm",
    "mssante.mdn": "transforms.mail:Mdn",
    "report.json": "transforms.views:as_json",
    "report.pdf": "transforms.views:as_pdf",
    "report.html": "transforms.views:as_html",
}
FORMATS = {"hl7v2": "transforms.hl7v2:FORMAT", "submission": "transforms.submission.format:FORMAT"}
MATCHER = "transforms.match:Match"
TABLES = "mappings:Tables"
DIFFERENCES = "transforms.difference:differences"
PLACES = "transforms.paths:parse_path"
HEADER = "transforms.er7:peek"
MESSAGE = "transforms.er7:message"
LABORATORY_CODES = "transforms.laboratory_tables:problem"
NUMBERS = "transforms.identifiers:is_right"

_KINDS = {"source": SOURCES, "destination": DESTINATIONS, "lookup": LOOKUPS, "transform": TRANSFORMS, "format": FORMATS}


@cache
def names(kind: str) -> dict[str, str]:
    """All names of one kind (``source``, ``destination``, ``lookup``, ``transform``, ``format``) -> ``module:Name``."""
    found = dict(_KINDS[kind])
    for point in entry_points(group=f"vaguemestre.{kind}s"):
        found.setdefault(point.name, point.value)
    return found


def load(target: str) -> Any:
    """The object at ``module:Name``. Raises ConfigError when its extra is not installed."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{target} needs the package {error.name!r}, which is not installed") from error


def find(kind: str, name: str) -> Any:
    """The connector, transform or format of this name. Raises UnknownNameError with the nearest name."""
    known = names(kind)
    if name not in known:
        raise UnknownNameError(f"no {kind} is called {name!r}{suggestion(name, known)}")
    return load(known[name])


def suggestion(name: str, known: Any) -> str:
    """``; did you mean 'mllp'?`` when one of ``known`` looks like ``name``, else ``""``."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
