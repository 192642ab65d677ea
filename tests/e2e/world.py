"""What one test makes in the cluster, under names of its own, and takes away again when it ends."""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.e2e.kube import Body, Holds, Kube, Ran, address, address_of

IMAGE = "docker.io/library/python:3.11-slim-bookworm"
WAITING = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")
"""A command that runs until it is told to stop, and then stops at once."""
NO_REGISTRY = "127.0.0.1:1"
"""Where no registry answers, and the refusal comes at once."""
SMALL = {"requests": {"cpu": "10m", "memory": "16Mi"}}
"""Requests of which a small node takes a hundred."""
SCRIPTS = Path(__file__).parent / "scripts"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class World:
    """The cluster as one test sees it."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.tag = secrets.token_hex(3)
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def make(self, body: Body) -> Body:
        """Create an object that goes when the test ends."""
        made = self.kube.create(body)
        self._cleanup.callback(self.kube.delete, address_of(made))
        return made

    def on_exit(self, path: str) -> None:
        """Delete the object at `path`, which the test made itself, when the test ends."""
        self._cleanup.callback(self.kube.delete, path)

    def named(self, kind: str, name: str, *, namespace: str = "", api: str = "v1", **rest: Any) -> Body:
        """Create an object of the test's own namespace, or another one; `rest` are its top-level fields."""
        meta = {"name": f"{name}-{self.tag}", "namespace": namespace or self.namespace, **rest.pop("metadata", {})}
        return self.make({"apiVersion": api, "kind": kind, "metadata": meta, **rest})

    def agent(
        self, name: str = "agent", *, namespace: str = "", metadata: Body | None = None, **spec: Any
    ) -> "AgentHandle":
        """Create an Agent; without a command it waits until it is stopped."""
        if "command" not in spec and "args" not in spec:
            spec["command"] = list(WAITING)
        spec.setdefault("resources", SMALL)
        made = self.named(
            "Agent",
            name,
            namespace=namespace,
            api="ringfence.dev/v1alpha1",
            metadata=metadata or {},
            spec={"image": IMAGE, **spec},
        )
        return AgentHandle(self.kube, made["metadata"]["namespace"], made["metadata"]["name"])

    def policy(self, name: str = "policy", *, namespace: str = "", **spec: Any) -> str:
        """Create a SecurityPolicy and return its name."""
        made = self.named("SecurityPolicy", name, namespace=namespace, api="ringfence.dev/v1alpha1", spec=spec)
        return str(made["metadata"]["name"])

    def change_policy(self, name: str, *, namespace: str = "", **spec: Any) -> Body:
        return self.kube.merge(address("SecurityPolicy", namespace or self.namespace, name), {"spec": spec})

    def quota(self, *limits: Body, name: str = "quota", namespace: str = "", **spec: Any) -> "QuotaHandle":
        """Create a Quota; without a selector, it holds for those that name it."""
        body = {"limits": list(limits), **spec}
        made = self.named("Quota", name, namespace=namespace, api="ringfence.dev/v1alpha1", spec=body)
        return QuotaHandle(self.kube, made["metadata"]["namespace"], made["metadata"]["name"])

    def pod(self, name: str, *, namespace: str = "", labels: Body | None = None, **container: Any) -> "PodHandle":
        """Create a pod that is nobody's agent, and wait until it is ready."""
        spec = {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [
                {"name": "main", "image": IMAGE, "command": list(WAITING), "securityContext": RESTRICTED, **container}
            ],
        }
        made = self.named("Pod", name, namespace=namespace, metadata={"labels": labels or {}}, spec=spec)
        handle = PodHandle(self.kube, made["metadata"]["namespace"], made["metadata"]["name"])
        handle.until(is_pod_ready, seconds=60)
        return handle

    def new_namespace(self, name: str, **labels: str) -> str:
        """Create a namespace that enforces Pod Security `restricted`."""
        body = namespace_body(f"rf-{name}-{self.tag}", **labels)
        return str(self.make(body)["metadata"]["name"])

    def events_of(self, uid: str) -> list[Body]:
        """Return the Events about one object, the oldest first."""
        return self.kube.items(address("Event"), fieldSelector=f"involvedObject.uid={uid}")

    def until_event(self, uid: str, holds: Callable[[Body], bool], *, seconds: float = 20) -> Body:
        """Return an Event about the object that `holds` is true of: it follows the status that it tells of."""
        deadline = time.monotonic() + seconds
        while True:
            events = self.events_of(uid)
            for event in events:
                if holds(event):
                    return event
            assert time.monotonic() < deadline, [(each["reason"], each["message"]) for each in events]
            time.sleep(0.1)


