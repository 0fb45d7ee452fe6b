"""Fields of a result message that no document has a place for, and why.

Every entry is a decision. A field that is neither carried nor named here shows as lost, and a test fails.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_NUMBERING = "name and kind of the numbering space: its OID stands for it"
_PERSON = "how to read the number of the person"
_KNOWN = "this person is in the settings of the laboratory, whose spelling is written"
_LINK = "places the susceptibility test under its germ"
_LOCAL = "number of somebody in no national register: the name is carried"
_TITLE = "civility or title: those of the value sets are carried (M, MME, DR, PR...)"
_PLACES = re.compile(r"\[\d+\]")

_REASONS = {
    # envelope
    r"MSH-(3|4|5|6|8|9|11|12|13|15|16|17|18|19|20|21)(\..*)?": "envelope of the message",
    r"(PID|PV1|OBR|OBX|SPM|NTE|NK1|ROL)-1": "rank in the message",
    r"NTE-2": "who wrote the comment (laboratory, other): the words are carried",
    r"ORC-1": "control code of the order",
    r"OBX-2": "kind of the value: the value itself tells it",
    # identity and stay
    r"PID-(3|18)\.(4\.1|4\.3|6.*)|PID-3\.4": _NUMBERING,
    r"PID-5\.(5|7|8)": "civility, or which of the names this is: each has its own element",
    r"PID-11\.(7|8)": "which of the addresses this is",
    r"PID-(13|14)\.(2|3)": "which kind of number this is",
    r"PID-18\..*|PID-18": "number of the account (billing): the stay of a report is PV1-19",
    r"PID-(15|16|17|10|22|24|25|26|27|28|31|32|33|35|36|37|38|39)(\..*)?": "a report has no place for it",
    r"PID-30": "the time of death (PID-29) says it",
    r"NK1-.*": "civility and kind of the name, use of the number",
    r"ROL-(2|3|5|6)(\..*)?": "kind of the change, the role and its dates",
    r"PV1-2": "a kind of stay that the value set does not have",
    r"PV1-19\.(4\.1|4\.3|5)": _NUMBERING,
    r"PV1-3(\..*)?": "ward, room and bed: a report has no place for them (the place of a report is the laboratory)",
    r"PV1-(4|6|7|8|9|10|14|17|18|2[0-4]|36|50|51)(\..*)?": "administrative part of the stay: no place in a report",
    # order
    r"ORC-(2|3)(\..*)?": "OBR-2, OBR-3 are taken first",
    r"(ORC|OBR)-4\.(2|3|4)": _NUMBERING,
    r"ORC-4(\..*)?": "number of the group of orders: it is carried for an order that has none of its own",
    r"ORC-(5|6|7|10|11|13|14|15|16|17|18|19|21|22|23|24|25)(\..*)?": "life of the order at the prescriber",
    r"ORC-9": "the earliest of the orders is the time of the prescription",
    r"OBR-(2|3)\.(2|3|4)|SPM-2\.[12]\.[234]|PV1-19\.4": _NUMBERING,
    r"OBR-4\.(2|3|5)": "another name of the same panel: the LOINC label, or the laboratory's, is shown",
    r"OBR-(7|8|14)": "SPM-17, SPM-18 of the specimen are taken first",
    r"OBR-25": "status: written as complete, in progress or cancelled, which other letters are too",
    r"OBR-24": "chapter of the germ that the susceptibility test hangs on, or of an order with a file only",
    r"OBR-(26|29)(\..*)?": _LINK,
    r"OBR-(32)\.(2|3|6)": _KNOWN,
    r"(ORC-12|OBR-10|OBR-16|OBR-28|OBX-16|ROL-4)\.(9(\..*)?|10|11|12|13)": _PERSON,
    r"OBR-32\..*": _PERSON,
    r"(ORC-12|OBR-10|OBR-16|OBR-28|OBX-16|ROL-4)(\.1)?|OBR-34\.1": _LOCAL,
    r"(ORC-12|OBR-10|OBR-16|OBR-28|OBX-16|ROL-4)\.6": _TITLE,
    r"(ORC-12|OBR-16)\.(2|3)": "the prescriber is named once, as the first order names him",
    r"OBX-16\.(2|3|6)": _KNOWN,
    # results
    r"OBX-3\.(2|5)": "another name of the same test: the LOINC label, or the laboratory's, is shown",
    r"OBX-(14)": "OBX-19, the time of the analysis, is taken first",
    r"OBX-18\.4": _NUMBERING,
    r"OBX-15(\..*)?|OBX-23\..*|OBX-24(\..*)?|OBX-25(\..*)?": "the laboratory is written as the settings name it",
    r"OBX-5\.(1|2|3|4)": "kind and encoding of the file",
    r"SPM-(21|24)\.(1|3)": "code of the non-conformity: its words are carried",
}
_PATTERNS = [(re.compile(pattern), reason) for pattern, reason in _REASONS.items()]
_OF_AN_AWAITED = "of an awaited result: its name is shown, and nothing is coded before there is a value"
_OF_A_PREVIOUS = "of a previous result: its test, value, unit and time are carried"
_OF_A_FILE = "of a file: the file and its title are carried"


def known_reason(
    place: str, previous: Collection[str] = (), files: Collection[str] = (), awaited: Collection[str] = ()
) -> str:
    """Why a field is not carried; ``""`` when it should be.

    previous, files, awaited: places of the OBX that are previous results, files (and of the OBR with files only), or
    have no value yet.
    """
    segment = place.partition("-")[0]
    bare = _PLACES.sub("", place)
    if segment in previous and not bare.startswith(("OBX-5", "OBX-6")):
        return _OF_A_PREVIOUS
    if segment in files and bare.startswith(("OBX-", "OBR-4")) and not bare.startswith("OBX-5.5"):
        return _OF_A_FILE
    if segment in awaited and re.fullmatch(r"OBX-(3|17|18|19)(\..*)?", bare):
        return _OF_AN_AWAITED
    return next((reason for pattern, reason in _PATTERNS if pattern.fullmatch(bare)), "")
