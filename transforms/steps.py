"""The declarative steps on HL7 v2: ``set``, ``copy``, ``delete``, ``when``, ``charset``.

A place speaks of every segment of its name (``OBX-11``), of one (``OBX[3]-11``) or of those with a code
(``OBX[DESTDMP]-5.1``). What a step does not name leaves byte for byte as it came.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema

from channels.errors import ConfigError, MessageError, UnsupportedError
from channels.fields import Settings, one_or_more
from channels.message import Message
from channels.model import Filter, Step
from channels.ports import Context
from transforms import er7
from transforms.charsets import NAMES
from transforms.escapes import Separators, escape
from transforms.match import Match
from transforms.paths import Path, parse_path


def _place(text: str) -> str:
    try:
        parse_path(text)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return text


def _value_place(text: str) -> str:
    path = parse_path(_place(text))
    if not path.field:
        raise ValueError(f"{text!r} names a segment; a field is expected, such as {text}-3")
    if path.segment == "MSH" and path.field < 3:
        raise ValueError("the delimiters of a message cannot be changed")
    return text


def _removable(text: str) -> str:
    if parse_path(_place(text)).segment != "MSH":
        return text
    return _value_place(text)


def _text(value: Any) -> Any:
    """A number or true/false that the file gives without quotes is the text that was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


ValuePlace = Annotated[str, AfterValidator(_value_place)]
"""A field or a part of one."""
Removable = Annotated[str, AfterValidator(_removable)]
"""A field, a part of one, or a whole segment that is not the header."""
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]


def editable(message: Message) -> er7.Er7:
    """A private reading that may be edited. Raises UnsupportedError when the message is not HL7 v2."""
    if message.format != "hl7v2":
        raise UnsupportedError("this step changes HL7 v2 and the message is of another format")
    return er7.parse(message.body, message.charset)


def edited(message: Message, view: er7.Er7) -> Message:
    """The message with what was changed in ``view``; itself when nothing was."""
    return message.with_body(view.encode()) if view.changed else message


def targets(view: er7.Er7, path: Path) -> Iterator[tuple[str, er7.Segment]]:
    """Each segment that ``path`` speaks of, with the text that names it alone: ``OBX[3]``."""
    numbers = {id(segment): number for number, segment in enumerate(view.all(path.segment), 1)}
    for segment in view.matching(path):
        yield (path.segment if len(numbers) == 1 else f"{path.segment}[{numbers[id(segment)]}]"), segment


def inside(path: Path) -> str:
    """The part of a path after its segment: ``-3[2].4.2``."""
    text = f"-{path.field}"
    text += f"[{path.repetition}]" if path.repetition else ""
    text += f".{path.component}" if path.component else ""
    return text + (f".{path.sub}" if path.sub else "")


def write(view: er7.Er7, place: str, value: str) -> None:
    """Write a value in every segment that ``place`` speaks of. Raises MessageError when there is none."""
    path = parse_path(place)
    found = list(targets(view, path))
    if not found:
        raise MessageError("the message has no such segment", place, "100")
    for name, _ in found:
        view.set(name + inside(path), value)


class SetSettings(RootModel[dict[ValuePlace, Text]]):
    """Place -> the text to write there."""

    model_config = ConfigDict(frozen=True)


