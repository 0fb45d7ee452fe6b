"""One field through one code table."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from channels.errors import MappingError
from channels.fields import Settings
from channels.message import Message
from channels.ports import Context
from transforms.paths import parse_path
from transforms.steps import Text, ValuePlace, editable, edited, inside, targets

__all__ = ["Codes"]

_NOTHING = ("", '""')


class CodesSettings(Settings):
    """Which field, which table, and what becomes of a code that the table does not know."""

    field: ValuePlace = Field(
        description="Every repetition in every segment of that name; `PV1-3.1`. `OBX-3` is `OBX-3.1`."
    )
    table: str = Field(description="Name of a file of `mappings/`, without `.csv`.")
    unknown: Literal["refuse", "keep", "default"] = Field(
        "refuse", description="A code without translation: refuse the message (103), keep the code, or write `default`."
    )
    default: Text | None = Field(None, description="With `unknown: default`: what is written.")

    @model_validator(mode="after")
    def _default_belongs_to_its_policy(self) -> CodesSettings:
        if (self.unknown == "default") != (self.default is not None):
            raise ValueError("`default` and `unknown: default` go together")
        return self

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that the step reads."""
        return (self.table,)


class Codes:
    """Translate codes; empty values and ``""`` stay as they are."""

    settings = CodesSettings

    def __init__(self, settings: CodesSettings) -> None:
        self._settings = settings
        path = parse_path(settings.field)
        self._path = path if path.component else path._replace(component=1)

    def __call__(self, message: Message, context: Context) -> Message:
        """See ``channels.ports.Transform``. Raises MappingError with the place of the code, never the code."""
        table = context.table(self._settings.table)
        view = editable(message)
        path = self._path
        for name, segment in targets(view, path):
            repetitions = segment.repetitions(path.field)
            wanted = [path.repetition] if path.repetition else range(1, len(repetitions) + 1)
            for number in wanted:
                place = name + inside(path._replace(repetition=number if len(repetitions) > 1 else 0))
                code = segment.part(repetitions[number - 1], path) if number <= len(repetitions) else ""
                if code in _NOTHING:
                    continue
                translation = table.translate(code)
                if translation is None:
                    translation = self._unknown(code, place)
                if translation != code:
                    view.set(place, translation)
        return edited(message, view)

    def _unknown(self, code: str, place: str) -> str:
        if self._settings.unknown == "refuse":
            raise MappingError(f"the code has no translation in the table {self._settings.table}", place)
        return self._settings.default if self._settings.default is not None else code
