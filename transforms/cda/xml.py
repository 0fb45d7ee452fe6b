"""XML text, written safely.

The writer composes strings: every constant part is a literal, every value goes through ``esc`` or one of the
functions here. A parse of the whole document proves it well formed (``transforms.cda.write``).
"""

from __future__ import annotations

import re

from transforms.report import Coding, Identifier, Moment

_SPECIAL = re.compile('[&<>"\\x00-\\x1f\\ufffe\\uffff\\ud800-\\udfff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def esc(text: str) -> str:
    """Text for an element or a double-quoted attribute.

    Raises:
        KeyError: a character that XML cannot carry; readers refuse it before.
    """
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) if _SPECIAL.search(text) else text


def ident(identifier: Identifier | None) -> str:
    """``<id root= extension=/>``; nothing for None."""
    if identifier is None:
        return ""
    extension = f' extension="{esc(identifier.value)}"' if identifier.value else ""
    return f'<id root="{esc(identifier.root)}"{extension}/>'


def time(moment: Moment | None, tag: str = "effectiveTime", absent: str = "") -> str:
    """``<tag value="…"/>``. absent: nullFlavor to write when there is no moment; nothing is written when empty."""
    if moment is None:
        return f'<{tag} nullFlavor="{absent}"/>' if absent else ""
    return f'<{tag} value="{moment.digits}{moment.zone}"/>'


def attributes(coding: Coding) -> str:
    """`` code= displayName= codeSystem= codeSystemName=`` of a coded element."""
    name = f' codeSystemName="{esc(coding.name)}"' if coding.name else ""
    return f' code="{esc(coding.code)}" displayName="{esc(coding.label)}" codeSystem="{esc(coding.system)}"{name}'


def code(coding: Coding | None, tag: str = "code") -> str:
    """A coded element without content; nothing for None."""
    return f"<{tag}{attributes(coding)}/>" if coding else ""


def lines(text: str) -> str:
    """Narrative text: line breaks become ``br``."""
    return esc(text) if "\n" not in text else "<br/>".join(map(esc, text.split("\n")))
