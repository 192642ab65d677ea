"""Checks audit lines: nothing edited, nothing missing in between, nothing moved."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ringfence_sidecar.audit.chain import PREFIX, ZERO, split

_RECENT = 4096


class _Head(msgspec.Struct, rename="camel"):
    audit: int
    chain: str
    sequence: int
    previous: str
    event: str


@dataclass(slots=True)
class Found:
    """One chain, as far as it was read."""

    last: int = 0
    hash: str = ZERO
    ended: bool = False
    duplicates: int = 0
    recent: dict[int, str] = field(default_factory=dict)
    """Hashes of the last lines: an exporter whose acknowledgement was lost sends a whole batch again."""


class BrokenChainError(Exception):
    """The lines are not what the sidecar wrote; the message says where and how."""


@dataclass(slots=True)
class Verification:
    """Reads lines in the order of the log. Chains of several processes may follow each other, or be mixed."""

    chains: dict[str, Found] = field(default_factory=dict)
    others: int = 0
    """Lines that are no audit lines."""
    _decoder: msgspec.json.Decoder[_Head] = field(default_factory=lambda: msgspec.json.Decoder(_Head))

    def read(self, lines: Iterable[bytes]) -> None:
        """Check the lines. Raises BrokenChainError at the first that does not fit."""
        for number, line in enumerate(lines, start=1):
            text = line.rstrip(b"\r\n")
            if not text.startswith(PREFIX):
                self.others += bool(text)
                continue
            self._check(number, text)

    def _check(self, number: int, line: bytes) -> None:
        try:
            body, own = split(line)
            head = self._decoder.decode(line)
        except (ValueError, msgspec.MsgspecError) as error:
            raise BrokenChainError(f"line {number} is cut or is no audit line: {error}") from None
        if hashlib.sha256(body).hexdigest() != own:
            raise BrokenChainError(f"line {number} was edited: it does not have the hash that it names")
        found = self.chains.setdefault(head.chain, Found())
        if found.recent.get(head.sequence) == own:
            found.duplicates += 1
            return
        self._follows(number, head, found)
        found.last, found.hash, found.ended = head.sequence, own, head.event == "end"
        found.recent[head.sequence] = own
        found.recent.pop(head.sequence - _RECENT, None)

    @staticmethod
    def _follows(number: int, head: _Head, found: Found) -> None:
        expected = found.last + 1
        if found.ended:
            raise BrokenChainError(f"line {number} comes after the end of chain {head.chain}")
        if head.sequence > expected:
            missing = f"{expected} to {head.sequence - 1}" if head.sequence - 1 > expected else f"{expected}"
            raise BrokenChainError(f"line {number}: chain {head.chain} lacks {missing} before {head.sequence}")
        if head.sequence < expected:
            raise BrokenChainError(
                f"line {number}: chain {head.chain} has {head.sequence} after {found.last}: it was moved or repeated"
            )
        if head.previous != found.hash:
            raise BrokenChainError(
                f"line {number}: its predecessor in chain {head.chain} is another line than the one before it"
            )