class Set:
    """Write constant texts. A message without the segment is refused (100)."""

    settings = SetSettings

    def __init__(self, settings: SetSettings) -> None:
        self._values = settings.root

    def __call__(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Transform``."""
        view = editable(message)
        for place, value in self._values.items():
            write(view, place, value)
        return edited(message, view)


class CopySettings(Settings):
    """From one place to another."""

    source: ValuePlace = Field(alias="from", description="The first value there is copied.")
    to: ValuePlace = Field(description="Where it is written.")


class Copy:
    """Copy one value, or one whole field with its components; nothing happens when there is none."""

    settings = CopySettings

    def __init__(self, settings: CopySettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Transform``."""
        view = editable(message)
        value = view.get(self._settings.source)
        if not value:
            return message
        write(view, self._settings.to, value)
        return edited(message, view)


_ONE_OR_MORE = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


class DeleteSettings(RootModel[Annotated[tuple[Removable, ...], BeforeValidator(one_or_more), _ONE_OR_MORE]]):
    """Segments (``ZFP``), fields (``PID-19``), repetitions (``PID-3[2]``) or parts of them."""

    model_config = ConfigDict(frozen=True)


class Delete:
    """Remove segments and empty values, where there are any."""

    settings = DeleteSettings

    def __init__(self, settings: DeleteSettings) -> None:
        self._places = settings.root

    def __call__(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Transform``."""
        view = editable(message)
        for place in self._places:
            view.delete(place)
        return edited(message, view)


class WhenSettings(Settings):
    """Steps for the messages that a filter lets pass."""

    when: Filter = Field(description="As in `filter:`.")
    then: tuple[Step, ...] = Field(min_length=1, description="Steps for these messages; others pass unchanged.")


class When:
    """Run steps on the messages that match; the others pass unchanged."""

    settings = WhenSettings
    nested = "then"

    def __init__(self, settings: WhenSettings, run: Callable[[Message, Context], list[Message]]) -> None:
        """run: the steps of ``then``, compiled."""
        self._matches, self._run = Match(settings.when), run

    def __call__(self, message: Message, context: Context) -> list[Message]:
        """See ``channels.ports.Transform``."""
        return self._run(message, context) if self._matches(message) else [message]


class CharsetSettings(Settings):
    """The character set of what leaves."""

    to: Literal["ASCII", "8859/1", "8859/15", "UNICODE UTF-8"] = Field(description="As written in MSH-18.")
    unknown: Literal["substitute", "refuse"] = Field(
        "substitute",
        description="A character that the set lacks: the nearest one (`’` → `'`, `≥` → `>=`), or refuse (102).",
    )


_CODECS = {name: codec for codec, name in NAMES.items() if codec != "cp1252"}
_NEAREST = {
    "\u2018": "'", "\u2019": "'", "\u201a": ",", "\u201c": '"', "\u201d": '"', "\u201e": '"', "«": '"', "»": '"',
    "\u2039": "<", "\u203a": ">", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "\u2022": "-", "…": "...", "≥": ">=", "≤": "<=", "≠": "<>", "×": "x", "€": "EUR", "œ": "oe", "Œ": "OE", "æ": "ae",
    "Æ": "AE", "\u00b5": "u", "\u03bc": "\u00b5", "™": "(TM)", "°": "o", "\u00a0": " ", "\u202f": " ", "\u2009": " ",
}  # fmt: skip


class Charset:
    """Write the message in another character set and say so in MSH-18.

    Source: HL7 v2.5 table 0211; IHE PAM France 2.11, MSH-18.
    """

    settings = CharsetSettings

    def __init__(self, settings: CharsetSettings) -> None:
        self._settings, self._codec = settings, _CODECS[settings.to]

    def __call__(self, message: Message, _context: Context) -> Message:
        """See ``channels.ports.Transform``. Raises MessageError, condition 102, when a character cannot be carried."""
        view = editable(message)
        header = view.first("MSH")
        if header is None:
            raise MessageError("the message has no such segment", "MSH", "100")
        if header[18] != self._settings.to:
            header[18] = self._settings.to
        try:
            text = view.encode().decode(message.charset).removeprefix("\ufeff")
        except UnicodeDecodeError:
            raise MessageError("bytes that are not of the message's character set", "MSH-18", "102") from None
        try:
            body = text.encode(self._codec)
        except UnicodeEncodeError:
            body = self._substitute(text, view.separators)
        if body == message.body:
            return message
        return message.with_body(body, charset=self._codec)

    def _substitute(self, text: str, separators: Separators) -> bytes:
        missing = {sign for sign in set(text) if not _carries(self._codec, sign)}
        if self._settings.unknown == "refuse" or missing & set(separators):
            raise MessageError(f"a character does not exist in {self._settings.to}", "", "102")
        table = {ord(sign): escape(_nearest(self._codec, sign), separators) for sign in missing}
        return text.translate(table).encode(self._codec)


def _carries(codec: str, text: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _nearest(codec: str, sign: str) -> str:
    """What is written for a character that the codec lacks; always the same, ``?`` when there is nothing near."""
    replacement = _NEAREST.get(sign, "")
    if replacement and _carries(codec, replacement):
        return replacement
    plain = "".join(one for one in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(one))
    return plain if plain and _carries(codec, plain) else "?"
