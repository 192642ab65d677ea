"""Every check by its name, in the order in which people mend things: each is a pure function of the facts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ringfence_cli.doctor.checks import (
    cluster,
    control,
    gateway,
    kinds,
    network,
    objects,
    operator,
    pools,
    rights,
    shared,
)
from ringfence_cli.doctor.facts import Facts
from ringfence_cli.doctor.finding import Finding, Level

CHECKS: Mapping[str, Callable[[Facts], Iterable[Finding]]] = {
    "kubernetes": cluster.check_version,
    "kinds": kinds.check_kinds,
    "roles": rights.check_roles,
    "operator": operator.check_operator,
    "operator-rights": rights.check_operator_rights,
    "leader": operator.check_leader,
    "control": control.check_control,
    "certificates": control.check_certificate,
    "authorities": control.check_authorities,
    "gateway": gateway.check_gateway,
    "cilium": gateway.check_cilium,
    "network": network.check_enforcement,
    "network-policies": network.check_own_policies,
    "guard": network.check_guard,
    "runtime-classes": cluster.check_runtime_classes,
    "user-namespaces": cluster.check_user_namespaces,
    "sidecars": shared.check_sidecar_image,
    "redis": shared.check_redis,
    "default-policy": shared.check_default_policy,
    "policies": objects.check_policies,
    "connectors": objects.check_connectors,
    "quotas": objects.check_quotas,
    "pools": pools.check_pools,
    "agents": objects.check_agents,
}


def judge(facts: Facts) -> list[Finding]:
    """Return what every check says, each finding with its check's name."""
    return [replace(finding, check=name) for name, check in CHECKS.items() for finding in check(facts)]


def unreachable(sentence: str) -> list[Finding]:
    """Return what to say where no API server answers."""
    fix = "see that the kubeconfig's server is right and runs, and that nothing lies between (VPN, proxy, firewall)"
    return [Finding(Level.BROKEN, sentence, fix, "api-server")]
