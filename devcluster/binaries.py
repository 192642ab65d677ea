"""The programs of the cluster, and of tests, from the Go modules beside us, kept under content hashes."""

import re
import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from devcluster.cluster import REPOSITORY, cache_home
from devcluster.command import run
from devcluster.content import content_hash
from devcluster.lock import locked
from devcluster.step import Progress

MODULE = REPOSITORY / "devcluster/node"
HELM = REPOSITORY / "devcluster/helm"
"""A module of its own: what Helm asks of other modules must not change what the cluster is built from."""
PROMETHEUS = REPOSITORY / "devcluster/prometheus"
"""For the same reason."""
JUDGE = REPOSITORY / "devcluster/judge"
"""Likewise."""
STARTER = REPOSITORY / "starter"
"""What makes a pool's warm pod an agent's."""
ACTIONLINT = REPOSITORY / "devcluster/actionlint"
"""What reads the workflows of .github; likewise."""
ONLY_KUBERNETES = "remove_all_sd,enable_kubernetes_sd"
"""Prometheus without the clients of clouds that it could find targets in: most of what it is built from."""
CONTAINERD = "github.com/containerd/containerd/v2/cmd"
BUILD_TIMEOUT = 3600
KEPT = 3  # builds of a program, the newest
UNUSED_SECONDS = 7 * 24 * 3600  # a running cluster names its builds by path, such as the CNI plug-in's


@dataclass(frozen=True)
class Binary:
    """A Go program: a package of ours, or a `tool` of the module at its pinned version."""

    name: str
    package: str
    sources: tuple[str, ...] = ()  # below the module, besides go.mod and go.sum
    tags: str = ""
    cgo: bool = False
    module: Path = MODULE

    @property
    def path(self) -> Path:
        """Where the program is once it is built."""
        return cache_home() / "bin" / f"{self.name}-{self._hash()}" / self.name

    def exists(self) -> bool:
        """True if there is anything to build: a package of ours may not be written yet."""
        return not self.package.startswith("./") or (self.module / self.package).is_dir()

    def _hash(self) -> str:
        sources = [self.module / source for source in self.sources]
        pins = [self.module / "go.mod", self.module / "go.sum"] if self.sources else []
        return content_hash([*pins, *sources], self.package, self.tags, str(self.cgo), self._version(), _flags(self))

    def _version(self) -> str:
        """A tool changes with the version that go.mod pins, and not whenever go.mod does."""
        if self.sources:
            return ""
        return _pinned(_module_of(self.package, self.module), self.module)


