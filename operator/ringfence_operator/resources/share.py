"""A container's share of its node: cores and memory, as asked for, as limited, and how a running one is changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from ringfence_operator.api.quantity import canonical_quantity, parse_quantity

RESIZABLE = ("cpu", "memory")
"""What a running container can be given more or less of."""


@dataclass(frozen=True, slots=True)
class Share:
    """Canonical quantities; empty where the container has none."""

    cpu_request: str = ""
    memory_request: str = ""
    cpu: str = ""
    memory: str = ""

    def limit(self, name: str) -> str:
        """Return the limit on `cpu` or `memory`."""
        return self.cpu if name == "cpu" else self.memory

    def request(self, name: str) -> str:
        """Return what is asked for."""
        return self.cpu_request if name == "cpu" else self.memory_request

    def to_body(self) -> dict[str, Any]:
        """Return it as a container's `resources`."""
        return {
            "requests": {"cpu": self.cpu_request, "memory": self.memory_request},
            "limits": {"cpu": self.cpu, "memory": self.memory},
        }


@dataclass(frozen=True, slots=True)
class RefusedShare:
    """A share that the API server does not let a pod have, and why."""

    pod_uid: str
    share: Share
    why: str
    again: datetime | None = None
    """When it is asked for again; None where the same would always be refused."""


@lru_cache(maxsize=256)
def _shared(cpu_request: str, memory_request: str, cpu: str, memory: str) -> Share:
    """Thousands of pods have a handful of shares between them."""
    return Share(*(canonical_quantity(each) if each else "" for each in (cpu_request, memory_request, cpu, memory)))


def read_share(resources: Mapping[str, Any] | None) -> Share | None:
    """Read a container's `resources`; None where it does not limit both."""
    found = resources or {}
    requests, limits = found.get("requests") or {}, found.get("limits") or {}
    if not all(limits.get(name) for name in RESIZABLE):
        return None
    # A request that is not given is the limit.
    return _shared(
        *(str(requests.get(name) or limits[name]) for name in RESIZABLE), *(str(limits[name]) for name in RESIZABLE)
    )


def is_less(one: str, other: str) -> bool:
    """Return True if `one` is the smaller quantity."""
    return parse_quantity(one) < parse_quantity(other)


def in_class(share: Share, quality: str) -> Share:
    """Return `share` so that the pod stays in its class of service, which a running pod cannot leave.

    Guaranteed: it asks for all that it may have. Burstable: it does not, by the least that can be said.
    """
    if quality == "Guaranteed":
        return replace(share, cpu_request=share.cpu, memory_request=share.memory)
    is_all = share.cpu_request == share.cpu and share.memory_request == share.memory
    if quality != "Burstable" or not is_all:
        return share
    milli = int(parse_quantity(share.cpu) * 1000)
    if milli > 1:
        return replace(share, cpu_request=canonical_quantity(f"{milli - 1}m"))
    return replace(share, memory_request=canonical_quantity(int(parse_quantity(share.memory)) - 1))
