"""What an agent may do to which exchange and queue. What no pattern names is refused."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.errors import RefusedError

OWN = "ringfence."
"""Begins the names of queues that agents have made for themselves; no pattern covers another agent's."""
_BROKERS = "amq."
"""Begins the broker's own names, `amq.rabbitmq.trace` among them: covered by patterns that say so, never by `*`."""
_PATTERN = re.compile(r"(?:[^*\s]*\*?)(?:\.[^*\s]*\*?)*")


class Verb(StrEnum):
    """What may be permitted."""

    PUBLISH = "Publish"
    DECLARE = "Declare"
    BIND = "Bind"
    RECEIVE = "Receive"
    INSPECT = "Inspect"
    DEAD_LETTERS = "DeadLetters"
    REPLAY = "Replay"
    DROP = "Drop"


_VERBS = {verb.lower(): verb for verb in Verb}
_OF_EXCHANGES = frozenset({Verb.PUBLISH, Verb.DECLARE, Verb.BIND})


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pattern: str
    verbs: tuple[str, ...]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    exchanges: tuple[_Entry, ...] = ()
    queues: tuple[_Entry, ...] = ()


@dataclass(frozen=True)
class _Rule:
    kind: str
    pattern: str
    verbs: frozenset[Verb]

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        inner, tail = (self.pattern[:-1], r".*") if self.pattern.endswith("*") else (self.pattern, "")
        return re.compile(re.escape(inner).replace(r"\*", r"[^.]*") + tail, re.DOTALL)

    def covers(self, name: str) -> bool:
        if name.startswith(_BROKERS) and not self.pattern.startswith(_BROKERS):
            return False
        return self._expression.fullmatch(name) is not None

    @property
    def text(self) -> str:
        return f"{self.kind}s:{self.pattern}"


@dataclass(frozen=True)
class Permissions:
    """The Connector's `permissions`."""

    rules: tuple[_Rule, ...]
    prefix: str = OWN
    """How the queues begin that the agent has made for itself."""

    def of(self, agent: Agent) -> "Permissions":
        """Return them for one agent: only `of` says which queues are its own."""
        return replace(self, prefix=f"{OWN}{agent.namespace}.{agent.name}.")

    def judge_exchange(self, verb: Verb, name: str) -> str:
        """Return the rule that permits it. Raises RefusedError."""
        return self._judge("exchange", verb, name)

    def judge_queue(self, verb: Verb, name: str) -> str:
        """Return the rule that permits it. Raises RefusedError.

        An agent may receive from and inspect the queues that it has made for itself, and nothing else of that kind.
        """
        if name.startswith(OWN):
            if self.is_own(name) and verb in {Verb.RECEIVE, Verb.INSPECT}:
                return "queues:own"
            raise _refusal("queue", verb, name)
        return self._judge("queue", verb, name)

    def judge_target(self, exchange: str, routing_key: str) -> str:
        """Return the rule that permits publishing; by the default exchange, it is the queue that is judged."""
        if exchange:
            return self.judge_exchange(Verb.PUBLISH, exchange)
        return self.judge_queue(Verb.PUBLISH, routing_key)

    def is_own(self, queue: str) -> bool:
        """Return True for a queue that this agent has made for itself."""
        label = queue.removeprefix(self.prefix)
        return self.prefix != OWN and queue.startswith(self.prefix) and bool(label) and "." not in label

    def has(self, kind: str, *verbs: Verb) -> bool:
        """Return True if one of the verbs is permitted on some `exchange` or `queue`."""
        return any(rule.kind == kind and rule.verbs & set(verbs) for rule in self.rules)

    def _judge(self, kind: str, verb: Verb, name: str) -> str:
        for rule in self.rules:
            if rule.kind == kind and verb in rule.verbs and rule.covers(name):
                return rule.text
        raise _refusal(kind, verb, name)


def _refusal(kind: str, verb: Verb, name: str) -> RefusedError:
    return RefusedError(
        f"{verb} is not permitted on {kind} {name!r}: name one that the Connector permits, or have its owner add "
        f"{{pattern: {name}, verbs: [{verb}]}} to permissions.{kind}s",
        rule="default-deny",
    )


def decode(permissions: Mapping[str, Any]) -> Permissions:
    """Return what the Connector permits. Raises msgspec.ValidationError."""
    wire = msgspec.convert(dict(permissions), _Wire)
    rules = (*_rules("exchange", wire.exchanges, _OF_EXCHANGES), *_rules("queue", wire.queues, frozenset(Verb)))
    return Permissions(rules)


def _rules(kind: str, entries: Iterable[_Entry], known: frozenset[Verb]) -> Iterable[_Rule]:
    for entry in entries:
        if not _PATTERN.fullmatch(entry.pattern):
            raise msgspec.ValidationError(f"{entry.pattern!r}: a * stands at the end of a part, as in orders.eu-*.new")
        verbs = frozenset(_verb(verb) for verb in entry.verbs)
        if not verbs <= known:
            raise msgspec.ValidationError(f"{entry.pattern!r}: an {kind} knows {', '.join(sorted(known))}")
        yield _Rule(kind, entry.pattern, verbs)


def _verb(text: str) -> Verb:
    try:
        return _VERBS[text.lower()]
    except KeyError:
        raise msgspec.ValidationError(f"{text!r} is no verb: write one of {', '.join(Verb)}") from None
