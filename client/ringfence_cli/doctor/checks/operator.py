"""The operator: whether it runs, and whether one of its replicas leads."""

from collections.abc import Iterator

from ringfence_cli.doctor.checks.pods import check_deployment
from ringfence_cli.doctor.facts import OPERATOR, Facts
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown
from ringfence_cli.output.ages import duration
from ringfence_kube.objects import time_of

_PATIENCE = 3
"""A Lease that was not renewed for so many times its length is nobody's."""


def check_operator(facts: Facts) -> Iterator[Finding]:
    """Its replicas run."""
    return check_deployment(facts, OPERATOR, without="no agent is started or looked after")


def check_leader(facts: Facts) -> Iterator[Finding]:
    """One of them leads."""
    if not facts.lease.is_known:
        yield unknown("which replica leads", facts.lease.hindrance)
        return
    if facts.setting("LEADER_ELECT") == "false":
        yield ok("RINGFENCE_OPERATOR_LEADER_ELECT is false: the one replica writes without a Lease")
        return
    spec = (facts.lease.value or {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    fix = f"see the operator's log: kubectl -n {facts.system} logs -l app.kubernetes.io/name={OPERATOR} -c operator"
    if not holder or not renewed:
        yield broken(f"no replica of the operator leads: nobody holds Lease {facts.system}/{OPERATOR}", fix)
        return
    silent = (facts.now - time_of(renewed)).total_seconds()
    if silent > _PATIENCE * int(spec.get("leaseDurationSeconds") or 10):
        yield broken(f"no replica leads: {holder} last renewed the Lease {duration(silent)} ago", fix)
    else:
        yield ok(f"{holder} leads")
