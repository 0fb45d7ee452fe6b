"""A submission as the body of a message: JSON, document contents in Base64."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import TypeAdapter, ValidationError

from channels.errors import ParseError
from channels.message import Message
from transforms.submission.model import Submission

_ADAPTER = TypeAdapter(Submission)


def encode(submission: Submission) -> bytes:
    """The body of a message of format ``submission``."""
    plain: dict[str, Any] = _ADAPTER.dump_python(submission, exclude_defaults=True)
    for document in plain["documents"]:
        document["content"] = base64.b64encode(document["content"]).decode("ascii")
    return _ANY.dump_json(plain)


def decode(body: bytes) -> Submission:
    """The submission of a body. Raises ParseError when it is none; the text quotes nothing of it."""
    try:
        plain = _ANY.validate_json(body)
        for document in plain["documents"]:
            document["content"] = base64.b64decode(document["content"], validate=True)
        return _ADAPTER.validate_python(plain)
    except (ValidationError, KeyError, TypeError, ValueError):
        raise ParseError("the body is not a submission") from None


def read(message: Message) -> Submission:
    """The submission that a message carries, shared by everyone who asks. Raises ParseError."""
    return message.view(_decoded)


def _decoded(message: Message) -> Submission:
    return decode(message.body)


_ANY: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
