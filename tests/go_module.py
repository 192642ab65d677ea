"""Files of public Go modules: the go command fetches each once, and checks it by the checksum database."""

import json
import subprocess
from pathlib import Path

_SECONDS = 300


def module_directory(module: str) -> Path:
    """Return where the files of `path@version` lie. Raises RuntimeError with what go said."""
    argv = ["go", "mod", "download", "-json", module]
    # In / there is no go.mod that could have a say.
    ran = subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=_SECONDS, check=False)
    if ran.returncode:
        raise RuntimeError(f"{module} cannot be had: {ran.stdout}{ran.stderr}")
    return Path(json.loads(ran.stdout)["Dir"])
