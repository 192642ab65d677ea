"""Install what development needs into .venv, as locked: `python3 -m tools.bootstrap`. Needs nothing but Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def uv_program() -> str:
    """Return uv: the one on the PATH, else one of our own in the cache, installed now if it is not there."""
    if found := shutil.which("uv"):
        return found
    home = _cache() / f"uv-{_pinned_version()}"
    program = program_in(home, "uv")
    if not program.exists():
        _make_environment(home)
        subprocess.run(
            [program_in(home, "python"), "-m", "pip", "install", "--quiet", f"uv=={_pinned_version()}"], check=True
        )
    return str(program)


def program_in(environment: Path, name: str, *, is_windows: bool = os.name == "nt") -> Path:
    """Return where a virtual environment has a program."""
    return environment / (f"Scripts/{name}.exe" if is_windows else f"bin/{name}")


LAST = "opentelemetry-proto"
"""xds-protos has older copies of some of its modules: which of the two is there would be a matter of chance."""


def main() -> int:
    """Bring .venv to what uv.lock says."""
    try:
        uv = uv_program()
        if code := subprocess.run([uv, "sync", "--frozen"], cwd=ROOT, check=False).returncode:
            return code
        again = [uv, "sync", "--frozen", "--quiet", "--reinstall-package", LAST]
        return subprocess.run(again, cwd=ROOT, check=False).returncode
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"setup: {error}; install uv by hand and try again\n")
        return 1


def _make_environment(home: Path) -> None:
    """Make a virtual environment with pip; Debian keeps what that needs in a package of its own."""
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", home], capture_output=True, check=False)
    if made.returncode != 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "python3-venv"]):
            subprocess.run(["apt-get", "--quiet", *arguments], env=environment, check=True)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", home], capture_output=True, check=False)
    made.check_returncode()


def _pinned_version() -> str:
    found = re.search(r"^ARG UV=.*:(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError("the Dockerfile does not pin uv")
    return found[1]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringfence"


if __name__ == "__main__":
    sys.exit(main())
