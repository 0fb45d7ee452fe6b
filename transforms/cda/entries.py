"""Entries of a chapter: what a program reads.

Source: CI-SIS volet modèles de contenus CDA (FR-Resultats-examens-de-biologie-medicale, FR-Batterie, FR-Prelevement,
FR-Resultat-examens-de-biologie-element-clinique-pertinent, FR-Commentaire-ER); IHE XD-LAB.
"""

from __future__ import annotations

from transforms.cda.people import assigned, organization, performer, validator
from transforms.cda.rows import Block, Row
from transforms.cda.values import interval, value
from transforms.cda.xml import attributes, code, esc, ident, time
from transforms.report import Coding, Concept, Device, Flag, Moment, Range, Specimen, Unit

_REPORT_DATA = (
    '<entry typeCode="DRIV"><templateId root="1.3.6.1.4.1.19376.1.3.1"/><templateId root="1.2.250.1.213.1.1.3.21"/>'
    '<act classCode="ACT" moodCode="EVN">'
)
_BATTERY = (
    '<entryRelationship typeCode="COMP"><organizer classCode="BATTERY" moodCode="EVN">'
    '<templateId root="1.3.6.1.4.1.19376.1.3.1.4"/><templateId root="1.2.250.1.213.1.1.3.78"/>'
)
_OBSERVATION = (
    '<component typeCode="COMP"><observation classCode="OBS" moodCode="EVN">'
    '<templateId root="1.3.6.1.4.1.19376.1.3.1.6"/><templateId root="1.2.250.1.213.1.1.3.80"/>'
)
_COMMENT = (
    '<act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.1.40"/>'
    '<templateId root="1.3.6.1.4.1.19376.1.5.3.1.4.2"/><templateId root="1.2.250.1.213.1.1.3.32"/>'
    '<code code="48767-8" displayName="Commentaire" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC"/>'
)
_PROCEDURE = (
    '<component typeCode="COMP"><procedure classCode="PROC" moodCode="EVN">'
    '<templateId root="1.3.6.1.4.1.19376.1.3.1.2"/><templateId root="1.2.250.1.213.1.1.3.77"/>'
    '<code code="33882-2" displayName="Prélèvement" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC"/>'
)
_RECEIVED = (
    '<entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN">'
    '<templateId root="1.3.6.1.4.1.19376.1.3.1.3"/><templateId root="1.2.250.1.213.1.1.3.107"/>'
    '<code code="SPRECEIVE" displayName="Échantillon reçu" codeSystem="1.3.5.1.4.1.19376.1.5.3.2"'
    ' codeSystemName="IHEActCode"/>'
)
_UNKNOWN = '<id nullFlavor="UNK"/>'
_NORMAL = '<interpretationCode code="N" displayName="Normal" codeSystem="2.16.840.1.113883.5.83"/>'


def entry(chapter_code: str, blocks: list[Block], released: Moment) -> str:
    """The one entry of a chapter. chapter_code: its ``code`` element; released: when the report left."""
    panels = [block.panel for block in blocks]
    if all(panel.status == "X" for panel in panels):
        status = "aborted"
    else:
        status = "completed" if all(panel.complete for panel in panels) else "active"
    batteries = "".join([_battery(block, released) for block in blocks])
    return f'{_REPORT_DATA}{chapter_code}<statusCode code="{status}"/>{batteries}</act></entry>'


def concept(item: Concept, reference: str, tag: str = "code") -> str:
    """A code with the words that show it (``#reference``): standard code, or none and translations only."""
    main = attributes(item.standard) if item.standard else "" if item.others else ' nullFlavor="NA"'
    others = "".join([code(one, "translation") for one in item.others])
    return f'<{tag}{main}><originalText><reference value="#{reference}"/></originalText>{others}</{tag}>'


def _battery(block: Block, released: Moment) -> str:
    panel = block.panel
    status = "aborted" if panel.status == "X" else "completed" if panel.complete else "active"
    comments = "".join([f"<component>{_comment(number)}</component>" for number, _ in block.notes])
    observations = "".join([_observation(row, released) for row in block.rows if row.result.status != "I"])
    return (
        f"{_BATTERY}{ident(panel.filler)}{concept(panel.code, f'p{block.number}')}"
        f'<statusCode code="{status}"/>{time(panel.released)}'
        f"{''.join([_specimen(one) for one in panel.specimens])}{observations}{comments}"
        "</organizer></entryRelationship>"
    )


