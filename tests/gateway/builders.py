"""Port sets and observers for the tests."""

import json
from collections import Counter
from typing import Any

from ringfence_gateway.names import Verdict
from ringfence_gateway.port_set import PortSet

ADDRESS = "10.96.0.17"


def wire(block: int = 17, **changes: Any) -> dict[str, Any]:
    return {
        "block": block,
        "policy": "team/web",
        "version": "1",
        "address": ADDRESS,
        "audit": False,
        "allowed": [["api.example.com", [80, 443]], ["*.example.org", [443]]],
        "blocked": [["bad.example.org", []]],
        "services": {"db.team": "10.96.0.50", "cache.other": "10.96.0.51"},
        "further": {"8443": 3},
    } | changes


def port_set(block: int = 17, **changes: Any) -> PortSet:
    return PortSet.from_json(json.dumps(wire(block, **changes)).encode())


class Noted:
    """Remembers what a responder says."""

    def __init__(self) -> None:
        self.names: list[tuple[int, str | None, Verdict]] = []
        self.answers: Counter[tuple[int, str]] = Counter()
        self.drops: Counter[int] = Counter()

    def asked(self, block: int, name: str | None, verdict: Verdict) -> None:
        self.names.append((block, name, verdict))

    def answered(self, block: int, rcode: str) -> None:
        self.answers[block, rcode] += 1

    def dropped(self, block: int) -> None:
        self.drops[block] += 1
