"""Run the client library's tests that need no sidecar: `python3 -m tools.client_test`. Needs nothing but Python.

The environment has what the library needs, what these tests need, and nothing of operator, gateway or sidecar, in the
versions of uv.lock. It is made anew, since it shows that the library installs; so it does on macOS and Windows, where
development does not.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.bootstrap import program_in, uv_program

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "client,outside,cli"
"""The command line's, because the cluster that answers from memory is a test of that, too."""
TESTING = ("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout")
FOLDERS = ("tests/client", "tests/kube")
WITH_SIDECAR = "tests/client/with_sidecar"


def main() -> int:
    """Return what pytest ends with, or 1 if the environment cannot be made."""
    with tempfile.TemporaryDirectory(prefix="ringfence-client-") as scratch:
        home = Path(scratch) / "environment"
        python, versions = program_in(home, "python"), Path(scratch) / "versions.txt"
        try:
            uv = uv_program()
            for command in commands(uv, home, python, versions):
                subprocess.run(command, cwd=ROOT, check=True)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"client-test: {error}\n")
            return 1
        # Nothing is written into the repository: its .venv is another environment, maybe of another system.
        tests = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *FOLDERS, f"--ignore={WITH_SIDECAR}"]
        return subprocess.run([*tests, "-m", "not backend and not long"], cwd=ROOT, check=False).returncode


def commands(uv: str, home: Path, python: Path, versions: Path) -> list[list[str]]:
    """Return what makes the environment at `home`, with the versions of uv.lock written to the file `versions`."""
    pip = [uv, "pip", "install", "--quiet", "--python", str(python)]
    return [
        [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
        [uv, "export", "--quiet", "--frozen", "--all-extras", "--no-hashes", "--no-emit-project", "-o", str(versions)],
        [*pip, "--constraint", str(versions), f".[{EXTRAS}]", *TESTING],
    ]


if __name__ == "__main__":
    sys.exit(main())
