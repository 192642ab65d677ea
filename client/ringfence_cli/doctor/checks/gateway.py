"""The egress gateway, or who judges names in its place."""

from collections.abc import Iterator

from ringfence_cli.doctor.checks.pods import check_deployment
from ringfence_cli.doctor.facts import GATEWAY, Facts
from ringfence_cli.doctor.finding import Finding, Level, broken, ok, unknown
from ringfence_kube.objects import Raw, condition, full_name

_UNCONNECTED = "GatewayUnavailable"


def check_gateway(facts: Facts) -> Iterator[Finding]:
    """Its replicas run and are connected, where names are judged by it."""
    backend = facts.setting("EGRESS_BACKEND", "envoy")
    if backend != "envoy":
        yield ok(f"there is no gateway: RINGFENCE_OPERATOR_EGRESS_BACKEND is {backend}")
        return
    runs = list(check_deployment(facts, GATEWAY, without="nothing leaves by name"))
    yield from runs
    if any(each.level is Level.BROKEN for each in runs):
        return  # what does not run is not connected, either
    cut = [each for each in (*facts.policies.value, *facts.connectors.value) if _is_cut(each)]
    if cut:
        yield broken(
            f"no replica of the gateway is connected to the operator: {full_name(cut[0])} says so, {len(cut)} in all",
            f"see the log of its container names: kubectl -n {facts.system} logs -l app.kubernetes.io/name={GATEWAY} "
            "-c names; Service ringfence-control must lead to the operator's leader on port 18000",
        )


def check_cilium(facts: Facts) -> Iterator[Finding]:
    """CiliumNetworkPolicies can be written, where Cilium is to judge names."""
    if facts.setting("EGRESS_BACKEND", "envoy") != "cilium":
        return
    if not facts.cilium.is_known:
        yield unknown("whether CiliumNetworkPolicies are served", facts.cilium.hindrance)
    elif not facts.cilium.value:
        yield broken(
            "Cilium is to judge names, and the API server has no CiliumNetworkPolicies (cilium.io/v2): nothing leaves "
            "by name",
            "install Cilium 1.19 or later, or start the operator with RINGFENCE_OPERATOR_EGRESS_BACKEND=envoy (the "
            "chart's settings.egressBackend); see docs/operations/cilium.md",
        )
    else:
        yield ok("CiliumNetworkPolicies are served")


def _is_cut(found: Raw) -> bool:
    return (condition(found, "Ready") or {}).get("reason") == _UNCONNECTED
