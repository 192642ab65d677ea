"""What the cluster itself brings along."""

import re
from collections.abc import Iterator

from ringfence_cli.doctor.facts import Facts
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown, warning
from ringfence_kube.objects import Raw, full_name, name_of

OLDEST = (1, 33)
_SANDBOXES = "gvisor,kata"
_MISSING = "install the runtime and its RuntimeClass, or name another one"


def check_version(facts: Facts) -> Iterator[Finding]:
    """The API server is new enough."""
    version = facts.version.value
    numbers = tuple(int(re.sub(r"\D", "", str(version.get(part, ""))) or 0) for part in ("major", "minor"))
    words = f"Kubernetes {version.get('gitVersion', 'of an unknown version')}"
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield broken(f"{words} is too old: Ringfence needs {wanted}", f"upgrade the cluster to {wanted} or later")
    else:
        yield ok(words)


def check_runtime_classes(facts: Facts) -> Iterator[Finding]:
    """What isolation Secure and policies need of RuntimeClasses is there."""
    if not facts.runtime_classes.is_known:
        yield unknown("which RuntimeClasses there are", facts.runtime_classes.hindrance)
        return
    there = {name_of(each) for each in facts.runtime_classes.value}
    absent = [(each, name) for each in facts.policies.value if (name := _wanted(each)) and name not in there]
    for policy, name in absent:
        yield broken(f"{full_name(policy)} asks for RuntimeClass {name}, which the cluster does not have", _MISSING)
    sandboxes = facts.setting("SANDBOXED_RUNTIME_CLASSES", _SANDBOXES).split(",")
    names = " or ".join(sandboxes)
    found = [name for name in sandboxes if name in there]
    secure = [each for each in facts.agents.value if each["spec"].get("isolation") == "Secure"]
    if found:
        yield ok(f"agents with isolation Secure run under RuntimeClass {found[0]}")
    elif secure or facts.setting("MINIMUM_ISOLATION") == "Secure":
        who = full_name(secure[0]) if secure else "every agent (RINGFENCE_OPERATOR_MINIMUM_ISOLATION)"
        yield broken(f"{who} wants isolation Secure, and there is no RuntimeClass {names}", _MISSING)
    elif not absent:
        yield ok(f"no agent wants isolation Secure, which would need RuntimeClass {names}")


def check_user_namespaces(facts: Facts) -> Iterator[Finding]:
    """Nodes give agents user namespaces."""
    if not facts.nodes.is_known:
        yield unknown("whether nodes have user namespaces", facts.nodes.hindrance)
        return
    without = [name_of(each) for each in facts.nodes.value if not _has_user_namespaces(each)]
    if without:
        yield warning(
            f"no user namespaces on {', '.join(without)}: where not every node has them, user 0 of a container is the "
            "node's",
            "use a container runtime and a kernel that have them (containerd 2, Linux 6.3), or go without",
        )
    else:
        yield ok(f"user namespaces on all nodes ({len(facts.nodes.value)})")


def _has_user_namespaces(node: Raw) -> bool:
    if node["metadata"].get("labels", {}).get("ringfence.dev/user-namespaces") == "false":
        return False
    handlers = node.get("status", {}).get("runtimeHandlers") or ()
    return any((each.get("features") or {}).get("userNamespaces") for each in handlers)


def _wanted(policy: Raw) -> str:
    return str(policy["spec"].get("runtimeClassName") or "")
