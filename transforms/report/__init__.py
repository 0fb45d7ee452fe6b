"""The laboratory report as a value, with no format: what readers give (ORU, CDA) and writers take (CR-Bio, PDF).

Numbers keep the characters of their source (``digits`` differs from it only by a dot for a decimal comma); everything
carries its ``place`` in the source message, such as ``OBX[3]-5``, so that a fault or a trace can name it.
"""

from __future__ import annotations

from transforms.report.document import Enclosed, Encounter, LeftOut, Prescription, Report, Version
from transforms.report.people import (
    FINESS_ROOT,
    RPPS_ROOT,
    Address,
    Contact,
    Ins,
    Laboratory,
    Organization,
    Patient,
    Person,
    Telecom,
    Validation,
)
from transforms.report.results import Attachment, Chapter, Device, Isolate, Panel, Previous, Result, Specimen
from transforms.report.values import (
    LOINC,
    SNOMED_CT,
    Answer,
    Coding,
    Concept,
    Flag,
    Identifier,
    Instant,
    Interval,
    Moment,
    Note,
    Number,
    Quantity,
    Range,
    Ratio,
    Text,
    Unit,
    Value,
)

__all__ = [
    "FINESS_ROOT",
    "LOINC",
    "RPPS_ROOT",
    "SNOMED_CT",
    "Address",
    "Answer",
    "Attachment",
    "Chapter",
    "Coding",
    "Concept",
    "Contact",
    "Device",
    "Enclosed",
    "Encounter",
    "Flag",
    "Identifier",
    "Ins",
    "Instant",
    "Interval",
    "Isolate",
    "Laboratory",
    "LeftOut",
    "Moment",
    "Note",
    "Number",
    "Organization",
    "Panel",
    "Patient",
    "Person",
    "Prescription",
    "Previous",
    "Quantity",
    "Range",
    "Ratio",
    "Report",
    "Result",
    "Specimen",
    "Telecom",
    "Text",
    "Unit",
    "Validation",
    "Value",
    "Version",
]
