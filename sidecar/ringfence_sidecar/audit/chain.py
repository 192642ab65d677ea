"""The chain: each line carries its sequence, its predecessor's hash and its own.

    {"audit":1,"chain":"…","sequence":7,"previous":"…","time":"…","event":"call",…,"hash":"…"}

`hash` is the SHA-256 of the line without its own last member. The first line of a chain has sequence 1, event `start`
and a predecessor of zeros; a process that ends in order leaves a line `end`.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from ringfence_sidecar.audit.record import Record

ZERO = "0" * 64
PREFIX = b'{"audit":1,'
_TAIL = len(',"hash":""}') + 64


class Chain:
    """Makes the lines of one process."""

    def __init__(self, name: str, now: Callable[[], float] = time.time) -> None:
        self.name = name
        self._now = now
        self._sequence = 0
        self._previous = ZERO
        self._encode = msgspec.json.Encoder().encode

    def link(self, event: str, record: Record | dict[str, Any]) -> bytes:
        """Return the next line, without a line feed."""
        self._sequence += 1
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = (
            f'{{"audit":1,"chain":"{self.name}","sequence":{self._sequence},'
            f'"previous":"{self._previous}","time":"{at}","event":"{event}"'
        )
        members = self._encode(record)[1:-1]
        body = b"".join((head.encode(), b"," if members else b"", members, b"}"))
        self._previous = hashlib.sha256(body).hexdigest()
        return b"".join((body[:-1], b',"hash":"', self._previous.encode(), b'"}'))


def split(line: bytes) -> tuple[bytes, str]:
    """Return what a line's hash is of, and the hash that it names. Raises ValueError if it does not end in one."""
    tail = line[-_TAIL:]
    if not (tail.startswith(b',"hash":"') and tail.endswith(b'"}')):
        raise ValueError("the line does not end in its hash")
    return line[:-_TAIL] + b"}", tail[9:-2].decode("ascii", "replace")
