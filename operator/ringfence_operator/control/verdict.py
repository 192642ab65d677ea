"""Which names a listener has to tell apart, so that the most specific one that matches gives the policy's verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from ringfence_operator.resources.port_set import Domain, PortSet


class Verdict(StrEnum):
    """What becomes of a connection or request, by its name."""

    ALLOWED = "allowed"
    DENIED = "denied"
    AUDITED = "audited"
    """Neither, but the policy only audits: let through."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A name or wildcard and its verdict. `blocks` are the blocked names that an allowed wildcard leaves out."""

    name: str
    verdict: Verdict
    blocks: tuple[str, ...] = ()


def chain_name(judged: Judged) -> str:
    """Return the name of the filter chain of connections that the entry judges: a chain is cut when its name goes."""
    name = f"{judged.verdict}:{judged.name}"
    if judged.blocks:
        # A wildcard's connections are cut when a name below it is blocked: which of them have that name, nobody knows.
        name += f":{blake2b(' '.join(judged.blocks).encode(), digest_size=8).hexdigest()}"
    return name


def other_verdict(port_set: PortSet) -> Verdict:
    """Return the verdict for a name that nothing allows."""
    return Verdict.AUDITED if port_set.is_audit else Verdict.DENIED


def judge(port_set: PortSet, port: int) -> list[Judged]:
    """Return the names that count on `port`, in order.

    Of those that match a name, the most specific one is right: an allowed one that a blocked one covers is left out,
    and a blocked one is there only where an allowed wildcard would match instead.
    """
    allowed = _names(port_set.allowed, port)
    blocked = _names(port_set.blocked, port)
    left = {name for name in allowed if not any(each in blocked for each in covering(name))}
    under: dict[str, list[str]] = {}
    for name in sorted(blocked):
        wildcard = next((each for each in covering(name) if each in left), None)
        if wildcard is not None:
            under.setdefault(wildcard, []).append(name)
    verdict = other_verdict(port_set)
    refused = [Judged(name, verdict) for names in under.values() for name in names]
    kept = [Judged(name, Verdict.ALLOWED, tuple(under.get(name, ()))) for name in left]
    return sorted(kept + refused, key=lambda each: each.name)


def covering(name: str) -> Iterator[str]:
    """Yield the entries that would cover `name`, itself first, then wildcards from the most specific one on."""
    yield name
    labels = name.removeprefix("*.").split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])


def _names(domains: tuple[Domain, ...], port: int) -> set[str]:
    return {each.name for each in domains if not each.ports or port in each.ports}
