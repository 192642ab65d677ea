"""What sidecars say of themselves, checked and told to the operator together: once a second, and only what is other."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_SECONDS, TOGETHER_SECONDS = 0.05, 1.0
"""What a pod reports first is waited for: whether its network is what it should be."""
MOST_ENDPOINTS = 128
MOST_TEXT = 256
MOST_USES = 256
"""Of so many limits at most a status can tell; what a poll says of more is passed over."""
PROTOCOL = 1
MOST_AMOUNT = 1e18
_MOST_COUNT = 2**31 - 1
"""As much as a figure of a status may be."""
_YEAR_10000 = 253_402_300_800
_STEP = 1.25
"""A latency that is less than this much other is no news."""


class BadPollError(ValueError):
    """A poll's body does not have the form that is agreed; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The body of a poll (docs/design/2026-11-28-sidecar.md)."""

    version: str
    generations: Mapping[str, int]
    wait_seconds: float
    report: Mapping[str, Any]
    holds_order: bool = False
    """True for a starter that has an order which it may still carry out: it is to hear that there is none any more."""


@dataclass(slots=True)
class Reports:
    """What each pod reported last; `tell` takes what is new to the operator."""

    tell: Callable[[dict[str, Any]], None]
    _told: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _fresh: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def take(self, uid: str, report: Mapping[str, Any]) -> None:
        """Note what the pod's sidecar reports."""
        told = self._told.get(uid)
        if told is not None and _is_same(told, report):
            self._fresh.pop(uid, None)
            return
        self._fresh[uid] = report
        if self._timer is None:
            seconds = TOGETHER_SECONDS if told is not None and told["inside"] == report["inside"] else FIRST_SECONDS
            self._timer = asyncio.get_running_loop().call_later(seconds, self._flush)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._told.pop(uid, None)
        self._fresh.pop(uid, None)

    def stop(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        fresh, self._fresh = self._fresh, {}
        for uid, report in fresh.items():
            self._told[uid] = report
            self.tell({"kind": "sidecarSeen", "uid": uid, **report})


def poll_of(wire: Any, *, longest: float) -> Poll:
    """Return the poll that the JSON `wire` says; it waits at most `longest` seconds. Raises BadPollError."""
    if not isinstance(wire, dict):
        raise BadPollError("the body is no JSON object")
    if wire.get("protocol", PROTOCOL) != PROTOCOL:
        raise BadPollError(f"protocol {wire['protocol']!r} is not served here: this operator speaks {PROTOCOL}")
    wait = wire.get("waitSeconds")
    wait = longest if wait is None else wait
    if not _is_number(wait):
        raise BadPollError("waitSeconds is no number")
    return Poll(
        _text(wire, "version"), _generations(wire.get("generations", {})), min(max(wait, 0), longest), _report(wire)
    )


def _report(wire: Mapping[str, Any]) -> dict[str, Any]:
    health = wire.get("health", [])
    reachable = wire.get("cacheReachable")
    if not isinstance(health, list) or len(health) > MOST_ENDPOINTS:
        raise BadPollError(f"health is no list of at most {MOST_ENDPOINTS} endpoints")
    if reachable is not None and not isinstance(reachable, bool):
        raise BadPollError("cacheReachable is neither true, false nor null")
    return {
        "version": _text(wire, "version"),
        "sidecarVersion": _text(wire, "sidecarVersion"),
        "cacheReachable": reachable,
        "cacheEvicts": _text(wire, "cacheEvicts"),
        "inside": inside_of(wire.get("inside")),
        "health": [_health(each) for each in health],
        "uses": _uses(wire.get("uses", [])),
    }


def inside_of(wire: Any) -> dict[str, Any] | None:
    """Return how a pod finds its network, if it says so. Raises BadPollError."""
    if wire is None:
        return None
    closed = wire.get("closed") if isinstance(wire, dict) else None
    way_out = wire.get("wayOut") if isinstance(wire, dict) else None
    if not isinstance(closed, bool) or not (way_out is None or isinstance(way_out, bool)):
        raise BadPollError("inside is neither null nor an object with closed and wayOut, which are true or false")
    return {"closed": closed, "wayOut": way_out}


def _health(wire: Any) -> dict[str, Any]:
    if not isinstance(wire, dict):
        raise BadPollError("an entry of health is no JSON object")
    generation, latency, healthy = wire.get("generation"), wire.get("latencyMs", 0), wire.get("healthy")
    if not isinstance(generation, int) or not _is_amount(latency) or not isinstance(healthy, bool):
        raise BadPollError("an entry of health lacks generation or healthy, or its latencyMs is no number")
    texts = {name: _text(wire, name) for name in ("connector", "endpoint", "reason", "message")}
    return {
        **texts,
        "generation": generation,
        "healthy": healthy,
        "latencyMs": min(round(float(latency), 3), _MOST_COUNT),
    }


def _uses(wire: Any) -> list[dict[str, Any]]:
    if not isinstance(wire, list):
        raise BadPollError("uses is no list")
    return [_use(each) | _free(each) for each in wire[:MOST_USES]]


def _free(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Return when something of the limit is free again, if the sidecar says so."""
    at = wire.get("resetsAt")
    if at is not None and not _is_moment(at):
        raise BadPollError("resetsAt of an entry of uses is no moment, in seconds since the epoch")
    return {} if at is None else {"resetsAt": float(at)}


def _use(wire: Any) -> dict[str, Any]:
    if not isinstance(wire, dict):
        raise BadPollError("an entry of uses is no JSON object")
    shared, refusals = wire.get("shared"), wire.get("refusals", 0)
    amounts = {"used": wire.get("used"), **{name: wire.get(name, 0) for name in ("refusedAt", "warned", "warnedAt")}}
    if not isinstance(shared, bool) or not isinstance(refusals, int) or not all(map(_is_amount, amounts.values())):
        raise BadPollError("an entry of uses lacks shared or used, or another of its amounts is no number")
    if not _is_moment(amounts["refusedAt"]) or not _is_moment(amounts["warnedAt"]):
        raise BadPollError("refusedAt or warnedAt of an entry of uses is no moment, in seconds since the epoch")
    amounts["warned"] = min(amounts["warned"], _MOST_COUNT)
    texts = {name: _text(wire, name) for name in ("quotaUid", "resource", "window")}
    numbers = {name: float(value) for name, value in amounts.items()}
    return {**texts, "shared": shared, "refusals": min(max(0, refusals), _MOST_COUNT), **numbers}


def _text(wire: Mapping[str, Any], name: str) -> str:
    text = wire.get(name, "")
    if not isinstance(text, str):
        raise BadPollError(f"{name} is no text")
    return text[:MOST_TEXT]


def _generations(wire: Any) -> dict[str, int]:
    if not isinstance(wire, dict) or len(wire) > MOST_ENDPOINTS:
        raise BadPollError(f"generations is no JSON object of at most {MOST_ENDPOINTS} UIDs")
    if not all(isinstance(each, int) for each in wire.values()):
        raise BadPollError("a generation is no whole number")
    return wire


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < MOST_AMOUNT


def _is_moment(value: Any) -> bool:
    return _is_amount(value) and value < _YEAR_10000


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return True if nothing is other but latencies, and those by little."""
    if len(one["health"]) != len(other["health"]):
        return False
    pairs = list(zip(one["health"], other["health"], strict=True))
    rest = all({**a, "latencyMs": 0} == {**b, "latencyMs": 0} for a, b in pairs)
    near = all(_is_near(a["latencyMs"], b["latencyMs"]) for a, b in pairs)
    return rest and near and {**one, "health": ()} == {**other, "health": ()}


def _is_near(one: float, other: float) -> bool:
    return max(one, other) <= 1 or max(one, other) <= _STEP * min(one, other)
