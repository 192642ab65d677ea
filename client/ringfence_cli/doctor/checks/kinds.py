"""The kinds: whether the API server serves them."""

from collections.abc import Iterator

from ringfence_cli.doctor.facts import Facts
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown
from ringfence_kube.objects import KINDS, Raw, condition, named

_INSTALL = "install the CRDs: kubectl apply --server-side -f crds/, or the chart with crds.enabled"


def check_kinds(facts: Facts) -> Iterator[Finding]:
    """All kinds of this version are served, with their statuses."""
    if not facts.served.is_known:
        yield unknown("which kinds are served", facts.served.hindrance)
        return
    served = {each["name"] for each in facts.served.value}
    missing = [kind for resource, kind in KINDS.items() if resource not in served]
    for resource, kind in KINDS.items():
        if kind in missing:
            crd = named(facts.crds.value, f"{resource}.ringfence.dev")
            yield broken(f"the API server has no kind {kind}{_why(crd)}", _INSTALL)
        elif f"{resource}/status" not in served:
            yield broken(f"kind {kind} has no status: its CRD is not this version's", _INSTALL)
    if not missing:
        yield ok(f"{', '.join(KINDS.values())} are served as ringfence.dev/v1alpha1")


def _why(crd: Raw | None) -> str:
    """Return why a CRD that is there is not served."""
    if crd is None:
        return ""
    bad = [condition(crd, "NamesAccepted"), condition(crd, "Established")]
    said = next((each.get("message") for each in bad if each and each["status"] != "True"), "")
    return f", although its CRD is there: {said}" if said else ", although its CRD is there: it is of another version"
