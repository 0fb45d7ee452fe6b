"""What a document that the engine writes keeps of the message that it was made from, for its acknowledgements.

Nothing of the patient: the document itself tells who that is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from channels.message import Message
from transforms import er7

ATTRIBUTE = "origin"


@dataclass(frozen=True, slots=True)
class Origin:
    """MSH-3 to MSH-7, MSH-10 and MSH-11 of a message, its kind, PV1-2 and PV1-19."""

    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    time: str = ""
    control_id: str = ""
    processing_id: str = "P"
    kind: str = ""
    visit_class: str = ""
    visit_id: str = ""


def kept(message: Message) -> dict[str, str]:
    """The attributes of a document made from this HL7 v2 message: its own, and where it comes from."""
    parsed = er7.read(message)
    header = parsed.header
    found = [
        *(header.component(number).strip() for number in (3, 4, 5, 6, 7)),
        header.control_id,
        header.component(11).strip().upper() or "P",
        header.kind,
        parsed.get("PV1-2.1").strip().upper(),
        parsed.get("PV1-19.1").strip(),
    ]
    return {**message.attributes, ATTRIBUTE: json.dumps(found, ensure_ascii=False)}


def origin(message: Message) -> Origin:
    """Where a document comes from; as much as the message itself knows when nothing was kept."""
    said = message.attributes.get(ATTRIBUTE)
    if said is None and message.format == "hl7v2":
        said = kept(message)[ATTRIBUTE]
    if said is not None:
        return Origin(*json.loads(said))
    application, _, facility = message.sender.partition("|")
    return Origin(application, facility, control_id=message.control_id, kind=message.kind)
