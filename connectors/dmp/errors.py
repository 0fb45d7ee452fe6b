"""What to do with each error code of the DMP: the built-in table, and the site's rows over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from channels.errors import ConfigError
from connectors.shared.code_table import COLUMNS, code_rows

Action = Literal["final", "retry", "tries", "hold", "look", "parent"]
"""final: no, and the requester is told. hold: the same, and somebody must look. retry: send again, as long as the
channel does. tries: send again a few times, then hold. look: ask whether our documents are there. parent: the version
before is not the current one (900)."""
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means."""

    code: str
    action: Action
    label: str


class ErrorTable:
    """Codes and their rules. One that it lacks is held for somebody to look at.

    Source: IHE ITI TF-3, 4.2.4 (error codes); the DMP's own codes are in an annex that is not public.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules

    def rule(self, code: str) -> Rule:
        """The rule of a code that the other side wrote; one that looks like no code is called ``unknown``."""
        plain = code if _CODE.fullmatch(code) else "unknown"
        return self._rules.get(plain) or Rule(plain, "hold", "Code d'erreur du DMP non répertorié")

    def known(self, code: str) -> bool:
        """True when the table has the code."""
        return code in self._rules


def error_table(site: Path | None) -> ErrorTable:
    """The built-in table, with the rows of a file of the site (CSV: code, action, label) over it.

    Raises:
        ConfigError: the file is no such table.
    """
    rules = {}
    for place, row in code_rows("connectors.dmp", "error-codes.csv", site, "errors"):
        if len(row) != len(COLUMNS) or not _CODE.fullmatch(row[0]):
            raise ConfigError(f"{place}: a row has a code, an action and a label")
        if row[1] not in get_args(Action):
            raise ConfigError(f"{place}: the action is one of {', '.join(get_args(Action))}")
        rules[row[0]] = Rule(row[0], cast("Action", row[1]), row[2])
    return ErrorTable(rules)
