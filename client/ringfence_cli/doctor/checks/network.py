"""Whether what NetworkPolicies close is closed."""

import json
from collections.abc import Iterator
from typing import Any

from ringfence_cli.doctor.checks.pods import trouble_of
from ringfence_cli.doctor.facts import GUARDS, Facts
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown, warning
from ringfence_kube.objects import Raw, named, status_of

PROBE = "ringfence-network-probe"
_PAGE = "docs/operations/network-probe.md"
_OWN = {
    PROBE: "the operator cannot find out whether NetworkPolicies are enforced",
    "ringfence-operator": "whatever runs in the cluster may knock at the operator's doors",
    "gateway-base": "the gateway reaches neither the operator nor a name server",
}


def check_enforcement(facts: Facts) -> Iterator[Finding]:
    """The operator's probe found the cluster to enforce NetworkPolicies."""
    if not facts.pods.is_known:
        yield unknown("whether NetworkPolicies are enforced", facts.pods.hindrance)
        return
    settings = facts.settings()
    if settings is not None and not settings.get("PROBE_IMAGE"):
        yield warning(
            "nobody looks whether the cluster enforces NetworkPolicies; they are taken to be",
            "set RINGFENCE_OPERATOR_PROBE_IMAGE=own (the chart's settings.probeImage)",
        )
        return
    prober = named(facts.pods.value, PROBE)
    verdict = _verdict(prober) if prober else None
    if verdict is None:
        why = trouble_of(prober) if prober else "there is no pod of the probe yet"
        yield warning(
            f"whether the cluster enforces NetworkPolicies is not known yet ({why}): new agents wait", f"see {_PAGE}"
        )
        return
    yield _judged(facts, verdict)


def _judged(facts: Facts, verdict: dict[str, Any]) -> Finding:
    reached = [name for name in ("pod", "kubelet") if verdict.get(name) == "open"]
    late = [name for name in ("pod", "kubelet") if verdict.get(name) == "late"]
    if reached:
        names = " and ".join({"pod": "another pod", "kubelet": "its node's kubelet"}[each] for each in reached)
        fix = (
            f"use a network plug-in that enforces NetworkPolicy, or switch it on there ({_PAGE}); then kubectl -n "
            f"{facts.system} delete pod {PROBE}, to have it looked at again"
        )
        return broken(
            f"the cluster does not enforce NetworkPolicies: a pod that may reach nothing reached {names}", fix
        )
    if facts.setting("ALLOW_UNENFORCED_NETWORK") == "true":
        return warning(
            "agents would run although NetworkPolicies were not enforced",
            "leave RINGFENCE_OPERATOR_ALLOW_UNENFORCED_NETWORK out: it is for development",
        )
    if late:
        return warning(
            "the network plug-in closes a pod only some time after it started: until then an agent is open",
            f"see {_PAGE}",
        )
    return ok("the cluster enforces NetworkPolicies: a pod that may reach nothing reached nothing")


def check_own_policies(facts: Facts) -> Iterator[Finding]:
    """Our own pods are closed."""
    if not facts.network_policies.is_known:
        yield unknown("whether our own pods are closed", facts.network_policies.hindrance)
        return
    is_envoy = facts.setting("EGRESS_BACKEND", "envoy") == "envoy"
    wanted = [each for each in _OWN if is_envoy or each != "gateway-base"]
    missing = [each for each in wanted if named(facts.network_policies.value, each) is None]
    for name in missing:
        yield broken(
            f"NetworkPolicy {facts.system}/{name} is missing: {_OWN[name]}",
            "put it back: kubectl apply -k deploy, or helm upgrade",
        )
    if not missing:
        yield ok("the NetworkPolicies of our own pods are there")


def check_guard(facts: Facts) -> Iterator[Finding]:
    """What others write cannot loosen what confines agents."""
    if not facts.unguarded.is_known:
        yield unknown("whether the guards are there", facts.unguarded.hindrance)
        return
    for name, danger in GUARDS.items():
        missing = next((each for each in facts.unguarded.value if each.endswith(f" {name}")), None)
        if missing:
            yield warning(
                f"{missing} is missing: {danger}", "kubectl apply -f deploy/guard.yaml, or the chart with guard.enabled"
            )
    if not facts.unguarded.value:
        yield ok("what others write to loosen what confines agents is refused")


def _verdict(prober: Raw) -> dict[str, Any] | None:
    """Return what the probe's pod left as its termination message; None if it has not ended well."""
    if status_of(prober).get("phase") != "Succeeded":
        return None
    for container in status_of(prober).get("containerStatuses") or ():
        text = ((container.get("state") or {}).get("terminated") or {}).get("message", "")
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None
