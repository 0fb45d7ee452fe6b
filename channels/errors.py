"""Every error the engine raises on purpose.

    VaguemestreError
    ├── ConfigError            before start: a file must change
    │   ├── ConfigErrors       ... all the faults of a site at once
    │   ├── ChannelFileError   ... at this file, line and column
    │   └── UnknownNameError   ... no such connector, transform or table
    ├── MessageError           this message, as it stands, can never pass
    │   ├── ParseError         not well formed                          (0357: 199)
    │   ├── ProfileError       well formed, but breaks its profile      (0357: 101)
    │   ├── UnsupportedError   a type, event, mode or version not taken (0357: 200-203)
    │   └── MappingError       a code has no translation                (0357: 103)
    ├── DeliveryError          the destination did not take the message
    │   ├── Undelivered        no answer, or "not now": send again
    │   └── Refused            the answer was no: do not send again
    ├── StoreError             the journal cannot be written: stop receiving
    │   └── QueueFull          a destination's queue is at its limit: send again later
    ├── DamageError            a part of the journal is not what was written there
    ├── VersionNeeded          a transform asks which version its document is: not a fault
    └── WorkerError            a worker process died or was too slow: try again

Texts name a place and a rule, never a field's value: values stay in the journal.

Source: HL7 v2.5, table 0357 (message error condition codes); 198 and 199 are additions of the ANS volets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

Level = Literal["reject", "warn", "ignore"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed in a message: where, which rule, how grave.

    place: ``PID-3[2].4.2``, or ``""`` when it concerns the whole message.
    code: HL7 table 0357 condition.
    problem: the rule in words, without the value.
    """

    place: str
    code: str
    problem: str
    level: Level = "warn"


class VaguemestreError(Exception):
    """The root: everything raised on purpose."""

    retry: ClassVar[bool] = False
    """True when the same thing may succeed later, unchanged."""


class ConfigError(VaguemestreError):
    """A configuration file must change before the engine can start."""


class ChannelFileError(ConfigError):
    """A fault at one place of one file.

    line, column: 1-based; 0 when the fault has no place inside the file.
    """

    def __init__(self, file: str, line: int, column: int, problem: str) -> None:
        self.file, self.line, self.column, self.problem = file, line, column, problem
        place = f"{file}:{line}:{column}" if line else file
        super().__init__(f"{place}: {problem}")


class ConfigErrors(ConfigError):
    """Every fault of a site's files.

    faults: in the order of files, lines and columns; the text is one of them a line.
    """

    def __init__(self, faults: Iterable[ChannelFileError]) -> None:
        self.faults = tuple(sorted(faults, key=lambda one: (one.file, one.line, one.column, one.problem)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class UnknownNameError(ConfigError):
    """No connector, transform or table has this name."""


class MessageError(VaguemestreError):
    """This message, as it stands, can never pass.

    problem: the rule that is broken, without the value.
    place: where, ``PID-3[2].4.2``; ``""`` for the whole message.
    condition: HL7 table 0357 code to answer.
    """

    condition: str = "207"

    def __init__(self, problem: str, place: str = "", condition: str | None = None) -> None:
        self.problem, self.place = problem, place
        if condition is not None:
            self.condition = condition
        super().__init__(f"{place}: {problem}" if place else problem)

    def __reduce__(self) -> tuple[type[MessageError], tuple[str, str, str]]:
        """Pickle with the place: errors cross from the worker processes."""
        return type(self), (self.problem, self.place, self.condition)

    @property
    def finding(self) -> Finding:
        """The same, as a value."""
        return Finding(self.place, self.condition, self.problem, "reject")


class ParseError(MessageError):
    """Not well formed."""

    condition = "199"


class ProfileError(MessageError):
    """Well formed, but breaks the rules of its profile."""

    condition = "101"


class UnsupportedError(MessageError):
    """Message type, event, processing mode or version that this endpoint does not take (answered AR)."""

    condition = "200"


class MappingError(MessageError):
    """A code has no translation in its table."""

    condition = "103"


class DeliveryError(VaguemestreError):
    """The destination did not take the message.

    answer: the bytes it answered, if any; they go to the journal, never to a text.
    """

    def __init__(self, problem: str, answer: bytes = b"") -> None:
        self.problem, self.answer = problem, answer
        super().__init__(problem)

    def __reduce__(self) -> tuple[type[DeliveryError], tuple[str, bytes]]:
        """Pickle with the answer."""
        return type(self), (self.problem, self.answer)


class Undelivered(DeliveryError):
    """No answer, or "not now": send the same again later."""

    retry = True


class Refused(DeliveryError):
    """The answer was no: the same message will never be taken."""


class StoreError(VaguemestreError):
    """The journal cannot be written: refuse and stop receiving until it can."""

    retry = True


class QueueFull(StoreError):
    """A destination's queue is at its limit and its channel says to refuse: the sender keeps the message."""


class DamageError(VaguemestreError):
    """A part of the journal is not what was written there: the disk spoilt it, or somebody altered it."""


class VersionNeeded(VaguemestreError):
    """A transform asks which version of its series a document is; see ``channels.numbering``."""

    def __init__(self, series: str, content: str, document: str, note: str) -> None:
        self.series, self.content, self.document, self.note = series, content, document, note
        super().__init__("the version of a document is needed")

    def __reduce__(self) -> tuple[type[VersionNeeded], tuple[str, str, str, str]]:
        """Pickle with what is asked."""
        return type(self), (self.series, self.content, self.document, self.note)


class WorkerError(VaguemestreError):
    """A worker process died, or took longer than it may: the same message is tried again."""

    retry = True
