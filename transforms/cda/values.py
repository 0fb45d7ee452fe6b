"""Values of results as CDA data types. Digits are those of the source."""

from __future__ import annotations

from transforms.cda.xml import attributes, code, esc, time
from transforms.report import Answer, Instant, Interval, Number, Quantity, Ratio, Unit, Value

_UCUM = "2.16.840.1.113883.6.8"


def value(item: Value, unit: Unit | None, reference: str) -> str:
    """``value`` with its type. reference: identifier of the words that show it."""
    if isinstance(item, Quantity):
        return _quantity(item.number, unit)
    if isinstance(item, Interval):
        return interval(item, unit)
    if isinstance(item, Ratio):
        return _ratio(item, unit)
    if isinstance(item, Answer):
        main = attributes(item.concept.standard) if item.concept.standard else ""
        others = "".join(code(one, "translation") for one in item.concept.others)
        return (
            f'<value xsi:type="CD"{main}><originalText><reference value="#{reference}"/></originalText>{others}</value>'
        )
    if isinstance(item, Instant):
        return time(item.moment, 'value xsi:type="TS"')
    return _words(item.source)


def _words(text: str) -> str:
    kind = "ED" if "\n" in text else "ST"
    return f'<value xsi:type="{kind}">{esc(text)}</value>'


def _quantity(number: Number, unit: Unit | None) -> str:
    """A unit that may not stand in ``@unit`` goes with its number into a translation: never a number alone."""
    if unit is None or unit.dimensionless:
        return f'<value xsi:type="REAL" value="{number.digits}"/>'
    if unit.listed:
        return f'<value xsi:type="PQ" value="{number.digits}" unit="{esc(unit.ucum)}"/>'
    return f'<value xsi:type="PQ" nullFlavor="OTH">{_translation(number, unit)}</value>'


def _translation(number: Number, unit: Unit) -> str:
    ucum = f' code="{esc(unit.ucum)}" codeSystem="{_UCUM}" codeSystemName="UCUM"' if unit.ucum else ' nullFlavor="OTH"'
    words = f"<originalText>{esc(unit.source)}</originalText>"
    return f'<translation value="{number.digits}"{ucum}>{words}</translation>'


def interval(item: Interval, unit: Unit | None) -> str:
    """``value xsi:type="IVL_PQ"``; a unit that may not stand in ``@unit`` goes into a translation of each bound."""
    bounds = ""
    for tag, number, inclusive in (
        ("low", item.low, item.low_inclusive),
        ("high", item.high, item.high_inclusive),
    ):
        if number is None:
            continue
        closed = "" if inclusive else ' inclusive="false"'
        if unit is None or unit.dimensionless:
            bounds += f'<{tag} value="{number.digits}"{closed}/>'
        elif unit.listed:
            bounds += f'<{tag} value="{number.digits}" unit="{esc(unit.ucum)}"{closed}/>'
        else:
            bounds += f'<{tag} nullFlavor="OTH"{closed}>{_translation(number, unit)}</{tag}>'
    return f'<value xsi:type="IVL_PQ">{bounds}</value>'


def _ratio(item: Ratio, unit: Unit | None) -> str:
    if unit is not None and not unit.dimensionless and unit.ucum != "{titer}":
        return _words(f"{item.source} {unit.source}")
    parts = (("numerator", item.numerator), ("denominator", item.denominator))
    inside = ""
    for tag, one in parts:
        kind = "INT" if one.digits.isdigit() else "REAL"
        inside += f'<{tag} xsi:type="{kind}" value="{one.digits}"/>'
    return f'<value xsi:type="RTO">{inside}</value>'
