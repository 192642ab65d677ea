"""Kubernetes' own end-to-end specs of NetworkPolicy, run against the engine of this cluster."""

import json
import os
import re
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.binaries import binary, build
from devcluster.cluster import Cluster
from devcluster.command import run
from devcluster.content import content_hash
from devcluster.images import Image
from devcluster.oci import write_image, write_layer
from devcluster.step import Progress
from devcluster.up import load_images

SUITE = "[sig-network] Netpol "
SCTP = "[Feature:SCTPConnectivity]"
PROGRAMS = ["netpol-e2e", "agnhost"]
TIMEOUT = "60m"
PASSED, SKIPPED = "passed", "skipped"


@dataclass(frozen=True)
class Spec:
    """One spec of the suite and what came of it."""

    name: str
    state: str
    message: str

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> "Spec":
        """Read an entry of Ginkgo's JSON report."""
        name = " ".join([*(report["ContainerHierarchyTexts"] or ()), report["LeafNodeText"]])
        message = str((report.get("Failure") or {}).get("Message", ""))
        return cls(name, str(report["State"]), message.partition("\n")[0])


def run_suite(cluster: Cluster, progress: Progress, *, focus: str = "") -> bool:
    """Run the specs whose names contain `focus`, say how each ended, and return whether all passed.

    The last line on standard output counts them, in pytest's words.
    """
    build(PROGRAMS, progress)
    load_images(cluster, progress, [agnhost()])
    skip = _skipped(progress)
    log = cluster.logs / "netpol-e2e.log"
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        with progress.step(f"NetworkPolicy specs of Kubernetes; log: {log}", announce=True):
            for line in _lines(_argv(cluster, report, focus=focus, skip=skip), log):
                progress.note(line)
        specs = specs_of(report) if report.exists() else []
    return _verdict([spec for spec in specs if focus in spec.name], log)


def agnhost() -> Image:
    """Return the image of the specs' pods, under the name that they ask for."""
    reference = newest(run([str(binary("netpol-e2e")), "--list-images"]).split(), "agnhost")
    program = binary("agnhost")

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            layer = Path(scratch) / "layer.tar"
            write_layer(layer, {"agnhost": program}, {})
            write_image(target, reference, layer, {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]})

    return Image("agnhost", reference, lambda: content_hash([], reference, program.parent.name), make)


def newest(references: list[str], name: str) -> str:
    """Return the reference of that name with the highest version: a former one is listed for upgrades."""
    named = [each for each in references if f"/{name}:" in each]
    return max(named, key=lambda each: [int(part) for part in each.rpartition(":")[2].split(".")])


def specs_of(report: Path) -> list[Spec]:
    """Return the suite's specs in Ginkgo's JSON report; it lists many that are none of ours."""
    entries = [entry for suite in json.loads(report.read_text()) for entry in suite["SpecReports"] or ()]
    specs = [Spec.from_report(entry) for entry in entries if entry["LeafNodeType"] == "It"]
    return [spec for spec in specs if spec.name.startswith(SUITE)]


def _skipped(progress: Progress) -> str:
    """Return what to skip; say why."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError as error:
        progress.note(
            f"skipped: specs of {SCTP}, whose pods need SCTP of the kernel, which has none ({error.strerror})"
        )
        return re.escape(SCTP)
    return ""


def _argv(cluster: Cluster, report: Path, *, focus: str, skip: str) -> list[str]:
    argv = [
        str(binary("netpol-e2e")),
        "--provider=skeleton",
        f"--kubeconfig={cluster.kubeconfig}",
        "--ginkgo.no-color",
        "--ginkgo.v",
        f"--ginkgo.timeout={TIMEOUT}",
        f"--ginkgo.json-report={report}",
        f"--ginkgo.focus={re.escape(SUITE)}.*{re.escape(focus)}",
    ]
    return [*argv, f"--ginkgo.skip={skip}"] if skip else argv


def _lines(argv: list[str], log: Path) -> Iterator[str]:
    """Run the suite and yield a line for each spec that has ended. Its own words go to `log`."""
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with (
        log.open("w") as file,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
        ) as process,
    ):
        assert process.stdout is not None
        name = ""
        for line in process.stdout:
            file.write(line)
            if line.startswith(SUITE):
                name = line.removeprefix(SUITE).rpartition(" [")[0].strip()
            elif line.startswith("•"):
                yield f"{line.strip()} {name}"


def _verdict(specs: list[Spec], log: Path) -> bool:
    count = Counter(spec.state if spec.state in (PASSED, SKIPPED) else "failed" for spec in specs)
    for spec in specs:
        if spec.state not in (PASSED, SKIPPED):
            print(f"✗ {spec.name}: {spec.state}: {spec.message}; see {log}")
    print(f"{count[PASSED]} passed, {count['failed']} failed, {count[SKIPPED]} skipped", flush=True)
    return bool(count[PASSED]) and not count["failed"]
