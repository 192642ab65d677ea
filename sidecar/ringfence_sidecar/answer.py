"""An answer as it is kept: its data stays encoded, so that serving it again decodes nothing but a small head."""

from typing import Any

import msgspec

from ringfence_sidecar.connectors.base import Outcome
from ringfence_sidecar.envelope import Notice

FORMAT = "answer-1"
"""Part of every key: a sidecar of another version, with another form, finds nothing."""
_LENGTH = 4


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an outcome says besides its data."""

    message: str = ""
    warnings: tuple[Notice, ...] = ()
    partial: bool = False
    backend_id: str | None = None
    details: dict[str, Any] | None = None


class Answer(msgspec.Struct, frozen=True):
    """An outcome, encoded."""

    head: Head
    data: msgspec.Raw
    size: int
    """Bytes of `data`."""


_ENCODER = msgspec.json.Encoder()
_HEADS = msgspec.json.Decoder(Head)


def encoded(outcome: Outcome) -> Answer:
    """Return the outcome with its data as JSON. Raises TypeError if the kind's result is no JSON."""
    body = _ENCODER.encode(outcome.data)
    head = Head(outcome.message, outcome.warnings, outcome.partial, outcome.backend_id, dict(outcome.details) or None)
    return Answer(head, msgspec.Raw(body), len(body))


def pack(answer: Answer) -> bytes:
    """Return the answer as bytes: the head's length, big-endian, the head, the data."""
    head = _ENCODER.encode(answer.head)
    return b"".join((len(head).to_bytes(_LENGTH, "big"), head, memoryview(answer.data)))


def unpack(body: bytes) -> Answer:
    """Return what `pack` was given. Raises msgspec.DecodeError for other bytes."""
    view = memoryview(body)
    start = _LENGTH + int.from_bytes(view[:_LENGTH], "big")
    data = view[start:]
    return Answer(_HEADS.decode(view[_LENGTH:start]), msgspec.Raw(data), len(data))