class _Handle:
    kind = ""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.name = name

    @property
    def path(self) -> str:
        return address(self.kind, self.namespace, self.name)

    def get(self) -> Body:
        found = self.kube.get(self.path)
        assert found is not None, f"{self.path} is gone"
        return found

    def until(self, holds: Holds, *, seconds: float = 90) -> Body:
        """Return the object once `holds` is true of it; it must exist by then."""
        found = self.kube.until(self.path, holds, seconds=seconds)
        assert found is not None
        return found

    def until_gone(self, *, seconds: float = 90) -> None:
        self.kube.until(self.path, lambda found: found is None, seconds=seconds)

    def delete(self, **options: object) -> None:
        self.kube.delete(self.path, **options)


class PodHandle(_Handle):
    """A pod, and commands in it."""

    kind = "Pod"

    def ips(self) -> list[str]:
        return [each["ip"] for each in self.get()["status"]["podIPs"]]

    def exec(self, *argv: str, seconds: float = 20, container: str = "") -> Ran:
        return self.kube.exec(self.namespace, self.name, list(argv), seconds=seconds, container=container)

    def output(self, *argv: str, seconds: float = 20, container: str = "") -> str:
        """Return what the command printed; it must succeed."""
        ran = self.exec(*argv, seconds=seconds, container=container)
        assert ran.code == 0, f"{[word[:200] for word in argv]} ended with {ran.code}: {ran.err or ran.out}"
        return ran.out

    def script(
        self, name: str, *arguments: object, seconds: float = 20, container: str = "", python: str = "python3"
    ) -> Any:
        """Run one of `scripts/` with the arguments as JSON, and return what it printed as JSON."""
        source = (SCRIPTS / f"{name}.py").read_text()
        command = [python, "-c", source, *map(json.dumps, arguments)]
        return json.loads(self.output(*command, seconds=seconds, container=container))

    def containers(self) -> list[str]:
        return [each["name"] for each in self.get()["spec"]["containers"]]

    def logs(self) -> str:
        return self.kube.log(self.path)


class AgentHandle(_Handle):
    """An Agent, and the pod that it has."""

    kind = "Agent"

    @property
    def pod(self) -> PodHandle:
        return PodHandle(self.kube, self.namespace, self.name)

    def until_ready(self, *, seconds: float = 90) -> Body:
        return self.until(is_ready, seconds=seconds)

    def until_reason(self, reason: str, *, seconds: float = 90) -> Body:
        """Return the agent once its Ready condition (Suspended, while it is suspended) has this reason."""
        return self.until(lambda found: reason_of(found) == reason, seconds=seconds)

    def until_pod_replaced(self, before: Body, *, seconds: float = 90) -> Body:
        """Return the agent once it is ready with another pod than `before` had."""
        old = before["status"]["podUID"]
        return self.until(lambda it: it is not None and is_ready(it) and it["status"]["podUID"] != old, seconds=seconds)

    def change(self, **spec: Any) -> Body:
        return self.kube.merge(self.path, {"spec": spec})


class QuotaHandle(_Handle):
    """A Quota."""

    kind = "Quota"

    @property
    def ref(self) -> Body:
        """What an Agent names it by."""
        return {"name": self.name}

    def change(self, *limits: Body) -> Body:
        """Have these limits instead."""
        return self.kube.merge(self.path, {"spec": {"limits": list(limits)}})

    def row(self, resource: str) -> Body:
        """Return where a limit stands."""
        return limit_row(self.get(), resource)


def limit_row(quota: Body | None, resource: str) -> Body:
    """Return where a quota's limit stands, as its status says; an empty one before it does."""
    rows = (quota or {}).get("status", {}).get("limits") or ()
    return next((each for each in rows if each["resource"] == resource), {})


def namespace_body(name: str, **labels: str) -> Body:
    enforced = {"pod-security.kubernetes.io/enforce": "restricted", "ringfence-e2e": "true"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**enforced, **labels}}}


def condition(body: Body | None, kind: str) -> Body | None:
    conditions = (body or {}).get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), None)


def is_true(body: Body | None, kind: str) -> bool:
    found = condition(body, kind)
    return found is not None and found["status"] == "True"


def is_current(body: Body | None) -> bool:
    """True if the status is about the spec as it is now."""
    return body is not None and body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]


def is_ready(body: Body | None) -> bool:
    return is_current(body) and is_true(body, "Ready")


def is_pod_ready(body: Body | None) -> bool:
    return is_true(body, "Ready")


def reason_of(body: Body | None) -> str:
    """Return why the agent is or is not ready, by a status that is about its present spec."""
    found = condition(body, "Ready") or condition(body, "Suspended")
    return str(found["reason"]) if found and is_current(body) else ""


def message_of(body: Body | None) -> str:
    found = condition(body, "Ready") or condition(body, "Suspended")
    return str(found["message"]) if found else ""


def effective(body: Body, name: str) -> tuple[str, str] | None:
    """Return a value in force and its source, as `status.effective` has them."""
    rows = {each["name"]: (each["value"], each["source"]) for each in body["status"].get("effective", [])}
    return rows.get(name)
