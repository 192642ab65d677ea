from typing import Any

from ringfence_operator.resources.port_set import Domain, PortSet


def port_set(block: int, *allowed: str, version: str = "1", blocked: tuple[str, ...] = (), **more: Any) -> PortSet:
    """Return a port set; a name may carry one port after a colon, else it means 80 and 443."""
    return PortSet(
        block=block,
        policy=more.get("policy", "team/web"),
        version=version,
        address="10.0.0.1",
        is_audit=more.get("is_audit", False),
        allowed=more.get("domains", tuple(_domain(each, (80, 443)) for each in allowed)),
        blocked=more.get("blocks", tuple(_domain(each, ()) for each in blocked)),
        services={},
        further=more.get("further", {}),
        doors=more.get("doors"),
        is_metered=more.get("is_metered", False),
    )


def _domain(text: str, usual: tuple[int, ...]) -> Domain:
    name, _, port = text.partition(":")
    return Domain(name, (int(port),) if port else usual)
