"""Entries of a chapter: what a program reads.

Source: CI-SIS volet modèles de contenus CDA (FR-Resultats-examens-de-biologie-medicale, FR-Batterie, FR-Prelevement,
FR-Resultat-examens-de-biologie-element-clinique-pertinent, FR-Commentaire-ER); IHE XD-LAB.
"""

from __future__ import annotations

from transforms.cda.people import assigned, organization, performer, validator
from transforms.cda.rows import Block, Culture, Notes, Row
from transforms.cda.values import interval, value
from transforms.cda.xml import attributes, code, esc, ident, time
from transforms.report import (
    SNOMED_CT,
    Attachment,
    Coding,
    Concept,
    Device,
    Flag,
    Isolate,
    Moment,
    Panel,
    Previous,
    Range,
    Specimen,
    Unit,
    Value,
)

_REPORT_DATA = (
    '<entry typeCode="DRIV"><templateId root="1.3.6.1.4.1.19376.1.3.1"/><templateId root="1.2.250.1.213.1.1.3.21"/>'
    '<act classCode="ACT" moodCode="EVN">'
)
_BATTERY = (
    '<organizer classCode="BATTERY" moodCode="EVN">'
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
)
_SAMPLING = '<code code="33882-2" displayName="Prélèvement" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC"/>'
_RECEIVED = (
    '<entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN">'
    '<templateId root="1.3.6.1.4.1.19376.1.3.1.3"/><templateId root="1.2.250.1.213.1.1.3.107"/>'
    '<code code="SPRECEIVE" displayName="Échantillon reçu" codeSystem="1.3.5.1.4.1.19376.1.5.3.2"'
    ' codeSystemName="IHEActCode"/>'
)
_ISOLATE = (
    '<entryRelationship typeCode="COMP"><organizer classCode="CLUSTER" moodCode="EVN">'
    '<templateId root="1.3.6.1.4.1.19376.1.3.1.5"/><templateId root="1.2.250.1.213.1.1.3.79"/>'
)
_IMAGE = '<templateId root="2.16.840.1.113883.10.12.304"/><templateId root="1.2.250.1.213.1.1.3.103"/>'
_UNKNOWN = '<id nullFlavor="UNK"/>'
_NORMAL = '<interpretationCode code="N" displayName="Normal" codeSystem="2.16.840.1.113883.5.83"/>'
_NCBI = "2.16.840.1.113883.3.9471"


def entry(code_xml: str, blocks: list[Block], released: Moment) -> str:
    """The one entry of a chapter or sub-chapter. code_xml: its ``code`` element; released: when the report left."""
    panels = [block.panel for block in blocks]
    if all(panel.status == "X" for panel in panels):
        status = "aborted"
    else:
        status = "completed" if all(panel.complete for panel in panels) else "active"
    inside = []
    for block in blocks:
        inside.append(f'<entryRelationship typeCode="COMP">{_battery(block, released)}</entryRelationship>')
        inside += [_isolate(one, released) for one in block.isolates]
    return f'{_REPORT_DATA}{code_xml}<statusCode code="{status}"/>{"".join(inside)}</act></entry>'


def concept(item: Concept, reference: str, tag: str = "code") -> str:
    """A code with the words that show it (``#reference``): standard code, or none and translations only."""
    main = attributes(item.standard) if item.standard else "" if item.others else ' nullFlavor="NA"'
    others = "".join([code(one, "translation") for one in item.others])
    return f'<{tag}{main}><originalText><reference value="#{reference}"/></originalText>{others}</{tag}>'


def _status(part: Panel | Isolate) -> str:
    status = "aborted" if part.status == "X" else "completed" if part.complete else "active"
    return f'<statusCode code="{status}"/>'


def _battery(block: Block, released: Moment) -> str:
    panel = block.panel
    named = concept(panel.code, f"p{block.number}") if panel.code.text else ""
    return (
        f"{_BATTERY}{ident(panel.filler)}{named}{_status(panel)}{time(panel.released)}"
        f"{''.join([_specimen(number, one) for number, one in block.specimens])}{_observations(block.rows, released)}"
        f"{''.join([_image(number, one) for number, one in block.images])}{_comments(block.notes)}</organizer>"
    )


def _observations(rows: tuple[Row, ...], released: Moment) -> str:
    return "".join([_observation(row, released) for row in rows if row.result.status != "I"])


def _comments(notes: Notes) -> str:
    return "".join([f"<component>{_comment(number)}</component>" for number, _ in notes])


def _isolate(culture: Culture, released: Moment) -> str:
    isolate, number = culture.isolate, culture.number
    tests = "".join([f"<component>{_battery(block, released)}</component>" for block in culture.blocks])
    return (
        f'{_ISOLATE}{_status(isolate)}{time(isolate.time)}<specimen typeCode="SPC"><specimenRole classCode="SPEC">'
        f'{ident(isolate.id)}<specimenPlayingEntity classCode="MIC">{_germ(isolate.germ, f"i{number}")}'
        f"</specimenPlayingEntity></specimenRole></specimen>{_observations(culture.rows, released)}{tests}"
        f"{_comments(culture.notes)}</organizer></entryRelationship>"
    )


