"""The step ``validate``: a document that breaks a rule is refused, or goes on with what was found."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import structlog
from pydantic import Field, model_validator

from channels.errors import ProfileError
from channels.fields import Directory, Settings
from channels.message import Message
from channels.ports import Context
from transforms.validation import rules, validate
from transforms.validation.faults import Fault, Verdict

_LOG = structlog.get_logger("vaguemestre.validation")


class ValidateSettings(Settings):
    """``validate: refuse`` is short for ``validate: {level: refuse}``."""

    level: Literal["refuse", "warn"] = Field(
        "refuse",
        description="`refuse`: a document with an error goes to the dead letters; `warn`: it goes on, "
        "and what was found is logged and kept with it (attribute `validation`).",
    )
    rules: Directory | None = Field(
        None, description="Folder of the official rules; by default that of `site.yaml` (`rules`)."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"level": value} if isinstance(value, str) else value


class Validate:
    """Checks each document: our own rules, and the official ones when the site has them."""

    settings = ValidateSettings
    in_worker: ClassVar[bool] = True

    def __init__(self, settings: ValidateSettings) -> None:
        """The rules are compiled when the first document comes, once per process."""
        self._settings = settings

    def prepare(self) -> None:
        """Compile now, for ``check``. Raises ConfigError: the folder is not one of rules, or they do not compile."""
        if self._settings.rules is not None:
            rules(self._settings.rules).prepare()

    def __call__(self, message: Message, context: Context) -> Message:
        """The same message; with ``level: warn`` its attribute ``validation`` names the rules that it breaks.

        Raises:
            ProfileError: with ``level: refuse``, at the place of the first error, with its rule.
            ConfigError: the official rules cannot be read or compiled. The document waits (a worker's ConfigError is
                tried again): it never passes unchecked, and is never refused for that.
        """
        folder = self._settings.rules or context.site.rules
        verdict = validate(message.body, folder, context.site.ins_domain)
        if verdict.errors and self._settings.level == "refuse":
            first = verdict.errors[0]
            raise ProfileError(f"{_rule(first)}: {first.text}{_more(verdict)}", first.place)
        if not verdict.errors:
            return message
        broken = list(dict.fromkeys(_rule(one) for one in verdict.errors))
        _LOG.warning("document_invalid", channel=context.channel, message=message.id, rules=broken)
        attributes = {**message.attributes, "validation": ", ".join(broken)}
        return message.with_body(message.body, attributes=attributes)


def _rule(fault: Fault) -> str:
    return f"{fault.layer} {fault.rule}"


def _more(verdict: Verdict) -> str:
    others = len(verdict.errors) - 1
    return f" (and {others} more)" if others else ""
