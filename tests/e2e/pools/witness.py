"""Follows every pod of a namespace: plays the kubelet of those that no node takes, and notes whose each has been."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException

from tests.e2e.kube import Body, Kube, RefusedError, address
from tests.e2e.world import IMAGE, is_pod_ready

AGENT = "ringfence.dev/agent"


@dataclass
class Witness:
    """What was seen. `owners` has by each pod's UID the UIDs of all agents that it ever was."""

    kube: Kube
    namespace: str
    owners: dict[str, set[str]] = field(default_factory=dict)
    returned: set[str] = field(default_factory=set)
    """UIDs of pods that were an agent's, and then were not."""

    @contextmanager
    def following(self) -> Iterator["Witness"]:
        """Follow until the block ends, or the API server does; from the pods that are there."""
        listed = self.kube.request("GET", address("Pod", self.namespace))
        for pod in listed["items"]:
            self._see(pod)
        with self.kube.watching(address("Pod", self.namespace), listed["metadata"]["resourceVersion"]) as events:
            thread = threading.Thread(target=self._follow, args=(events,), daemon=True)
            thread.start()
            yield self
        thread.join(10)

    def _follow(self, events: Iterator[Body]) -> None:
        for event in events:
            if event["type"] in ("ADDED", "MODIFIED"):
                self._see(event["object"])

    def _see(self, pod: Body) -> None:
        self._note(pod["metadata"])
        if not is_pod_ready(pod) and "deletionTimestamp" not in pod["metadata"]:
            self._start(pod["metadata"]["name"])

    def _note(self, meta: Body) -> None:
        found = {each["uid"] for each in meta.get("ownerReferences", ()) if each["kind"] == "Agent"}
        ever = self.owners.setdefault(meta["uid"], set())
        ever |= found
        if ever and (not found or AGENT not in meta["labels"]):
            self.returned.add(meta["uid"])

    def _start(self, pod: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        container = {
            "name": "agent",
            "image": IMAGE,
            "imageID": "none",
            "restartCount": 0,
            "ready": True,
            "started": True,
            "state": {"running": {"startedAt": now}},
        }
        true = [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ]
        status = {"phase": "Running", "startTime": now, "conditions": true, "containerStatuses": [container]}
        # It may be gone, or be claimed at this moment; or the API server is.
        with suppress(RefusedError, OSError, HTTPException):
            self.kube.merge(f"{address('Pod', self.namespace, pod)}/status", {"status": status})
