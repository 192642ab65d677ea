"""The sidecar as its image has it: with what it depends on and nothing else, compiled."""

import hashlib
import os
import subprocess
from pathlib import Path

from devcluster.cluster import REPOSITORY, cache_home
from tools.bootstrap import uv_program

_SYNC = ("sync", "--quiet", "--frozen", "--no-dev", "--extra", "sidecar", "--no-editable")


def product_python() -> Path:
    """Return the interpreter of an environment into which this tree has just been installed, as the Dockerfile does.

    A development environment holds libraries that others import where they find them, at a price of megabytes.
    """
    tree = hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:12]
    environment = cache_home() / f"sidecar-{tree}"
    environment.parent.mkdir(parents=True, exist_ok=True)
    variables = {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_COMPILE_BYTECODE": "1"}
    argv = [uv_program(), *_SYNC, "--reinstall-package", "ringfence"]
    subprocess.run(argv, check=True, cwd=REPOSITORY, env={**os.environ, **variables})
    return environment / "bin/python"
