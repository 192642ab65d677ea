"""The back ends that tests of the sidecar talk to: real ones where Debian has them, and a stand-in for Snowflake."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster.cluster import cache_home
from devcluster.command import run
from devcluster.content import content_hash
from devcluster.lock import locked
from devcluster.packages import install
from devcluster.step import Progress
from tools.bootstrap import uv_program

SERVERS = {"redis-server": "redis-server", "rabbitmq-server": "/usr/lib/rabbitmq/bin/rabbitmq-server"}
FAKESNOW = Path(__file__).resolve().parent / "fakesnow.txt"
"""Snowflake's wire protocol over DuckDB, with what it needs, as pinned: it cannot share an environment with us."""
_NO_START = Path("/usr/sbin/policy-rc.d")


def fakesnow() -> Path:
    """Return the directory of the stand-in for Snowflake, to be named by PYTHONPATH; `ensure_backends` fills it."""
    return cache_home() / f"fakesnow-{content_hash([FAKESNOW], sys.version.split(' ', 1)[0])}"


def ensure_backends(progress: Progress) -> None:
    """Install what is missing; nothing is started."""
    with locked(cache_home() / "backends.lock", on_wait=lambda: progress.note("waiting for another installation")):
        with _nothing_starts():
            install(SERVERS, progress)
        if not fakesnow().exists():
            with progress.step("install a stand-in for Snowflake", announce=True):
                _install_fakesnow()


def _install_fakesnow() -> None:
    partial = fakesnow().with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    argv = [uv_program(), "pip", "install", "--python", sys.executable, "--target", str(partial), "--no-deps"]
    run([*argv, "--requirements", str(FAKESNOW)], log=cache_home() / "logs/fakesnow.log", timeout=900)
    partial.replace(fakesnow())


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Have Debian's packages start no services, unless the host has said already what they may."""
    if _NO_START.exists() or os.geteuid() != 0:
        yield
        return
    _NO_START.write_text("#!/bin/sh\nexit 101\n")
    _NO_START.chmod(0o755)
    try:
        yield
    finally:
        _NO_START.unlink(missing_ok=True)
