"""Packages of npm, as a folder's package.json and package-lock.json pin them."""

import shutil
import subprocess
from pathlib import Path

from devcluster.cluster import cache_home
from devcluster.content import content_hash
from devcluster.lock import locked

FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300


def npm_installed(name: str, pins: Path) -> Path:
    """Return the directory whose node_modules has what `pins` names, installed now if it is not there.

    Raises subprocess.CalledProcessError. Nothing of the packages runs meanwhile.
    """
    home = cache_home() / f"{name}-{content_hash([pins / file for file in FILES])}"
    with locked(cache_home() / f"{name}.lock"):
        if not home.exists():
            partial = home.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for file in FILES:
                shutil.copy(pins / file, partial)
            # That our own Node.js is older than what a package wants does not matter here.
            argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(argv, cwd=partial, check=True, timeout=INSTALL_SECONDS, capture_output=True)
            partial.replace(home)
    return home
