"""The command line: python3 -m devcluster up|down|status|env|build|load|backends|kwok|netpol-e2e."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from devcluster import kind
from devcluster.backends import ensure_backends
from devcluster.binaries import STARTER, STARTERS, build
from devcluster.cluster import cluster_name
from devcluster.containerd import import_archive, name_image
from devcluster.down import down
from devcluster.errors import DevclusterError
from devcluster.images import Image, backends, build_image, clients, coredns, pause, python
from devcluster.kwok import ensure_fake_nodes
from devcluster.netpol_e2e import run_suite
from devcluster.product_images import KIND, extended_sidecar, gateway, operator, sidecar, starter
from devcluster.status import existing, show_environment, show_status
from devcluster.step import Progress
from devcluster.up import load_images, up

DESCRIPTION = """\
A real single-node, dual-stack Kubernetes on a bare machine, in network namespaces of its own; in kind where Docker
answers. Every command may be run again at any time. $RINGFENCE_CLUSTER names the cluster (default: dev)."""


def main() -> int:
    """Run one command; say in the last line how it ended."""
    options = _parser().parse_args()
    try:
        return 0 if _command(options.command)(cluster_name(), options) else 1
    except DevclusterError as error:
        print(f"✗ {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"✗ {options.command}: interrupted; run it again, or `down`", file=sys.stderr)
        return 130


def _command(name: str) -> Callable[[str, argparse.Namespace], bool]:
    in_kind = kind.docker_answers()
    if not in_kind and os.geteuid() != 0:
        raise DevclusterError("without Docker this makes namespaces and mounts: run it as root")
    commands = _KIND if in_kind else _NATIVE
    if name not in commands:
        raise DevclusterError("not available in kind")
    return commands[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m devcluster", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_up = commands.add_parser("up", help="bring the cluster up, or repair it")
    add_up.add_argument("--control-plane", action="store_true", help="no node: etcd, API server and controllers only")
    add_up.add_argument("--kwok-nodes", type=int, metavar="N", help="with N fake nodes, as `kwok` makes them")
    add_down = commands.add_parser("down", help="take it down and leave nothing behind")
    add_down.add_argument("--purge", action="store_true", help="delete its unpacked images, too")
    commands.add_parser("status", help="say what runs; exit code 1 if the cluster is not well")
    commands.add_parser("env", help="print shell exports: KUBECONFIG, addresses, certificates, a kubectl on the PATH")
    add_build = commands.add_parser("build", help="build images, load them and print their references")
    add_build.add_argument(
        "image", nargs="*", metavar="IMAGE", help=f"{', '.join(sorted(_IMAGES))} (default: operator)"
    )
    add_build.add_argument("--tag", help="give them this tag on the node besides, such as a release's")
    add_load = commands.add_parser("load", help="load image archives (OCI or Docker) onto the node")
    add_load.add_argument("archive", nargs="+")
    commands.add_parser(
        "backends", help="install Redis, RabbitMQ and a stand-in for Snowflake, for the sidecar's tests"
    )
    add_specs = commands.add_parser("netpol-e2e", help="run Kubernetes' own specs of NetworkPolicy against the engine")
    add_specs.add_argument("focus", nargs="?", default="", help="those whose names contain this")
    add_kwok = commands.add_parser("kwok", help="give the cluster fake nodes for load")
    add_kwok.add_argument("--nodes", type=int, required=True, metavar="N", help="0 takes them away")
    return parser


_PRODUCT = {"operator": operator, "gateway": gateway, "sidecar": sidecar, "starter": starter}
_CLUSTERS = {"python": python, "coredns": coredns, "pause": pause, "clients": clients, "backends": backends}
_IMAGES = {**_PRODUCT, **_CLUSTERS, "sidecar-kv": extended_sidecar}


def _images(options: argparse.Namespace) -> list[Image]:
    wanted = options.image or ["operator"]
    if unknown := set(wanted) - set(_IMAGES):
        raise DevclusterError(f"{', '.join(sorted(unknown))}: no such image; there are {', '.join(sorted(_IMAGES))}")
    return [_IMAGES[name]() for name in wanted]


def _up(name: str, options: argparse.Namespace) -> bool:
    progress = Progress(f"cluster {name}: up")
    cluster = up(name, progress, control_plane_only=options.control_plane)
    if options.kwok_nodes is not None:
        ensure_fake_nodes(cluster, options.kwok_nodes, progress)
    progress.note(f"cluster {name} is up; KUBECONFIG={cluster.kubeconfig}; logs in {cluster.logs}")
    return True


def _down(name: str, options: argparse.Namespace) -> bool:
    down(name, purge=options.purge)
    return True


def _status(name: str, _: argparse.Namespace) -> bool:
    return show_status(name)


def _env(name: str, _: argparse.Namespace) -> bool:
    show_environment(name)
    return True


def _build(name: str, options: argparse.Namespace) -> bool:
    cluster = existing(name)
    if "clients" in options.image:
        build(["fetch"], Progress(f"cluster {name}: a client in Go"))
    if "starter" in options.image:
        build([*STARTERS], Progress(f"cluster {name}: the starter's programs"))
    if "backends" in options.image:
        ensure_backends(Progress(f"cluster {name}: back ends for tests"))
    if "sidecar-kv" in options.image:
        build_image(sidecar(), Progress(f"cluster {name}: the sidecar that it extends"))
    images = _images(options)
    references = [image.reference for image in images]
    load_images(cluster, Progress(f"cluster {name}: build {' '.join(references)}"), images)
    for reference in references if options.tag else []:
        name_image(cluster, reference, _retagged(reference, options.tag))
    print(*references, sep="\n")
    return True


def _load(name: str, options: argparse.Namespace) -> bool:
    cluster = existing(name)
    progress = Progress(f"cluster {name}: load")
    for archive in options.archive:
        with progress.step(f"load {archive}"):
            import_archive(cluster, Path(archive))
    return True


def _backends(_: str, __: argparse.Namespace) -> bool:
    ensure_backends(Progress("back ends for tests"))
    return True


def _kwok(name: str, options: argparse.Namespace) -> bool:
    ensure_fake_nodes(existing(name), options.nodes, Progress(f"cluster {name}: fake nodes"))
    return True


def _netpol_e2e(name: str, options: argparse.Namespace) -> bool:
    return run_suite(existing(name), Progress(f"cluster {name}: specs of NetworkPolicy"), focus=options.focus)


def _kind_up(name: str, _: argparse.Namespace) -> bool:
    kind.up(name, Progress(f"cluster {name}: up, in kind"))
    return True


def _kind_down(name: str, _: argparse.Namespace) -> bool:
    kind.down(name)
    return True


def _kind_status(name: str, _: argparse.Namespace) -> bool:
    return kind.status(name)


def _kind_env(name: str, _: argparse.Namespace) -> bool:
    print(f"export KUBECONFIG={kind.kubeconfig(name)} RINGFENCE_CLUSTER={name}")
    return True


def _kind_build(name: str, options: argparse.Namespace) -> bool:
    for image in _images(options):
        if image.name in _PRODUCT:
            kind.build_image(image.name, image.reference, STARTER if image.name == "starter" else None)
            kind.load(name, [image.reference])
        elif image.name == "sidecar-kv":
            kind.build_image("sidecar", sidecar().reference)
            kind.extend_image(sidecar().reference, image.reference, KIND)
            kind.load(name, [image.reference])
        if options.tag and image.name in _PRODUCT:
            kind.name_image(name, image.reference, _retagged(image.reference, options.tag))
        print(image.reference)
    return True


def _retagged(reference: str, tag: str) -> str:
    return f"{reference.rpartition(':')[0]}:{tag}"


def _kind_load(name: str, options: argparse.Namespace) -> bool:
    kind.load(name, options.archive)
    return True


_NATIVE = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "build": _build,
    "load": _load,
    "backends": _backends,
    "kwok": _kwok,
    "netpol-e2e": _netpol_e2e,
}
_KIND = {
    "up": _kind_up,
    "down": _kind_down,
    "status": _kind_status,
    "env": _kind_env,
    "build": _kind_build,
    "load": _kind_load,
    "backends": _backends,
}


if __name__ == "__main__":
    sys.exit(main())
