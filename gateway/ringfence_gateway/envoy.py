"""Keeping Envoy: `python -m ringfence_gateway.envoy` writes its bootstrap for this pod, and has it run."""

import os
import sys
from importlib.resources import files
from pathlib import Path

from ringfence_gateway.keeper import Keeper

PROGRAM = "/usr/local/bin/envoy"
RUN = Path("/run/ringfence")
NAMESPACE = "ringfence-system"
"""The operator's namespace in the files as they are; the pod's own takes its place."""
IN_FILES = "/etc/ringfence/envoy"
"""Where the files say that they lie."""
DRAIN_SECONDS = "3"
"""How long the connections of a name last that a policy no longer allows."""


def write_bootstrap(folder: Path, *, namespace: str) -> Path:
    """Write Envoy's files into `folder` and return the one that it is started with."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("authority.yaml", "certificate.yaml", "bootstrap.yaml"):
        text = files("ringfence_gateway").joinpath("bootstrap", name).read_text()
        fitted = text.replace(f".{NAMESPACE}.", f".{namespace}.").replace(IN_FILES, str(folder))
        (folder / name).write_text(fitted)
    return folder / "bootstrap.yaml"


def arguments(bootstrap: Path, *, pod: str) -> list[str]:
    """Return Envoy's command line."""
    return [
        PROGRAM,
        *("--config-path", str(bootstrap)),
        *("--service-node", f"{pod}/envoy"),
        *("--service-cluster", "ringfence-gateway"),
        *("--drain-time-s", DRAIN_SECONDS, "--drain-strategy", "immediate"),
        *("--disable-hot-restart", "--concurrency", os.environ.get("RINGFENCE_GATEWAY_CONCURRENCY", "2")),
        *("--log-format", "%Y-%m-%dT%T.%e%z %l %n %v", "--log-level", "warning"),
        # It would only warn of fields that it does not know, and looking for them is a sixth of its time to load.
        "--ignore-unknown-dynamic-fields",
        # For each listener it says which of our messages' files are work in progress: with a thousand policies that is
        # more than the pod's disk may hold.
        *("--component-log-level", "misc:error"),
    ]


def main() -> int:
    """Write the bootstrap, and keep Envoy until told to stop. Returns its exit code, 2 without a pod's name."""
    try:
        pod, namespace = os.environ["RINGFENCE_GATEWAY_POD"], os.environ["RINGFENCE_GATEWAY_NAMESPACE"]
    except KeyError as missing:
        print(f"ringfence_gateway.envoy: set {missing.args[0]}, as deploy/gateway.yaml does", file=sys.stderr)  # noqa: T201
        return 2
    bootstrap = write_bootstrap(RUN / "envoy", namespace=namespace)
    return Keeper(arguments(bootstrap, pod=pod)).run()


if __name__ == "__main__":
    sys.exit(main())
