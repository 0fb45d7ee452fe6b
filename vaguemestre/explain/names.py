"""Names of the standard, from hl7apy: fields, components, data types, tables of one version."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from channels.errors import ConfigError
from vaguemestre.explain.french import FRENCH, SEGMENTS

USUAL = "2.5"
"""The version of the French profiles, taken for a message whose own is unknown."""
LATEST = "2.8.2"
"""Where fields are looked up that a message takes from a later version than it declares."""


class Name(NamedTuple):
    """What the standard calls one field or component.

    table: ``0203``, ``""`` without one. added: the later version that it comes from, ``""`` for the message's own.
    """

    text: str
    datatype: str = ""
    table: str = ""
    added: str = ""


UNKNOWN = Name("")


class Names:
    """The names of one version."""

    def __init__(self, version: str) -> None:
        """version: MSH-12.1. Raises ConfigError when hl7apy is not installed."""
        try:
            import hl7apy
        except ImportError as error:
            raise ConfigError("this command needs the package hl7apy: pip install 'vaguemestre[hl7]'") from error
        self._load = hl7apy.load_reference
        self.version = version if version in hl7apy.SUPPORTED_LIBRARIES else USUAL

    @staticmethod
    def segment(segment: str) -> str:
        """The name of a segment, ``""`` for an unknown one."""
        return FRENCH[segment][0] if segment in FRENCH else SEGMENTS.get(segment, "")

    def field(self, segment: str, number: int) -> Name:
        """The name of a field; of a later version when this one does not have it."""
        if segment in FRENCH:
            return Name(*FRENCH[segment][1].get(number, ("",)))
        return self._child(segment, "Segment", f"{segment}_{number}")

    def component(self, datatype: str, number: int) -> Name:
        """The name of a component of a data type."""
        return self._child(datatype, "Datatypes_Structs", f"{datatype}_{number}") if datatype else UNKNOWN

    def known(self, segment: str) -> bool:
        """Whether this version, or the French extension, has the segment."""
        return segment in FRENCH or bool(_children(self._load, segment, "Segment", self.version))

    def _child(self, parent: str, kind: str, name: str) -> Name:
        for version, added in ((self.version, ""), (LATEST, LATEST)):
            found = _children(self._load, parent, kind, version).get(name)
            if found is not None:
                return found._replace(added=added)
        return UNKNOWN


@lru_cache(maxsize=512)
def _children(load: Any, parent: str, kind: str, version: str) -> dict[str, Name]:
    """The fields of a segment or the components of a data type, by hl7apy's name; none when it is unknown."""
    from hl7apy.exceptions import ChildNotFound

    try:
        reference = load(parent, kind, version)
    except ChildNotFound:
        return {}
    children = reference[1] if reference and reference[0] == "sequence" else reference
    return {name: _name(description) for name, description, *_ in children if isinstance(description, tuple | list)}


def _name(description: Any) -> Name:
    _, _, datatype, text, table, *_ = description
    return Name(str(text or "").replace("_", " ").capitalize(), datatype or "", (table or "").removeprefix("HL7"))