def _comment(number: int) -> str:
    return f'{_COMMENT}<text><reference value="#n{number}"/></text><statusCode code="completed"/></act>'


def _observation(row: Row, released: Moment) -> str:
    result, number = row.result, row.number
    given_up = result.status == "X"
    status = "aborted" if given_up else "completed"
    values = "" if given_up else "".join([value(one, result.unit, f"v{number}") for one in result.values])
    comments = [
        f'<entryRelationship typeCode="SUBJ" inversionInd="true">{_comment(one)}</entryRelationship>'
        for one, _ in row.notes
    ]
    return (
        f"{_OBSERVATION}{concept(result.code, f'r{number}')}"
        f'<statusCode code="{status}"/>{time(result.time)}{values}'
        f"{''.join(map(_flag, result.flags)) if result.flags else ''}"
        f"{_method(result.method, number) if result.method else ''}"
        f"{performer(result.laboratory, result.time or released) if result.laboratory else ''}"
        f"{''.join(map(validator, result.validations)) if result.validations else ''}"
        f"{_device(result.device) if result.device else ''}{''.join(comments)}"
        f"{_range(result.range, result.unit) if result.range else ''}</observation></component>"
    )


def _method(method: Concept, number: int) -> str:
    codings = (method.standard, *method.others) if method.standard else method.others
    others = "".join([code(one, "translation") for one in codings])
    return f'<methodCode><originalText><reference value="#m{number}"/></originalText>{others}</methodCode>'


def _flag(flag: Flag) -> str:
    if not flag.label:
        return ""
    return code(Coding(flag.code, flag.label, "2.16.840.1.113883.5.83"), "interpretationCode")


def _device(device: Device) -> str:
    return (
        f'<participant typeCode="DEV"><participantRole classCode="MANU">{ident(device.id)}<playingDevice>'
        f"<manufacturerModelName>{esc(device.name)}</manufacturerModelName></playingDevice></participantRole></participant>"
    )


def _range(usual: Range, unit: Unit | None) -> str:
    bounds = interval(usual.bounds, unit) if usual.bounds else ""
    inside = f"{bounds}{_NORMAL}" if bounds else f"<text>{esc(usual.source)}</text>{_NORMAL}"
    return (
        '<referenceRange typeCode="REFV"><observationRange classCode="OBS" moodCode="EVN.CRT">'
        f"{inside}</observationRange></referenceRange>"
    )


def _specimen_type(kind: Concept) -> str:
    """A code of the French value set; the laboratory's own goes into a translation."""
    if kind.standard:
        return code(kind.standard)
    others = "".join([code(one, "translation") for one in kind.others])
    return f'<code nullFlavor="OTH"><originalText>{esc(kind.text)}</originalText>{others}</code>'


def _specimen(specimen: Specimen) -> str:
    if specimen.collected and specimen.collected_until:
        bounds = time(specimen.collected, "low") + time(specimen.collected_until, "high")
        when = f"<effectiveTime>{bounds}</effectiveTime>"
    elif specimen.collected:
        when = f"<effectiveTime>{time(specimen.collected, 'high')}</effectiveTime>"
    else:
        when = '<effectiveTime nullFlavor="UNK"/>'
    collector = ""
    if specimen.collector:
        own = specimen.collector.organization
        represented = organization(own, "representedOrganization") if own else ""
        collector = (
            f"<performer><assignedEntity>{assigned(specimen.collector, represented)}</assignedEntity></performer>"
        )
    kind = _specimen_type(specimen.type) if specimen.type else ""
    site = code(specimen.site.standard, "targetSiteCode") if specimen.site and specimen.site.standard else ""
    received = f"{_RECEIVED}{time(specimen.received)}</act></entryRelationship>" if specimen.received else ""
    return (
        f'{_PROCEDURE}{when}{site}{collector}<participant typeCode="PRD"><participantRole classCode="SPEC">'
        f"{ident(specimen.id) or _UNKNOWN}<playingEntity>{kind}</playingEntity></participantRole></participant>"
        f"{received}</procedure></component>"
    )
