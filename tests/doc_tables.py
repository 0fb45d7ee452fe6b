"""The tables of the documentation that are made from the code: keys of the models, options of the commands.

A table stands between ``<!-- keys channels.model:Retry -->`` (or ``<!-- options messages search -->``) and
``<!-- end -->``. ``python -m tests.doc_tables`` writes them all again; ``test_docs.py`` fails when one is stale.
"""

import importlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer import Typer
from typer.models import ArgumentInfo, ParameterInfo

from channels.fields import Address, Directory, ExistingFile, Seconds, SiteFile, SizeBytes
from channels.model import Ack, Filter, Step
from vaguemestre.cli import COMMANDS

REPOSITORY = Path(__file__).resolve().parent.parent
HIDDEN = {"connector", "settings", "place"}
"""Fields of the models that no file writes: the loader makes them of the connector's own key."""

_BLOCK = re.compile(r"(<!-- (keys|options|rules) ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def documents() -> list[Path]:
    """Every Markdown file of the repository that the product's people read."""
    folders = [
        "",
        "channels",
        "connectors",
        "transforms",
        "mappings",
        "loinc",
        "card-bridge",
        "docs",
        "bench",
        "deploy",
    ]
    found = [file for folder in folders for file in sorted((REPOSITORY / folder).glob("*.md"))]
    return [*found, *sorted((REPOSITORY / "vaguemestre").rglob("*.md"))]


# keys


def load_model(name: str) -> type[BaseModel]:
    """The model at ``module:Name``."""
    module, _, attribute = name.partition(":")
    model: type[BaseModel] = getattr(importlib.import_module(module), attribute)
    return model


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Key as a file writes it -> field."""
    fields = model.model_fields.items()
    return {field.alias or name: field for name, field in fields if name not in HIDDEN}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def all_models(*roots: type[BaseModel]) -> list[type[BaseModel]]:
    """These models and those inside them; steps have their own README."""
    found: list[type[BaseModel]] = []
    waiting = list(roots)
    while waiting:
        model = waiting.pop(0)
        if model in found or model is Step or issubclass(model, registry_roots()):
            continue
        found.append(model)
        for hint in get_type_hints(model, include_extras=True).values():
            waiting += models_in(hint)
    return found


def registry_roots() -> tuple[type[BaseModel], ...]:
    """Models whose keys are those of their connector."""
    return (load_model("channels.model:SourceModel"),)


def keys_table(name: str) -> str:
    """The keys of a model: what is written, what it is without them, what they mean."""
    model = load_model(name)
    hints = get_type_hints(model, include_extras=True)
    names = {field.alias or key: key for key, field in model.model_fields.items()}
    lines = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for key, field in keys(model).items():
        hint = hints[names[key]]
        lines.append(f"| `{key}` | {_form(hint, field)} | {_default(hint, field)} | {_meaning(hint, field)} |")
    return "\n".join(lines) + "\n"


_NAMED: list[tuple[Any, str]] = [
    (Seconds, "duration"), (SizeBytes, "size"), (Address, "`host:port`"), (ExistingFile, "path"), (SiteFile, "path"),
    (Directory, "path"),
    (Filter, "filter"), (Ack, "word or mapping"), (Step, "step"), (SecretStr, "reference"), (Path, "path"),
    (ZoneInfo, "zone"), (bool, "`true`, `false`"), (int, "number"), (float, "number"), (str, "text"),
    (dict, "mapping"), (object, "any"),
]  # fmt: skip


def _form(hint: Any, field: FieldInfo | None = None) -> str:
    for known, words in _NAMED:
        if hint == known:
            return words + (_bounds(field) if words == "number" and field is not None else "")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _form(arguments[0], field)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return _form(next(one for one in arguments if one is not type(None)), field)
    if origin in (tuple, frozenset, list, set):
        inner = _form(arguments[0])
        return f"list of {inner if inner.startswith('`') else inner + 's'}"
    if origin is dict:
        return "mapping"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "mapping"
    return "text"


def _bounds(field: FieldInfo) -> str:
    low = next((one.ge for one in field.metadata if getattr(one, "ge", None) is not None), None)
    high = next((one.le for one in field.metadata if getattr(one, "le", None) is not None), None)
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    return f" ≥ {low:g}" if low is not None else ""


def _default(hint: Any, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or (not value and value is not False and value != 0):
        return ""
    if hint == Seconds:
        return _duration(value)
    if hint == SizeBytes:
        return _size(value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | frozenset):
        return "`[" + ", ".join(map(str, value)) + "]`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def _duration(value: float) -> str:
    for unit, seconds in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1))):
        if value and value % seconds.total_seconds() == 0:
            return f"`{value / seconds.total_seconds():g}{unit}`"
    return f"`{value:g}s`" if value >= 1 or not value else f"`{value * 1000:g}ms`"


def _size(value: int) -> str:
    for unit, size in (("GB", 1000**3), ("MB", 1000**2), ("kB", 1000)):
        if value and value % size == 0:
            return f"`{value // size}{unit}`"
    return f"`{value}B`"


def _meaning(hint: Any, field: FieldInfo) -> str:
    text = field.description
    if text is None:
        text = next((inspect.getdoc(model) or "" for model in models_in(hint)), "").split("\n\n")[0]
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


# commands


@cache
def functions(name: str) -> dict[str, Callable[..., Any]]:
    """The functions of a command by what is typed: ``check``, or ``messages search`` and its like. Raises KeyError."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    source = importlib.import_module(f"vaguemestre.commands.{module}")
    target = getattr(source, attribute)
    later = getattr(source, "SIMULATORS", None)
    if later is not None:  # a group whose commands are imported when they are called
        places = {sub: entry.target.partition(":") for sub, entry in later.items()}
        return {f"{name} {sub}": getattr(importlib.import_module(at), what) for sub, (at, _, what) in places.items()}
    if isinstance(target, Typer):
        found = [(one.name, one.callback) for one in target.registered_commands if one.callback]
        return {f"{name} {sub or callback.__name__.replace('_', '-')}": callback for sub, callback in found}
    return {name: target}


def options(path: str) -> Iterator[tuple[str, str, ParameterInfo, Any, Any]]:
    """Each parameter of a command: how it is written, its name, what typer knows, its type and default."""
    function = functions(path.partition(" ")[0])[path]
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *extras = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        info = next(one for one in extras if isinstance(one, ParameterInfo))
        plain = name.strip("_").replace("_", "-")
        names = [info.default, *(info.param_decls or ())]  # in Annotated[…], typer's first name is its "default"
        written = next((one for one in names if isinstance(one, str) and one.startswith("--")), f"--{plain}")
        yield (plain.upper() if isinstance(info, ArgumentInfo) else written), plain, info, kind, parameter.default


def options_table(path: str) -> str:
    """Arguments and options of a command, with what they mean."""
    lines = ["| Argument, option | Meaning | Default |", "|---|---|---|"]
    for written, _, info, kind, default in options(path):
        choices = [one for part in (kind, *get_args(kind)) if get_origin(part) is Literal for one in get_args(part)]
        name = f"`{written}`" + (": " + ", ".join(f"`{one}`" for one in choices) if choices else "")
        help_ = " ".join((info.help or "").split()).replace("|", "\\|")
        empty = default is inspect.Parameter.empty or default is None or default is False or default == ""
        shown = "" if empty else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
        lines.append(f"| {name} | {help_} | {shown} |")
    return "\n".join(lines) + "\n"


# the documents


def rules_table(name: str) -> str:
    """The defects that ``transforms.tolerance`` knows: name of the rule, level unless a site says otherwise, code."""
    module, _, attribute = name.partition(":")
    rules = getattr(importlib.import_module(module), attribute).values()
    lines = ["| Row | Defect | Rule | Code (0357) | Default |", "|---|---|---|---|---|"]
    lines += [f"| {one.row} | {one.problem} | `{one.name}` | {one.code} | `{one.level}` |" for one in rules]
    return "\n".join(lines) + "\n"


_MAKERS: dict[str, Callable[[str], str]] = {"keys": keys_table, "options": options_table, "rules": rules_table}


def blocks(text: str) -> list[tuple[str, str]]:
    """What tables a text has: (``keys``, ``channels.model:Retry``)."""
    return [(match[2], match[3].strip()) for match in _BLOCK.finditer(text)]


def filled(text: str) -> str:
    """The text with every table made again."""
    return _BLOCK.sub(lambda match: match[1] + "\n" + _MAKERS[match[2]](match[3].strip()) + "\n" + match[4], text)


def main() -> None:
    """Write the tables of all documents again, and say which changed."""
    for file in documents():
        text = file.read_text("utf-8")
        made = filled(text)
        if made != text:
            file.write_text(made, "utf-8")
            sys.stdout.write(f"{file.relative_to(REPOSITORY)}\n")


if __name__ == "__main__":
    main()
