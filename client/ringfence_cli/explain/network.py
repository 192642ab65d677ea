"""What an agent's policy opens to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ringfence_cli.explain.line import Line
from ringfence_kube.objects import Raw, name_of

_USUAL = (80, 443)


@dataclass(frozen=True, slots=True)
class Rule:
    """Which SecurityPolicy holds for an agent; without a name, none does."""

    name: str = ""
    policy: Raw | None = None
    """The object; None where there is none of that name, or we may not see it."""
    is_unseen: bool = False
    """True if there may be one, and we cannot see it."""
    is_default: bool = False
    """True if the agent names none, and it is the cluster's default."""

    def __str__(self) -> str:
        """Name it as a source."""
        if not self.name:
            return "no SecurityPolicy"
        return f"SecurityPolicy {self.name}" + (", the cluster's default" if self.is_default else "")


def network_lines(agent: Raw, rule: Rule, *, isolation: str) -> Iterator[Line]:
    """Yield every way out of the agent's pod and into it."""
    if isolation == "None":
        yield Line("everything", "is open, both ways: nothing closes isolation None", f"Agent {name_of(agent)}")
        return
    if rule.is_unseen:
        yield Line("unknown", "what the policy opens cannot be seen", str(rule))
        return
    opened = list(_opened(rule.policy["spec"].get("network") or {})) if rule.policy else []
    if not opened:
        missing = ": the policy does not exist" if rule.name and rule.policy is None else ""
        yield Line("nothing", f"both ways are closed{missing}", str(rule))
    for name, value in opened:
        yield Line(name, value, str(rule))


def _opened(network: Raw) -> Iterator[tuple[str, str]]:
    if not network.get("enabled", True):
        return
    if network.get("mode") == "Audit":
        yield "names", "every one, and what Enforce would refuse is told (mode: Audit)"
    for each in network.get("allowedDomains") or ():
        yield "name", f"{each['name']} on {_numbers(each.get('ports') or _USUAL)}"
    for each in network.get("blockedDomains") or ():
        ports = f" on {_numbers(each['ports'])}" if each.get("ports") else ""
        yield "never", f"{each['name']}{ports}, whatever is allowed"
    for each in network.get("destinations") or ():
        yield "cluster", _destination(each)
    for each in network.get("cidrs") or ():
        but = f" but {', '.join(each['except'])}" if each.get("except") else ""
        yield "addresses", f"{each['cidr']}{but}{_ports(each.get('ports'))}"
    for rule in network.get("ingress") or ():
        for each in rule["from"]:
            who = each.get("cidr") or _pods(each)
            yield "may be reached", f"by {who}{_ports(rule.get('ports'))}"


def _destination(found: Raw) -> str:
    service = found.get("service")
    if service:
        place = f" in {service['namespace']}" if service.get("namespace") else ""
        return f"Service {service['name']}{place}, by its name"
    return f"{_pods(found)}{_ports(found.get('ports'))}"


def _pods(found: Raw) -> str:
    pods, namespaces = found.get("podSelector"), found.get("namespaceSelector")
    who = f"pods {_selector(pods)}" if pods else "all pods"
    if namespaces is None:
        return f"{who} of this namespace"
    return f"{who} of namespaces {_selector(namespaces)}" if namespaces else f"{who} of all namespaces"


def _selector(selector: Raw) -> str:
    labels = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    conditions = [
        " ".join(filter(None, (each["key"], each["operator"], "|".join(each.get("values") or ()))))
        for each in selector.get("matchExpressions") or ()
    ]
    return ",".join(labels + conditions)


def _ports(ports: Iterable[Raw] | None) -> str:
    found = [
        f"{each['port']}{'-' + str(each['endPort']) if each.get('endPort') else ''}/{each.get('protocol', 'TCP')}"
        for each in ports or ()
    ]
    return f" on {', '.join(found)}" if found else " on every port"


def _numbers(ports: Iterable[int]) -> str:
    return ", ".join(str(each) for each in ports)
