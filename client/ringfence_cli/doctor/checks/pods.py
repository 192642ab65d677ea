"""Why a Deployment has not the replicas that it should have: what its pods say."""

from collections.abc import Iterator

from ringfence_cli.doctor.facts import Facts
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown, warning
from ringfence_kube.objects import Raw, condition, is_true, name_of, status_of


def check_deployment(facts: Facts, name: str, *, without: str) -> Iterator[Finding]:
    """All replicas of a Deployment are there; `without` says what does not work where none is."""
    if not facts.deployments.is_known:
        yield unknown(f"whether {name} runs", facts.deployments.hindrance)
        return
    found = facts.deployment(name)
    if found is None:
        yield broken(
            f"there is no Deployment {name} in namespace {facts.system}: {without}",
            "install it: helm install ringfence charts/ringfence, or kubectl apply -k deploy; if it lives in another "
            "namespace, name that: --operator-namespace",
        )
        return
    wanted = int(found["spec"].get("replicas", 1))
    ready = int(status_of(found).get("readyReplicas") or 0)
    if not wanted:
        fix = f"kubectl -n {facts.system} scale deployment/{name} --replicas=2"
        yield broken(f"{name} is scaled to 0: {without}", fix)
    elif ready < wanted:
        yield _lacking(facts, name, ready, wanted, without)
    else:
        image = found["spec"]["template"]["spec"]["containers"][0]["image"]
        yield ok(f"{name}: {ready} of {wanted} replicas ready, {image}")


def _lacking(facts: Facts, name: str, ready: int, wanted: int, without: str) -> Finding:
    troubles = [
        f"{name_of(pod)}: {trouble}"
        for pod in facts.pods.value
        if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == name and (trouble := trouble_of(pod))
    ]
    why = troubles[0] if troubles else facts.pods.hindrance or "it has no pods: kubectl describe its ReplicaSet"
    sentence = f"{name}: {ready} of {wanted} replicas ready ({why})"
    fix = f"kubectl -n {facts.system} describe pods -l app.kubernetes.io/name={name}, and their logs"
    if ready:
        return warning(sentence, fix)
    return broken(f"{sentence}: {without}", fix)


def trouble_of(pod: Raw) -> str:
    """Return why a pod is not ready, as scheduler and kubelet say it; empty if it is."""
    if is_true(pod, "Ready"):
        return ""
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled["status"] == "False":
        return f"{scheduled.get('reason', '')}: {scheduled.get('message', '')}"
    status = status_of(pod)
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    waiting = [said for each in containers if (said := _waiting(each))]
    ended = [said for each in containers if (said := _ended(each))]
    return "; ".join((waiting + ended)[:2]) or f"not ready, phase {status.get('phase', 'unknown')}"


def _waiting(container: Raw) -> str:
    found = (container.get("state") or {}).get("waiting") or {}
    reason, message = found.get("reason", ""), found.get("message", "")
    if reason in ("", "PodInitializing"):
        return ""
    return f"{container['name']} waits: {reason}" + (f", {message}" if message else "")


def _ended(container: Raw) -> str:
    found = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get("terminated")
    if not found or not found.get("exitCode"):
        return ""
    last = str(found.get("message", "")).strip().rpartition("\n")[2]
    return f"{container['name']} ended with {found['exitCode']} ({found.get('reason', '')})" + (
        f": {last}" if last else ""
    )
