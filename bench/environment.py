"""What a part of the product runs in: what its image has, and nothing else, compiled."""

import functools
import hashlib
import os
import subprocess
from pathlib import Path

from devcluster.cluster import REPOSITORY, cache_home
from tools.bootstrap import uv_program

_SYNC = ("sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--reinstall-package", "ringfence")


@functools.cache
def product_python(part: str) -> Path:
    """Return the interpreter of an environment into which this tree has just been installed, as the Dockerfile does.

    `part` is `operator` or `sidecar`. A development environment holds libraries that others import where they find
    them, at a price of megabytes: kopf imports `kubernetes`.
    """
    tree = hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:12]
    environment = cache_home() / f"{part}-{tree}"
    environment.parent.mkdir(parents=True, exist_ok=True)
    variables = {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_COMPILE_BYTECODE": "1"}
    argv = [uv_program(), *_SYNC, "--extra", part]
    subprocess.run(argv, check=True, cwd=REPOSITORY, env={**os.environ, **variables})
    return environment / "bin/python"
