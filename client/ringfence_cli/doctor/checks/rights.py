"""Who may do what: the operator, and people."""

from collections import defaultdict
from collections.abc import Iterator

from ringfence_cli.doctor.facts import Facts
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown, warning
from ringfence_kube.objects import named

_ROLES = ("view", "edit", "admin")
_MOST = 4


def check_roles(facts: Facts) -> Iterator[Finding]:
    """Kubernetes' own roles view, edit and admin hold for our kinds, too."""
    if not facts.roles.is_known:
        yield unknown("whether people's roles are there", facts.roles.hindrance)
        return
    missing = []
    for role in _ROLES:
        found = named(facts.roles.value, f"ringfence-{role}")
        labels = (found or {"metadata": {}})["metadata"].get("labels") or {}
        if labels.get(f"rbac.authorization.k8s.io/aggregate-to-{role}") != "true":
            missing.append(role)
    if missing:
        yield warning(
            f"Kubernetes' own role {' and '.join(missing)} says nothing of our kinds: only cluster administrators may "
            "use them",
            "kubectl apply -f deploy/rbac-users.yaml, or the chart with rbac.userRoles; or bind roles of your own",
        )
    else:
        yield ok("Kubernetes' own roles view, edit and admin hold for our kinds")


def check_operator_rights(facts: Facts) -> Iterator[Finding]:
    """The operator may do what it has to."""
    if not facts.lacking.is_known:
        yield unknown("whether the operator has its rights", facts.lacking.hindrance)
        return
    by_namespace = defaultdict(list)
    for need in facts.lacking.value:
        by_namespace[need.namespace].append(str(need))
    for namespace, lacking in by_namespace.items():
        more = f" and {len(lacking) - _MOST} more" if len(lacking) > _MOST else ""
        yield broken(
            f"the operator may not {', '.join(lacking[:_MOST])}{more}",
            _fix(namespace, facts.system),
        )
    if not by_namespace:
        yield ok("the operator has every right that it needs")


def _fix(namespace: str, system: str) -> str:
    if namespace in ("", "default", system):
        return "put roles and bindings back: kubectl apply -k deploy, or helm upgrade"
    return (
        f"where agents may live is the chart's rbac.namespaces: add {namespace} to it; without it, put roles and "
        "bindings back: kubectl apply -k deploy, or helm upgrade"
    )
