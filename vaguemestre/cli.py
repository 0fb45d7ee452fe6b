"""The command line: what each command is called and where its code is; errors become one line and an exit code.

Exit codes: 0 all is well; 1 a message was refused, or files have faults; 2 wrong usage, or the command could not run.
Code is imported when its command is called, so that ``vaguemestre --help`` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from channels.errors import ChannelFileError, ConfigErrors, MessageError, Refused, VaguemestreError


class _Entry(NamedTuple):
    """One command: ``module:function`` (or a Typer application), its place in the help, and what it does."""

    target: str
    panel: str
    summary: str


_SITE, _ENGINE, _TOOLS, _PROOF = "Set up a site", "Run it", "Look at and send messages", "Try and measure"

COMMANDS = {
    "init": _Entry("site:init", _SITE, "Make the folder of a new site, with four channels to start from."),
    "check": _Entry("site:check", _SITE, "Read every file of a site and show all faults, each at file:line:column."),
    "test": _Entry("site:test", _SITE, "Run the tests written in the channel files."),
    "plan": _Entry("site:plan", _SITE, "Tell in words what a reload would change in the running engine."),
    "schema": _Entry("site:schema", _SITE, "Print the JSON Schema of channel files and site.yaml, for editors."),
    "run": _Entry("run:run", _ENGINE, "Run a site until it is stopped."),
    "reload": _Entry("run:reload", _ENGINE, "Apply changed files to the running engine."),
    "top": _Entry("run:top", _ENGINE, "Show live what the running engine receives, delivers and keeps waiting."),
    "queues": _Entry("queues:queues", _ENGINE, "What waits for each destination: list it, hold, release or skip."),
    "messages": _Entry("messages:messages", _ENGINE, "Search, show, export and replay messages of the journal."),
    "certificates": _Entry(
        "certificates:certificates", _SITE, "Show which service uses which certificate, and until when it is good."
    ),
    "keys": _Entry("run:keys", _ENGINE, "Master keys of the journal."),
    "history": _Entry("run:history", _ENGINE, "List the configurations that were applied; write an older one back."),
    "audit": _Entry("run:audit", _ENGINE, "Show who looked at or moved which messages."),
    "convert": _Entry("convert:convert", _TOOLS, "Pass one message through one transform; the result goes to stdout."),
    "validate": _Entry("validate:validate", _TOOLS, "Check CDA documents with the official rules and ours."),
    "trace": _Entry("trace:trace", _TOOLS, "Show where each field of a result message is in the document made of it."),
    "explain": _Entry("explain:explain", _TOOLS, "Show a message as a tree with the standard's names, faults marked."),
    "loinc": _Entry("loinc:loinc", _TOOLS, "Transcode a laboratory's catalogue to LOINC."),
    "insi": _Entry("insi:insi", _TOOLS, "Verify identities with INSi, check an INS, read an INS datamatrix."),
    "send": _Entry("send:send", _TOOLS, "Send messages over MLLP and show the acknowledgements."),
    "listen": _Entry("listen:listen", _TOOLS, "Receive messages over MLLP and answer as told."),
    "simulate": _Entry("simulate:simulate", _TOOLS, "Stand in for a national service: the DMP, MSSanté, INSi…"),
    "demo": _Entry("demo:demo", _PROOF, "Run a hospital in a box: invented patients, real sockets."),
    "bench": _Entry("bench:bench", _PROOF, "Measure the engine beside the floors of this machine."),
    "crashtest": _Entry(
        "crashtest:crashtest", _PROOF, "Kill the engine under load, again and again; count what was lost."
    ),
}


class _Commands(TyperGroup):
    """The group of all commands: loads the one that is called, turns errors into a line and an exit code."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in the place of the line that the help shows."""
        name, command, rest = super().resolve_command(ctx, args)
        return (name, _load(name), rest) if name in COMMANDS else (name, command, rest)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors of ours and of the system are told without a traceback, unless ``--debug``."""
        try:
            return super().invoke(ctx)
        except (VaguemestreError, OSError, ImportError) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            _tell(error)
            raise typer.Exit(exit_code(error)) from error


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(importlib.import_module(f"vaguemestre.commands.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return get_command(found)
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return get_command(alone)


def exit_code(error: BaseException) -> int:
    """1 when a message or a file is at fault, 2 when the command could not run."""
    return 1 if isinstance(error, MessageError | Refused | ChannelFileError | ConfigErrors) else 2


def _tell(error: BaseException) -> None:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"{where}{error.strerror}", err=True)
    elif isinstance(error, ImportError):
        typer.echo(f"{error}; `pip install 'vaguemestre[all]'` installs every optional package", err=True)
    else:
        typer.echo(str(error), err=True)


def _show_version(value: bool) -> None:  # noqa: FBT001  # a callback of typer
    if value:
        typer.echo(f"vaguemestre {version('vaguemestre')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    *,
    version_: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error comes from.")] = False,
) -> None:
    """Vaguemestre carries HL7 and FHIR messages between the systems of a French hospital.

    Start with `vaguemestre demo`, then `vaguemestre init mon-hopital`. Each command explains itself:
    `vaguemestre run --help`.

    Exit codes: 0 all is well; 1 a message was refused or files have faults; 2 wrong usage, or could not run.
    """


def _line(name: str, entry: _Entry) -> None:
    """A line of the help; the real command takes its place when it is called."""

    def placeholder() -> None: ...

    app.command(name, help=entry.summary, rich_help_panel=entry.panel)(placeholder)


for _name, _entry in COMMANDS.items():
    _line(_name, _entry)


def main() -> None:
    """The program ``vaguemestre``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    with contextlib.suppress(BrokenPipeError):
        app()
