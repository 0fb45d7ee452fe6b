"""How much of a laboratory's results is transcoded: figures, and a page to print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from typing import NamedTuple

from loinc.checks import Fault
from loinc.worklist import Item

__all__ = ["Coverage", "coverage", "page"]

STATES = ("checked", "without_loinc", "proposed", "open")
_FRENCH = {"checked": "vérifiées", "without_loinc": "sans LOINC", "proposed": "proposées", "open": "à faire"}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b2733}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{display:flex;height:1.4rem;border-radius:.3rem;overflow:hidden;background:#e6eaee}
.checked{background:#1f7a4d}.without_loinc{background:#7a8794}.proposed{background:#e0a100}.open{background:#c43d3d}
.key span{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 1rem;border-radius:.15rem}
.fault{color:#a11}.warning{color:#8a6d00}small{color:#5a6672}
@media print{body{margin:0;font-size:11px}}
"""
_VOLUMES = "Volumes : résultats vus dans les messages, à défaut fréquence annuelle du catalogue."
_NOTICE = (
    "LOINC® is a registered trademark of Regenstrief Institute, Inc. LOINC is copyright © 1995-2024, Regenstrief "
    "Institute, Inc. and the LOINC Committee, available at no cost under the license at loinc.org/license."
)


class Coverage(NamedTuple):
    """Analyses and results by state. name: a chapter, or ``""`` for all."""

    name: str
    analyses: dict[str, int]
    results: dict[str, int]

    def share(self, *states: str) -> float | None:
        """The part of the results whose analysis is in one of the states; None when there are no results."""
        total = sum(self.results.values())
        return sum(self.results[state] for state in states) / total if total else None


def coverage(items: Iterable[Item]) -> list[Coverage]:
    """All analyses together, then by chapter of the catalogue, those with most results first."""
    whole = Coverage("", dict.fromkeys(STATES, 0), dict.fromkeys(STATES, 0))
    chapters: dict[str, Coverage] = {}
    for item in items:
        name = item.entry.section or "sans chapitre"
        one = chapters.setdefault(name, Coverage(name, dict.fromkeys(STATES, 0), dict.fromkeys(STATES, 0)))
        for part in (whole, one):
            part.analyses[item.state] += 1
            part.results[item.state] += item.volume
    return [whole, *sorted(chapters.values(), key=lambda one: (-sum(one.results.values()), one.name))]


def page(title: str, items: Sequence[Item], faults: Sequence[Fault], today: date) -> str:
    """The report as one HTML page without anything outside it; French."""
    whole, *chapters = coverage(items)
    waiting = [item for item in items if item.decision is None]
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Transcodage LOINC du catalogue, état du {today:%d/%m/%Y}. {_VOLUMES}</p>",
        _bar(whole),
        f"<p>{_sentence(whole)}</p>",
        "<h2>Par chapitre</h2>",
        _chapters(chapters),
        f"<h2>À faire, par volume ({len(waiting)})</h2>",
        _waiting(waiting[:200]),
        f"<h2>Contrôles ({len(faults)})</h2>",
        _faults(faults[:500]),
        f"<p><small>{_NOTICE}</small></p>",
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="fr"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %".replace(".", ",")


def _sentence(whole: Coverage) -> str:
    analyses = sum(whole.analyses.values())
    settled = whole.analyses["checked"] + whole.analyses["without_loinc"]
    return (
        f"<strong>{_percent(whole.share('checked'))}</strong> du volume a un code vérifié ; "
        f"{settled} analyses décidées sur {analyses}."
    )


def _bar(one: Coverage) -> str:
    parts = [
        f'<div class="{state}" style="width:{(one.share(state) or 0) * 100:.2f}%" title="{_FRENCH[state]}"></div>'
        for state in STATES
    ]
    key = "".join(f'<span class="{state}"></span>{_FRENCH[state]}' for state in STATES)
    return f'<div class="bar">{"".join(parts)}</div><p class="key">{key}</p>'


def _table(heads: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> str:
    """heads: title, and whether the column has numbers; the cells are HTML."""
    styles = [' class="n"' if number else "" for _, number in heads]
    first = "".join(f"<th{style}>{escape(head)}</th>" for style, (head, _) in zip(styles, heads, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{style}>{cell}</td>" for style, cell in zip(styles, row, strict=True)) + "</tr>"
        for row in rows
    ]
    return f"<table><thead><tr>{first}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _chapters(chapters: Sequence[Coverage]) -> str:
    heads = [("Chapitre", False), ("Analyses", True), *((_FRENCH[state].capitalize(), True) for state in STATES)]
    heads += [("Résultats", True), ("Volume vérifié", True)]
    rows = [
        [
            escape(one.name),
            str(sum(one.analyses.values())),
            *(str(one.analyses[state]) for state in STATES),
            str(sum(one.results.values())),
            _percent(one.share("checked")),
        ]
        for one in chapters
    ]
    return _table(heads, rows)


def _waiting(items: Sequence[Item]) -> str:
    heads = [("Code", False), ("Libellé", False), ("Milieu", False), ("Unité", False), ("Chapitre", False)]
    heads += [("Volume", True), ("Propositions", False)]
    rows = []
    for item in items:
        entry = item.entry
        texts = (entry.local_code, entry.label, entry.specimen, entry.unit, entry.section)
        proposed = ", ".join(f"{row.loinc} {row.loinc_name}".strip() for row in item.proposals)
        rows.append([*map(escape, texts), str(item.volume), escape(proposed)])
    return _table(heads, rows)


def _faults(faults: Sequence[Fault]) -> str:
    heads = [("Où", False), ("Niveau", False), ("Règle", False), ("Problème", False)]
    words = {"fault": "faute", "warning": "à regarder"}
    rows = [
        [
            escape(f"{one.file}:{one.line}"),
            f'<span class="{one.level}">{words[one.level]}</span>',
            escape(one.rule),
            escape(one.problem),
        ]
        for one in faults
    ]
    return _table(heads, rows)