PROMETHEUS_COMMANDS = "github.com/prometheus/prometheus/cmd"
STARTERS = ("ringfence-starter", "ringfence-wait")
"""The programs of the starter's image."""
ASKED_FOR = (
    *("kwok", "fetch", "netpol-e2e", "agnhost", "helm", "judge", "prometheus", "promtool", "actionlint"),
    *STARTERS,
)
AGENT_SOURCES = ("internal/attachment", "internal/netpol", "internal/provisioner")
BINARIES = {
    binary.name: binary
    for binary in (
        Binary("etcd", "./cmd/etcd", ("cmd/etcd",)),
        Binary("kube", "./cmd/kube", ("cmd/kube",), tags="providerless"),
        Binary("node-agent", "./cmd/node-agent", ("cmd/node-agent", *AGENT_SOURCES)),
        Binary("netpol-cni", "./cmd/netpol-cni", ("cmd/netpol-cni", "internal/attachment")),
        Binary("outside", "./cmd/outside", ("cmd/outside", "internal/outside")),
        Binary("fetch", "./cmd/fetch", ("cmd/fetch",)),
        Binary("containerd", f"{CONTAINERD}/containerd"),
        Binary("containerd-shim-runc-v2", f"{CONTAINERD}/containerd-shim-runc-v2"),
        Binary("ctr", f"{CONTAINERD}/ctr"),
        Binary("runc", "github.com/opencontainers/runc", tags="seccomp", cgo=True),
        Binary("coredns", "github.com/coredns/coredns"),
        Binary("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        Binary("netpol-e2e", "./cmd/netpol-e2e", ("cmd/netpol-e2e",), tags="providerless"),
        Binary("agnhost", "k8s.io/kubernetes/test/images/agnhost", tags="providerless"),
        Binary("helm", "helm.sh/helm/v3/cmd/helm", module=HELM),
        Binary("judge", ".", ("main.go", "kstatus.go", "script.go"), module=JUDGE),
        *(Binary(name, f"./cmd/{name}", ("cmd", "internal"), module=STARTER) for name in STARTERS),
        Binary("prometheus", f"{PROMETHEUS_COMMANDS}/prometheus", tags=ONLY_KUBERNETES, module=PROMETHEUS),
        Binary("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", module=ACTIONLINT),
        Binary("promtool", f"{PROMETHEUS_COMMANDS}/promtool", tags=ONLY_KUBERNETES, module=PROMETHEUS),
    )
}

NODE = [name for name in BINARIES if name not in ASKED_FOR]
"""What a cluster is made of; the others are built when they are asked for."""


def binary(name: str) -> Path:
    """Return the path of a program that `build` has made."""
    return BINARIES[name].path


def build(names: list[str], progress: Progress) -> None:
    """Build those of the programs that are not there yet, one after the other: each build fills every core."""
    missing = [BINARIES[name] for name in names if BINARIES[name].exists() and not BINARIES[name].path.exists()]
    if not missing:
        return
    with locked(cache_home() / "build.lock", on_wait=lambda: progress.note("waiting for another build")):
        for wanted in missing:
            if not wanted.path.exists():
                with progress.step(f"build {wanted.name}", announce=True):
                    _build(wanted)


def kubernetes_version() -> str:
    """Return the version of Kubernetes that go.mod pins, as in v1.37.2."""
    return _pinned("k8s.io/kubernetes", MODULE)


def _build(wanted: Binary) -> None:
    target = wanted.path
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    argv = ["go", "build", "-trimpath", "-tags", wanted.tags, "-ldflags", _flags(wanted), "-o", str(partial)]
    run(
        [*argv, wanted.package],
        cwd=wanted.module,
        env={"CGO_ENABLED": "1" if wanted.cgo else "0"},
        log=cache_home() / "logs" / f"build-{wanted.name}.log",
        timeout=BUILD_TIMEOUT,
    )
    partial.replace(target)
    _forget_old(wanted)


def _forget_old(wanted: Binary) -> None:
    """Delete old builds, but not the newest, nor any that a cluster may be running."""
    builds = (cache_home() / "bin").glob(f"{wanted.name}-{'[0-9a-f]' * 16}")
    ages = sorted((time.time() - path.stat().st_mtime, path) for path in builds)
    for age, path in ages[KEPT:]:
        if age > UNUSED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _flags(wanted: Binary) -> str:
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in _version_flags(wanted.name))])


def _version_flags(name: str) -> list[tuple[str, str]]:
    """Return the variables in which a program keeps its version, as its own project's build sets them."""
    if name == "kube":
        version = kubernetes_version()
        major, minor, _ = version.removeprefix("v").split(".", 2)
        values = [("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)]
        return [(f"k8s.io/component-base/version.{key}", value) for key, value in values]
    if name == "helm":
        # Where no cluster is asked, it takes Kubernetes to be as new as its client: v0.37 is 1.37's.
        values = [("k8sVersionMajor", "1"), ("k8sVersionMinor", _pinned("k8s.io/client-go", HELM).split(".")[1])]
        kubernetes = [(f"{package}.{key}", value) for package in ("chartutil", "lint/rules") for key, value in values]
        own = ("helm.sh/helm/v3/internal/version.version", _pinned("helm.sh/helm/v3", HELM))
        return [own, *((f"helm.sh/helm/v3/pkg/{key}", value) for key, value in kubernetes)]
    return []


def _module_of(package: str, module: Path) -> str:
    """Return the longest module path of go.mod that begins `package`."""
    parts = package.split("/")
    prefixes = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next(prefix for prefix in prefixes if prefix in _requirements(module))


def _pinned(module_path: str, module: Path) -> str:
    return _requirements(module)[module_path]


@cache
def _requirements(module: Path) -> dict[str, str]:
    text = (module / "go.mod").read_text()
    return dict(re.findall(r"^\s+([\w./-]+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))
