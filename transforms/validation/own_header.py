"""Our own rules on the header: model, identity, people, versions, times.

Source: Référentiel INS; CI-SIS volet CR d'examens de biologie médicale 2024.01 and structuration minimale, for what no
rule of ANS checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from transforms.ins import ins_key_is_right, ins_kind
from transforms.validation.view import Found, View, child

_MODEL = "1.2.250.1.213.1.1.1.55"
_UNSTRUCTURED = "1.3.6.1.4.1.19376.1.2.20"
_COG = re.compile(r"[0-9]{5}|2[AB][0-9]{3}")
_RPPS, _FINESS = "1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"
_NUMBERS = {
    _RPPS: re.compile(r"8[0-9]{11}|[0-79][0-9A-Z./]{2,}|[0-9A-Z]{9}"),
    _FINESS: re.compile(r"1[0-9][0-9AB][0-9]{7}|2[0-9]{9}|3[0-9]{14}|[04-9].+"),
}
_TIME = re.compile(r"[0-9]{4}(?:[0-9]{2}){0,5}(?:\.[0-9]+)?(?P<zone>[+-][0-9]{4})?")
_KNOWN = {f"1.2.250.1.213.1.4.{number}" for number in (8, 9, 10, 11)}


def model(view: View) -> Iterator[Found]:
    """The model of the document is declared: without it no rule of the model is ever tried."""
    declared = view.templates(view.root)
    if view.structured and _MODEL not in declared:
        yield Found(view.root, f"the template of the model ({_MODEL}) is not declared: its rules are never tried")
    if not view.structured and _UNSTRUCTURED not in declared:
        yield Found(view.root, f"a document whose body is a file declares the template {_UNSTRUCTURED}")


def patient(view: View) -> Iterator[Found]:
    """One patient, in the whole document."""
    targets = view.all("cda:recordTarget")
    for other in targets[1:]:
        yield Found(other, "a second patient")
    for subject in view.elements("subject"):
        yield Found(subject, "a result of somebody else than the patient")
    seen: dict[str, str] = {}
    for number in view.all("cda:recordTarget/cda:patientRole/cda:id"):
        root, extension = number.get("root", ""), number.get("extension", "")
        if seen.setdefault(root, extension) != extension:
            yield Found(number, "two numbers of the patient in one numbering space")


def ins(view: View) -> Iterator[Found]:
    """The INS: its key, its domain, the code of the birth place that goes with it."""
    for number in view.all("cda:recordTarget/cda:patientRole/cda:id"):
        root = number.get("root", "")
        if root not in _KNOWN:
            continue
        if not ins_key_is_right(number.get("extension", "")):
            yield Found(number, "the INS is not 13 characters and their key")
        if view.domain and not ins_kind(root, view.domain):
            yield Found(number, f"an INS that is not of the domain {view.domain}")
        if number.getparent().find("{*}patient/{*}administrativeGenderCode[@code='UN']") is not None:
            yield Found(number, "with an INS the sex is M or F", "warning")
    for county in view.all("cda:recordTarget//cda:birthplace//cda:county"):
        if not _COG.fullmatch((county.text or "").strip()):
            yield Found(county, "the code of the birth place is not one of the INSEE (COG)")


def numbers(view: View) -> Iterator[Found]:
    """National numbers of persons and structures have their form."""
    for number in view.elements("id"):
        form = _NUMBERS.get(number.get("root", ""))
        if form is not None and not form.fullmatch(number.get("extension", "")):
            what = "a person (8 and the RPPS)" if number.get("root") == _RPPS else "a structure (1 and the FINESS)"
            yield Found(number, f"not the form of the national number of {what}")


def versions(view: View) -> Iterator[Found]:
    """Versions: a later one says which it replaces, the first replaces none; the set is not the document."""
    version, document = child(view.root, "versionNumber"), child(view.root, "id")
    replaced = view.all("cda:relatedDocument[@typeCode='RPLC']/cda:parentDocument/cda:id")
    first = version is not None and version.get("value") == "1"
    if version is not None and not first and not replaced:
        yield Found(version, "a version after the first does not say which it replaces (relatedDocument RPLC)")
    if first and replaced:
        yield Found(version, "the first version replaces another", "warning")
    own = (document.get("root"), document.get("extension")) if document is not None else None
    for one in replaced:
        if (one.get("root"), one.get("extension")) == own:
            yield Found(one, "the document replaces itself")
    group = child(view.root, "setId")
    if group is not None and (group.get("root"), group.get("extension")) == own:
        yield Found(group, "the identifier of the set is that of the document", "warning")


def zones(view: View) -> Iterator[Found]:
    """A time with hours has its zone."""
    for time in view.all("//*[self::cda:effectiveTime or self::cda:time or self::cda:low or self::cda:high]/@value"):
        match = _TIME.fullmatch(str(time))
        if match and len(str(time).partition(".")[0]) > len("YYYYMMDD") and not match["zone"]:
            yield Found(time.getparent(), "a time without zone", "warning")


def order(view: View) -> Iterator[Found]:
    """Sampling, then reception, then release."""
    received = view.all("cda:documentationOf[1]/cda:serviceEvent/cda:effectiveTime/cda:low")
    released = view.all("cda:documentationOf[1]/cda:serviceEvent/cda:effectiveTime/cda:high")
    if received and released and _after(received[0].get("value"), released[0].get("value")):
        yield Found(released[0], "released before the request was received", "warning")
    for procedure in view.elements("procedure"):
        taken = view.all("cda:effectiveTime/cda:high | cda:effectiveTime[@value]", procedure)
        came = view.all(".//cda:act[cda:code/@code='SPRECEIVE']/cda:effectiveTime", procedure)
        if taken and came and _after(taken[0].get("value"), came[0].get("value")):
            yield Found(came[0], "a specimen received before it was taken", "warning")


def _after(one: str | None, other: str | None) -> bool:
    """Whether the first moment is after the second; False when either cannot be read to the minute."""
    first, second = _moment(one), _moment(other)
    return first is not None and second is not None and first > second


def _moment(text: str | None) -> datetime | None:
    match = _TIME.fullmatch(text or "")
    if not match or not match["zone"] or text is None:
        return None
    digits = text[: match.start("zone")].partition(".")[0]
    try:
        return datetime.strptime(f"{digits[:12]}{match['zone']}", "%Y%m%d%H%M%z")
    except ValueError:
        return None
