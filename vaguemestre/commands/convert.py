"""``convert``: one message through one transform."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from channels.casetests import read_case
from channels.errors import ConfigError, MessageError, UnknownNameError
from channels.loader import LoadedSite, load_site
from channels.message import Message
from channels.model import Step
from channels.pipeline import Pipeline, Steps, find_transform
from channels.registry import names, suggestion
from vaguemestre.commands.files import read_message, shown

_SHORT = {"report": "report.json"}
"""Short names that are not the end of a transform's name."""


def convert(
    transform: Annotated[
        str,
        typer.Argument(help="A transform (cda.cr_bio), a function of the site, or CHANNEL/DESTINATION: all its steps."),
    ],
    file: Annotated[str, typer.Argument(help="File with one message; - reads standard input.")],
    site: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the site whose settings, tables and functions are used.",
            exists=True, file_okay=False, show_default="the example site",
        ),
    ] = None,
    *,
    json_: Annotated[bool, typer.Option("--json", help="On refusal, print a list of {place, code, problem}.")] = False,
) -> None:  # fmt: skip
    """Pass one message through one transform; the result goes to standard output, byte for byte.

    A refusal goes to standard error, as FILE: PLACE: problem, with exit code 1.

    `report` (JSON), `pdf` and `html` show the report of an ORU^R01 or of a CR-Bio.

    Examples: vaguemestre convert cr-bio result.hl7 > report.xml

    vaguemestre convert pdf report.xml > report.pdf

    cat adt.hl7 | vaguemestre convert adt-fanout/sgl - --site mon-hopital
    """
    message = replace(read_case(read_message(file)), received=time.time())
    with site_of(site) as loaded:
        try:
            made = _run(transform, message, loaded)
        except MessageError as error:
            typer.echo(refusal(file, error, as_json=json_), err=True)
            raise typer.Exit(1) from error
    if not made:
        typer.echo(f"{shown(file)}: {transform} lets nothing of this message pass", err=True)
    output = typer.get_binary_stream("stdout")
    for one in made:
        output.write(one.body)
    output.flush()


@contextmanager
def site_of(folder: Path | None) -> Iterator[LoadedSite]:
    """The site in a folder; the example one when no folder is named."""
    if folder is not None:
        yield load_site(folder)
        return
    with resources.as_file(resources.files("vaguemestre").joinpath("example")) as example:
        yield load_site(example)


def _run(transform: str, message: Message, loaded: LoadedSite) -> list[Message]:
    """What a transform, a channel or one of its destinations makes of a message. Raises ConfigError, MessageError."""
    channel, slash, destination = transform.partition("/")
    if slash or channel in loaded.channels:
        return _through_channel(channel, destination, message, loaded)
    name = _name(transform, loaded)
    if getattr(find_transform(name, loaded.code), "settings", None) is not None:
        raise ConfigError(f"{name} needs options: write it in a channel and name CHANNEL/DESTINATION")
    return Steps([Step(name=name)], loaded).run(message)


def _through_channel(channel: str, destination: str, message: Message, loaded: LoadedSite) -> list[Message]:
    found = loaded.channels.get(channel)
    if found is None:
        raise UnknownNameError(f"no channel is called {channel!r}{suggestion(channel, loaded.channels)}")
    routes = [one.name for one in found.destinations]
    if destination and destination not in routes:
        raise UnknownNameError(f"{channel} has no destination {destination!r}; it has {', '.join(routes)}")
    pipeline = Pipeline(found, loaded)
    common = pipeline.common(message)
    return [made for one in common for made in pipeline.branch(destination, one)] if destination else common


def _name(written: str, loaded: LoadedSite) -> str:
    """The transform's full name: ``pdf`` stands for ``report.pdf``. Raises UnknownNameError."""
    known = {*names("transform"), *loaded.code.names()}
    written = _SHORT.get(written, written)
    if written in known:
        return written
    short = [one for one in known if one.rpartition(".")[2] == written.replace("-", "_")]
    if len(short) == 1:
        return short[0]
    raise UnknownNameError(f"no transform is called {written!r}{suggestion(written, known)}")


def refusal(file: str, error: MessageError, *, as_json: bool) -> str:
    """What is told of a message that is refused: a line, or a list for scripts."""
    if as_json:
        return json.dumps(
            [{"place": error.place, "code": error.condition, "problem": error.problem}], ensure_ascii=False
        )
    return ": ".join(part for part in (shown(file), error.place, error.problem) if part)
