"""Where traces and audit lines go in these tests: a collector that asks for a token, and a stream of the broker."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.connectors.calls import BACKENDS, BROKER_PASSWORD
from tests.e2e.world import SCRIPTS, PodHandle, World

TOKEN = "what-sidecars-show-to-the-collector"
WRITER = ("audit", "demo-audit")
STREAM = "ringfence-audit"
PORT = 4318
PYTHON = "/app/bin/python"

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sinks:
    """The collector's pod, which has what it takes to read the stream, too."""

    pod: PodHandle
    service: str
    address: str

    @classmethod
    def in_cluster(cls, world: World, *, image: str) -> "Sinks":
        labels = {"app": "collector"}
        command = [PYTHON, "-c", (SCRIPTS / "collect.py").read_text(), str(PORT), TOKEN]
        probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
        pod = world.pod("collector", labels=labels, image=image, command=command, readinessProbe=probe)
        service = world.named("Service", "collector", spec={"selector": labels, "ports": [{"port": PORT}]})
        return cls(pod, service["metadata"]["name"], service["spec"]["clusterIP"])

    @property
    def settings(self) -> dict[str, str]:
        """The operator's."""
        return {
            "collector_service": f"{self.pod.namespace}/{self.service}",
            "collector_port": str(PORT),
            "collector_token": "/etc/ringfence/telemetry/token",
            "audit_stream_service": f"{BACKENDS}/rabbitmq",
            "audit_stream_credential": "/etc/ringfence/telemetry/stream",
        }

    def collected(self, holds: Callable[[list[Line]], bool]) -> list[Line]:
        """Return what the collector has, once it has what is asked for."""
        deadline = time.monotonic() + 60
        while True:
            found = [json.loads(line) for line in self.pod.logs().splitlines()]
            if holds(found):
                return found
            assert time.monotonic() < deadline, found[-20:]
            time.sleep(0.2)

    def chain(self, broker: str, pod: str, file: str) -> list[Line]:
        """Return the chain of a pod that has ended, as the stream has it; it is in a file of our pod besides."""
        source = (SCRIPTS / "read_stream.py").read_text()
        url = f"amqp://agents:{BROKER_PASSWORD}@{broker}:5672/"
        found: list[Line] = json.loads(self.pod.output(PYTHON, "-c", source, url, STREAM, pod, file, seconds=60))
        return found
