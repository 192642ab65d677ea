"""Whether what one NetworkPolicy entry opens lies in what another opens, told from the two alone.

True is certain. False is not: an entry may lie in several others together, or be the same in other words.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from ringfence_operator.api.network import (
    CidrDestination,
    Destination,
    Ingress,
    IngressSource,
    LabelSelector,
    NetworkPort,
    Requirement,
    SelectorOperator,
)

_Block = IPv4Network | IPv6Network


def destination_within(one: Destination, other: Destination, *, homes: tuple[str, str]) -> bool:
    """Return True if `other` opens all that `one` does; `homes` are the namespaces of their policies."""
    if one.service or other.service:
        if not one.service or not other.service:
            return False
        mine = (one.service.namespace or homes[0], one.service.name)
        return mine == (other.service.namespace or homes[1], other.service.name)
    return _pods_within(one, other) and ports_within(one.ports, other.ports)


def cidr_within(one: CidrDestination, other: CidrDestination) -> bool:
    """Return True if `other` opens all that `one` does."""
    return _block_within(one, other) and ports_within(one.ports, other.ports)


def ingress_within(one: Ingress, others: Iterable[Ingress]) -> bool:
    """Return True if for each source of `one` there is one entry of `others` that lets it in, to the same ports."""
    open_ = [other for other in others if ports_within(one.ports, other.ports)]
    sources = [source for other in open_ for source in other.from_]
    return all(any(_source_within(each, source) for source in sources) for each in one.from_)


def ports_within(one: Collection[NetworkPort], other: Collection[NetworkPort]) -> bool:
    """Return True if each port of `one` is among those of `other`; none means all."""
    if not other:
        return True
    return bool(one) and all(any(_range_within(each, wide) for wide in other) for each in one)


def selector_within(one: LabelSelector, other: LabelSelector) -> bool:
    """Return True if `other` selects all that `one` selects."""
    asked = _requirements(one)
    return all(any(_implies(each, needed) for each in asked) for needed in _requirements(other))


def _range_within(one: NetworkPort, other: NetworkPort) -> bool:
    if one.protocol is not other.protocol:
        return False
    return other.port <= one.port and (one.end_port or one.port) <= (other.end_port or other.port)


def _source_within(one: IngressSource, other: IngressSource) -> bool:
    if one.cidr and other.cidr:
        return _block_within(one, other)
    return not one.cidr and not other.cidr and _pods_within(one, other)


def _pods_within(one: Destination | IngressSource, other: Destination | IngressSource) -> bool:
    """An absent selector of namespaces is the agent's own, which is among those that an empty one selects."""
    mine, theirs = one.namespace_selector, other.namespace_selector
    if theirs is None:
        is_home = mine is None
    elif mine is None:
        is_home = not _requirements(theirs)
    else:
        is_home = selector_within(mine, theirs)
    every = LabelSelector()
    return is_home and selector_within(one.pod_selector or every, other.pod_selector or every)


def _requirements(selector: LabelSelector) -> list[Requirement]:
    exact = [
        Requirement(key=key, operator=SelectorOperator.IN, values=(value,))
        for key, value in selector.match_labels.items()
    ]
    return [*exact, *selector.match_expressions]


def _implies(one: Requirement, other: Requirement) -> bool:
    """Return True if whatever fulfils `one` fulfils `other`; a label that is not there fulfils NotIn."""
    if one.key != other.key:
        return False
    mine, theirs = set(one.values), set(other.values)
    match other.operator:
        case SelectorOperator.IN:
            return one.operator is SelectorOperator.IN and mine <= theirs
        case SelectorOperator.EXISTS:
            return one.operator in (SelectorOperator.IN, SelectorOperator.EXISTS)
        case SelectorOperator.NOT_IN:
            if one.operator is SelectorOperator.IN:
                return not mine & theirs
            is_not_in = one.operator is SelectorOperator.NOT_IN and theirs <= mine
            return is_not_in or one.operator is SelectorOperator.DOES_NOT_EXIST
        case SelectorOperator.DOES_NOT_EXIST:
            return one.operator is SelectorOperator.DOES_NOT_EXIST


def _block_within(one: CidrDestination | IngressSource, other: CidrDestination | IngressSource) -> bool:
    mine, theirs = ip_network(one.cidr or ""), ip_network(other.cidr or "")
    if not _lies_in(mine, theirs):
        return False
    closed = [ip_network(each) for each in one.except_]
    gaps = [gap for gap in map(ip_network, other.except_) if gap.version == mine.version and gap.overlaps(mine)]
    return all(any(_lies_in(gap, each) for each in closed) for gap in gaps)


def _lies_in(one: _Block, other: _Block) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.subnet_of(other)
    return isinstance(other, IPv6Network) and one.subnet_of(other)
