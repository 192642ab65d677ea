"""Helm on a cluster, with the rights of its administrator."""

import os
import subprocess
from pathlib import Path

from devcluster.binaries import binary, build
from devcluster.step import Progress
from tests.chart.chart import HOMES
from tests.e2e.replica import SYSTEM_NAMESPACE
from tools.chart import CHART

RELEASE = "ringfence"
WAIT = ("--wait", "--timeout", "4m")


class Helm:
    """The release, made of a chart and images (`operator`, `gateway`, `sidecar`, and `starter` if it has one)."""

    def __init__(self, kubeconfig: Path, images: dict[str, str], *, chart: Path = CHART) -> None:
        build(["helm"], Progress("Helm"))
        self._environment = {**os.environ, **HOMES, "KUBECONFIG": str(kubeconfig)}
        self._images = [f"--set={value}" for name, image in images.items() for value in image_values(name, image)]
        self._chart = chart

    def run(self, *arguments: str) -> str:
        """Return what it prints."""
        ran = subprocess.run(
            [binary("helm"), *arguments, "--namespace", SYSTEM_NAMESPACE],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def install(self, *values: str) -> str:
        """Have the chart there, with the images and these values."""
        return self.run(
            "upgrade", "--install", "--take-ownership", RELEASE, str(self._chart), *WAIT, *self._images, *values
        )

    def uninstall(self) -> None:
        """Take the release away, if it is there."""
        self.run("uninstall", RELEASE, "--ignore-not-found", *WAIT)


def image_values(name: str, reference: str) -> tuple[str, str]:
    """Return the values that say which image that of `name`, such as `operator` or `demo.redis`, is."""
    repository, _, tag = reference.rpartition(":")
    return f"{name}.image.repository={repository}", f"{name}.image.tag={tag}"
