"""The traffic program (../traffic, in Go): its image, and its commands in an agent's pod."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.egress.samples import Attempt
from devcluster.cluster import REPOSITORY, cache_home
from devcluster.command import run
from devcluster.content import content_hash
from devcluster.images import Image
from devcluster.oci import write_image, write_layer
from tests.e2e.kube import Kube

SOURCE = REPOSITORY / "bench/traffic"
PROGRAM = "/traffic"
SLACK = 300.0
"""Seconds that a command may take beyond its length."""


def traffic_image() -> Image:
    """Return the image: the program, and nothing else."""
    digest = content_hash([SOURCE])
    reference = f"docker.io/ringfence/traffic:{digest}"

    def make(target: Path) -> None:
        with TemporaryDirectory() as name:
            program, layer = Path(name) / "traffic", Path(name) / "layer.tar"
            build = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "."]
            log = cache_home() / "logs/build-traffic.log"
            run(build, cwd=SOURCE, env={"CGO_ENABLED": "0"}, log=log, timeout=300)
            write_layer(layer, {PROGRAM.removeprefix("/"): program}, {})
            write_image(target, reference, layer, {"Entrypoint": [PROGRAM, "wait"]})

    return Image("traffic", reference, lambda: digest, make)


class Seat:
    """An agent's pod, whose policy has its port set at `gateway`; the name it asks for leads to `direct`."""

    def __init__(self, kube: Kube, namespace: str, pod: str, *, gateway: str, name: str, direct: str) -> None:
        self._kube = kube
        self._where = (namespace, pod)
        self._always = {"gateway": gateway, "name": name, "direct": direct}
        self._pool = ThreadPoolExecutor(4)

    def run(self, command: str, *, seconds: float = 0, **flags: object) -> Any:
        """Return what a command of the program says; `seconds` is how long it shall run. Raises RuntimeError."""
        given = {**self._always, **({"length": f"{seconds}s"} if seconds else {}), **flags}
        argv = [PROGRAM, command, *(f"-{flag}={value}" for flag, value in given.items())]
        ran = self._kube.exec(*self._where, argv, seconds=seconds + SLACK)
        if ran.code != 0:
            raise RuntimeError(f"traffic {command}: {ran.err.strip() or ran.code}")
        return json.loads(ran.out)

    def start(self, command: str, *, seconds: float, **flags: object) -> "Future[list[Attempt]]":
        """Begin `try` or `load`; the result is what it tried."""
        return self._pool.submit(self._attempts, command, seconds=seconds, **flags)

    def _attempts(self, command: str, *, seconds: float, **flags: object) -> list[Attempt]:
        return [Attempt.from_json(each) for each in self.run(command, seconds=seconds, **flags)]
