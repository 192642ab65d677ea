"""What a cluster puts on a host, as sets of lines that can be compared before and after."""

import os
import subprocess
from pathlib import Path

from devcluster.cgroup import hierarchies
from devcluster.cluster import state_home

COMMANDS = {
    "links": ["ip", "-oneline", "link"],
    "routes": ["ip", "route"],
    "routes6": ["ip", "-6", "route"],
    "namespaces": ["ip", "netns", "list"],
    "rules": ["nft", "list", "ruleset"],
    "loop devices": ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
}


NETNS = Path("/run/netns")


def snapshot(name: str, *, ignore: list[str]) -> dict[str, set[str]]:
    """Return what is there by kind; lines of the clusters named by `ignore`, which live their own lives, left out.

    Mounts are those of the cluster called `name` only: any program may mount something meanwhile.
    """
    seen = {kind: _output(argv) for kind, argv in COMMANDS.items()}
    seen["mounts"] = _mounts(name)
    seen["cgroups"] = {str(path) for root in hierarchies() for path in root.glob("rf-*")}
    seen["processes"] = _processes()
    seen["cni"] = {str(path) for path in Path("/var/lib/cni/results").glob("*")}
    seen["log links"] = {str(path.readlink()) for path in Path("/var/log/containers").glob("*") if path.is_symlink()}
    seen["sockets"] = {str(path) for path in Path("/run/ringfence").glob("*")}
    return {kind: {line for line in lines if not _mentions(line, ignore)} for kind, lines in seen.items()}


def _mounts(name: str) -> set[str]:
    """Return the cluster's mounts, and the one that `ip netns add` leaves when nobody's namespace needs it any more."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    is_left = NETNS.is_mount() and not any(NETNS.iterdir())
    return {line for line in lines if _mentions(line, [name]) or (is_left and line.split()[1] == str(NETNS))}


def _mentions(line: str, clusters: list[str]) -> bool:
    return any(word in line for name in clusters for word in (f"rf-{name}", f"ringfence/{name}", f"ringfence-{name}"))


def _output(argv: list[str]) -> set[str]:
    return set(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines())


def _processes() -> set[str]:
    """Return what runs in cgroups and namespaces like a cluster's, or with a cluster's files."""
    nets = {path.stat().st_ino: path.name for path in NETNS.glob("rf-*")}
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ").strip()
            groups = (process / "cgroup").read_text()
            namespace = nets.get((process / "ns/net").stat().st_ino, "")
        except OSError:  # gone, or a kernel thread
            continue
        ours = "/rf-" in groups or namespace or "/run/ringfence/" in command or str(state_home()) in command
        if ours and int(process.name) != os.getpid():
            group = next((line for line in groups.splitlines() if "/rf-" in line), "")
            found.add(f"{process.name} {namespace} {group} {command}")
    return found
