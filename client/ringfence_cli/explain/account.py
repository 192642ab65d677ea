"""What an agent may do, with the object that each thing comes from, and what it was denied: pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass

from ringfence_cli.audit import Entry
from ringfence_cli.explain.backend import permissions
from ringfence_cli.explain.line import Line
from ringfence_cli.explain.network import Rule, network_lines
from ringfence_cli.explain.pool import pool_lines
from ringfence_cli.usage import holding_for, of_agent, uses
from ringfence_kube.objects import Raw, condition, full_name, is_selected, name_of, named, status_of

_SOURCES = {
    "Default": "the operator's defaults",
    "Ceiling": "the operator's ceiling",
    "Cluster": "what the cluster can do",
}
_MOST = 10
_WORRIES = ("Enforced", "NetworkClosed", "SidecarOutdated", "LimitsOutdated", "Stalled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of an agent. What could not be looked at is empty, and `unseen` says so."""

    agent: Raw
    rule: Rule
    quotas: tuple[Raw, ...] = ()
    """All of the namespace."""
    connectors: tuple[Raw, ...] = ()
    pod: Raw | None = None
    pool: Raw | None = None
    """The AgentPool that it names."""
    audit: tuple[Entry, ...] = ()
    """The last calls, the oldest first."""
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Sections by their titles, in order; a section without lines is there, too."""

    agent: str
    state: str
    reason: str
    message: str
    sections: dict[str, list[Line]]
    unseen: tuple[str, ...]


def account(known: Known) -> Account:
    """Return what to say of an agent."""
    agent = known.agent
    ready = condition(agent, "Ready") or condition(agent, "Suspended") or {}
    sections = {
        **({"pool": list(pool_lines(agent, known.pod, known.pool))} if agent["spec"].get("poolRef") else {}),
        "limits": list(_limits(agent)),
        "quotas": list(_quotas(known)),
        "network": list(network_lines(agent, known.rule, isolation=_isolation(agent))),
        "connectors": list(_connectors(known)),
        "denied lately": list(_denied(known)),
        "worth knowing": list(_worries(agent)),
    }
    return Account(
        agent=full_name(agent),
        state=str(status_of(agent).get("state", "not looked at yet")),
        reason=str(ready.get("reason", "")),
        message=str(ready.get("message", "")),
        sections=sections,
        unseen=known.unseen,
    )


def _limits(agent: Raw) -> Iterator[Line]:
    policy = (agent["spec"].get("securityPolicyRef") or {}).get("name")
    own = {
        "Agent": f"Agent {name_of(agent)}",
        "SecurityPolicy": f"SecurityPolicy {policy}" if policy else "the cluster's default SecurityPolicy",
        "Isolation": f"isolation {_isolation(agent)}",
        **_SOURCES,
    }
    for each in status_of(agent).get("effective") or ():
        source = each["source"]
        name = f"Quota {each['object']}" if source == "Quota" and each.get("object") else own.get(source, source)
        yield Line(each["name"], each["value"], name)


def _isolation(agent: Raw) -> str:
    rows = status_of(agent).get("effective") or ()
    found = next((each["value"] for each in rows if each["name"] == "isolation"), None)
    return str(found or agent["spec"].get("isolation", "Container"))


def _quotas(known: Known) -> Iterator[Line]:
    for quota in holding_for(known.agent, list(known.quotas)):
        for use in of_agent(name_of(known.agent), quota):
            used = f"{use.used} of {use.max} used" if use.used else f"at most {use.max}"
            shared = ", shared with others" if use.scope == "Shared" else ""
            yield Line(use.limit, f"{used}{shared}", f"Quota {use.quota}")
    wanted = (known.agent["spec"].get("quotaRef") or {}).get("name")
    if wanted and known.quotas and named(known.quotas, wanted) is None:
        yield Line("all", "refused: the Quota does not exist", f"Quota {wanted}")


def _connectors(known: Known) -> Iterator[Line]:
    labels = known.agent["metadata"].get("labels") or {}
    for each in known.agent["spec"].get("connectors") or ():
        connector = named(known.connectors, each["name"])
        source = f"Connector {each['name']}"
        if connector is None:
            yield Line(each["name"], "nothing: the Connector does not exist, or cannot be seen", source)
        elif not is_selected(connector["spec"]["agentSelector"], labels):
            yield Line(each["name"], "nothing: its agentSelector does not match the agent's labels", source)
        else:
            for what in permissions(connector):
                yield Line(each["name"], what, source)
            yield Line(each["name"], _health(connector), source)


def _health(connector: Raw) -> str:
    ready = condition(connector, "Ready") or {}
    status = status_of(connector)
    healthy = status.get("healthyEndpoints", "")
    return f"{ready.get('reason', 'not looked at yet')}" + (f", endpoints {healthy}" if healthy else "")


def _denied(known: Known) -> Iterator[Line]:
    """Yield refusals: those of this agent, then those of everybody under its policy."""
    for entry in [each for each in known.audit if each.is_refused][-_MOST:]:
        yield Line(entry.time, f"{entry.what}: {entry.summary or entry.outcome}", entry.why or "audit")
    name = name_of(known.agent)
    for quota in holding_for(known.agent, list(known.quotas)):
        rows = {
            (each["resource"], each["window"], each["scope"]): each for each in status_of(quota).get("limits") or ()
        }
        for use in uses(quota):
            last = rows.get((use.resource, use.window, use.scope), {}).get("lastRefusal") or {}
            if last.get("agent") == name:
                yield Line(last["time"], f"{use.limit}: the limit of {use.max} was used up", f"Quota {use.quota}")
    if known.rule.policy:
        yield from _names(known.rule.policy)


def _names(policy: Raw) -> Iterator[Line]:
    status, network = status_of(policy), policy["spec"].get("network") or {}
    verb = "would be refused under Enforce" if network.get("mode") == "Audit" else "refused"
    denied = sorted(status.get("deniedDomains") or (), key=lambda each: str(each["lastSeen"]), reverse=True)
    agents = status.get("agents", 0)
    whose = "" if agents == 1 else f" (its {agents} agents together)"
    source = f"SecurityPolicy {name_of(policy)}{whose}"
    for each in denied[:_MOST]:
        what = "look-up of " if each["port"] == 53 else ""  # noqa: PLR2004 - the port of DNS
        port = "" if what else f":{each['port']}"
        yield Line(each["lastSeen"], f"{what}{each['name']}{port} {verb}{_times(each['count'])}", source)


def _times(count: int) -> str:
    return "" if count == 1 else f", {count} times"


def _worries(agent: Raw) -> Iterator[Line]:
    for kind in _WORRIES:
        found = condition(agent, kind)
        if found and (found["status"] == "True") is not (kind == "Enforced"):
            yield Line(kind, f"{found['reason']}: {found.get('message', '')}", f"Agent {name_of(agent)}")
    last = status_of(agent).get("lastExit")
    if last and last.get("code"):
        killed = ", killed at its memory limit" if last.get("oomKilled") else ""
        yield Line("last exit", f"code {last['code']}{killed}, {last.get('time', '')}", f"Agent {name_of(agent)}")