def _germ(germ: Concept, reference: str) -> str:
    """SNOMED CT, NCBI taxonomy, or words only: any other code stays in the identification result."""
    standard = germ.standard if germ.standard and germ.standard.system == SNOMED_CT else None
    taxonomy = "".join([code(one, "translation") for one in germ.others if one.system == _NCBI])
    main = attributes(standard) if standard else ""
    return f'<code{main}><originalText><reference value="#{reference}"/></originalText>{taxonomy}</code>'


def _image(number: int, image: Attachment) -> str:
    return (
        f'<component><observationMedia classCode="OBS" moodCode="EVN" ID="im{number}">{_IMAGE}'
        f'<value mediaType="{image.media_type}" representation="B64">{image.data}</value></observationMedia>'
        "</component>"
    )


def _comment(number: int) -> str:
    return f'{_COMMENT}<text><reference value="#n{number}"/></text><statusCode code="completed"/></act>'


def _observation(row: Row, released: Moment) -> str:
    result, number = row.result, row.number
    given_up = result.status == "X"
    status = "aborted" if given_up else "completed"
    values = "" if given_up else _values(result.values, result.unit, f"v{number}")
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
        f"{''.join(map(_device, result.devices)) if result.devices else ''}"
        f"{''.join([_previous(row, one, each) for each, one in row.previous]) if row.previous else ''}"
        f"{''.join(comments)}"
        f"{_range(result.range, result.unit) if result.range else ''}</observation></component>"
    )


def _values(values: tuple[Value, ...], unit: Unit | None, reference: str) -> str:
    if len(values) == 1:
        return value(values[0], unit, reference)
    return "".join(
        [value(one, unit, f"{reference}-{rank}" if rank > 1 else reference) for rank, one in enumerate(values, 1)]
    )


def _previous(row: Row, previous: Previous, number: int) -> str:
    values = "".join([value(one, previous.unit, f"b{number}") for one in previous.values])
    test = concept(previous.code, f"q{number}") if previous.code else concept(row.result.code, f"r{row.number}")
    return (
        '<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">'
        f'{test}<text><reference value="#b{number}"/></text><statusCode code="completed"/>'
        f"{time(previous.time)}{values}</observation></entryRelationship>"
    )


def _method(method: Concept, number: int) -> str:
    main = attributes(method.standard) if method.standard else ""
    others = "".join([code(one, "translation") for one in method.others])
    return f'<methodCode{main}><originalText><reference value="#m{number}"/></originalText>{others}</methodCode>'


def _flag(flag: Flag) -> str:
    if not flag.label:
        return ""
    return code(Coding(flag.code, flag.label, "2.16.840.1.113883.5.83"), "interpretationCode")


def _device(device: Device) -> str:
    kind, role = ("CSM", "ADTV") if device.consumable else ("DEV", "MANU")
    return (
        f'<participant typeCode="{kind}"><participantRole classCode="{role}">{ident(device.id)}<playingDevice>'
        f"{code(device.code)}<manufacturerModelName>{esc(device.name)}</manufacturerModelName></playingDevice>"
        "</participantRole></participant>"
    )


def _range(usual: Range, unit: Unit | None) -> str:
    inside = interval(usual.bounds, unit) if usual.bounds else f"<text>{esc(usual.source)}</text>"
    return (
        '<referenceRange typeCode="REFV"><observationRange classCode="OBS" moodCode="EVN.CRT">'
        f"{inside}{_NORMAL}</observationRange></referenceRange>"
    )


def _specimen_type(kind: Concept, reference: str) -> str:
    """A code of the French value set; the laboratory's own goes into a translation."""
    original = f'<originalText><reference value="#{reference}"/></originalText>'
    others = "".join([code(one, "translation") for one in kind.others])
    main = attributes(kind.standard) if kind.standard else ' nullFlavor="OTH"'
    return f"<code{main}>{original}{others}</code>"


def _specimen(number: int, specimen: Specimen) -> str:
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
    kind = _specimen_type(specimen.type, f"s{number}") if specimen.type else ""
    act = code(specimen.act.standard) if specimen.act and specimen.act.standard else _SAMPLING
    received = f"{_RECEIVED}{time(specimen.received)}</act></entryRelationship>" if specimen.received else ""
    return (
        f'{_PROCEDURE}{act}{when}{_site(specimen.site)}{collector}<participant typeCode="PRD">'
        f'<participantRole classCode="SPEC">{ident(specimen.id) or _UNKNOWN}<playingEntity>{kind}</playingEntity>'
        f"</participantRole></participant>{received}</procedure></component>"
    )


def _site(site: Concept | None) -> str:
    """SNOMED CT; the laboratory's own words and codes beside no code."""
    if site is None:
        return ""
    if site.standard:
        return code(site.standard, "targetSiteCode")
    others = "".join([code(one, "translation") for one in site.others])
    words = f"<originalText>{esc(site.text)}</originalText>"
    return f'<targetSiteCode nullFlavor="OTH">{words}{others}</targetSiteCode>'
