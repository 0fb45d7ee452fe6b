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
        return interval(item, unit) or _words(f"{item.source} {unit.source if unit else ''}".strip())
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
    ucum = f' code="{esc(unit.ucum)}" codeSystem="{_UCUM}" codeSystemName="UCUM"' if unit.ucum else ' nullFlavor="OTH"'
    return (
        f'<value xsi:type="PQ" nullFlavor="OTH"><translation value="{number.digits}"{ucum}>'
        f"<originalText>{esc(unit.source)}</originalText></translation></value>"
    )


def interval(item: Interval, unit: Unit | None) -> str:
    """``value xsi:type="IVL_PQ"``; nothing when its unit may not stand in ``@unit``."""
    if unit is not None and not unit.dimensionless and not unit.listed:
        return ""
    ucum = f' unit="{esc(unit.ucum)}"' if unit and unit.listed else ""
    bounds = ""
    for tag, number, inclusive in (
        ("low", item.low, item.low_inclusive),
        ("high", item.high, item.high_inclusive),
    ):
        if number is not None:
            closed = "" if inclusive else ' inclusive="false"'
            bounds += f'<{tag} value="{number.digits}"{ucum}{closed}/>'
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
