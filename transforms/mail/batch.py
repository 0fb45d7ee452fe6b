"""The mails of a request as the body of a message (format ``mails``): a line of JSON, the heads, the common tail."""

from __future__ import annotations

import json
from dataclasses import replace

from channels.errors import ParseError
from channels.message import Message
from transforms.mail.model import Batch, Outgoing

FORMAT = "mails"


def encode(batch: Batch) -> bytes:
    """The body; the same batch gives the same bytes."""
    mails = [
        {
            "target": one.target, "address": one.address, "message_id": one.message_id,
            "code": one.code, "label": one.label, "head": len(one.head),
        }
        for one in batch.mails
    ]  # fmt: skip
    head = {"key": batch.key, "sender": batch.sender, "wants_reception": batch.wants_reception, "mails": mails}
    line = json.dumps(head, ensure_ascii=False).encode()
    return b"".join([line, b"\n", *(one.head for one in batch.mails), batch.tail])


def decode(body: bytes) -> Batch:
    """The batch of a body. Raises ParseError; its text quotes nothing."""
    line, _, rest = body.partition(b"\n")
    try:
        head = json.loads(line)
        mails, at = [], 0
        for one in head.pop("mails"):
            size = one.pop("head")
            mails.append(replace(Outgoing(**one), head=rest[at : at + size]))
            at += size
        return Batch(mails=tuple(mails), tail=rest[at:], **head)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParseError("the body is not a batch of mails") from None


def read(message: Message) -> Batch:
    """The batch that a message carries, shared by everyone who asks. Raises ParseError."""
    return message.view(_decoded)


def _decoded(message: Message) -> Batch:
    return decode(message.body)
