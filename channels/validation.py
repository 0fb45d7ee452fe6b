"""From data to models: pydantic's errors become faults at a line and column, in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from channels.references import is_reference
from channels.registry import suggestion
from channels.yaml_places import Document, Place

M = TypeVar("M", bound=BaseModel)

_WORDS = {
    "bool_parsing": "true or false is expected",
    "bool_type": "true or false is expected",
    "dict_type": "a mapping `key: value` is expected",
    "float_parsing": "a number is expected",
    "float_type": "a number is expected",
    "int_from_float": "a whole number is expected",
    "int_parsing": "a whole number is expected",
    "int_type": "a whole number is expected",
    "list_type": "a list is expected",
    "mapping_type": "a mapping `key: value` is expected",
    "model_attributes_type": "a mapping `key: value` is expected",
    "model_type": "a mapping `key: value` is expected",
    "path_type": "a path is expected",
    "string_type": "text is expected; a number that is text goes between quotes",
    "tuple_type": "a list is expected",
}


class Validator:
    """Validates parts of one document; what is wrong is added to the document's faults."""

    def __init__(self, document: Document, directory: Path) -> None:
        """directory: the site's, for settings that are files of it."""
        self.document = document
        self._context = {"directory": directory}

    def fault(self, place: Place, problem: str, *, key: bool = False) -> None:
        """Add a fault at a value, or at its key."""
        document = self.document
        document.faults.append(document.fault(document.key(place) if key else document.value(place), problem))

    def validate(self, model: type[M], data: Any, place: Place = ()) -> M | None:
        """The model of ``data``, which is at ``place`` in the document; None when it has faults."""
        try:
            made = model.model_validate({} if data is None else data, context=self._context)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            for details in errors:
                if details["type"] != "too_short" or not any(_is_inside(one, details) for one in errors):
                    self._add(model, details, place)
            return None
        for where in _secrets(made, ()):
            at = self._find(place, where)
            if not is_reference(self._raw(at)):
                self.fault(at, "a secret is a reference such as ${NAME}, never written in the file")
        return made

    def _add(self, model: type[BaseModel], details: ErrorDetails, prefix: Place) -> None:
        location, kind = details["loc"], details["type"]
        if kind == "missing":
            self.fault(self._find(prefix, location[:-1]), f"{str(location[-1])!r} is missing", key=True)
            return
        place = self._find(prefix, location)
        if location[-1:] == ("[key]",):
            self.fault(place, _words(details), key=True)
            return
        if kind == "extra_forbidden":
            known = _names(_model_at(model, location[:-1]))
            self.fault(place, f"unknown key {location[-1]!r}{suggestion(str(location[-1]), known)}", key=True)
            return
        mark = self.document.value(place)
        if any((one.line, one.column) == mark for one in self.document.faults):
            return  # a reference without value, or the same value tried as another type
        self.fault(place, _words(details))

    def _find(self, prefix: Place, location: tuple[int | str, ...]) -> Place:
        """The place in the document of a place in the model: a single value may stand for a list of one."""
        place = prefix
        for part in location:
            if (*place, part) in self.document.values:
                place = (*place, part)
        return place

    def _raw(self, place: Place) -> Any:
        value = self.document.data
        for part in place:
            value = value[part]
        return value


def _is_inside(details: ErrorDetails, whole: ErrorDetails) -> bool:
    """Whether an error is of an item of what ``whole`` says is too short: the item is there, and wrong."""
    location = whole["loc"]
    return len(details["loc"]) > len(location) and details["loc"][: len(location)] == location


def _words(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        expected = str(context["expected"])
        known = re.findall(r"'([^']*)'", expected)
        return f"{expected} is expected{suggestion(str(details['input']), known)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
    if kind == "string_pattern_mismatch":
        return f"the text does not have the form {context['pattern']}"
    if kind == "too_short":
        return f"at least {context['min_length']} expected"
    text = details["msg"]
    return text[:1].lower() + text[1:]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _model_at(model: type[BaseModel] | None, location: tuple[int | str, ...]) -> type[BaseModel] | None:
    for part in location:
        if model is not None and part in model.model_fields:
            model = next(_models(model.model_fields[str(part)].annotation), None)
    return model


def _names(model: type[BaseModel] | None) -> list[str]:
    return [one.alias or name for name, one in model.model_fields.items()] if model else []


def _secrets(value: Any, place: Place) -> Iterator[Place]:
    """Where the secrets of a model are."""
    if isinstance(value, SecretStr):
        yield place
    elif isinstance(value, BaseModel):
        for name in value.model_fields_set:
            if type(value).model_fields[name].annotation is not Any:  # those of connectors and steps were looked at
                yield from _secrets(getattr(value, name), (*place, name))
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _secrets(one, (*place, name))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _secrets(one, (*place, index))
