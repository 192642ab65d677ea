"""Installs the example package as pip would, without a network: its files, and a dist-info with its entry points."""

import contextlib
import importlib
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent


def install(target: Path) -> None:
    """Put the package and its metadata into `target`."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    shutil.copytree(SOURCE / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    info = target / f"{name}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{entry} = {value}\n" for entry, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


@contextlib.contextmanager
def installed(target: Path) -> Iterator[None]:
    """Have the package importable; afterwards, no trace of it is left."""
    from ringfence_sidecar.routing.kinds import load  # noqa: PLC0415 - only where the sidecar is tested

    install(target)
    sys.path.append(str(target))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(target))
        for module in [name for name in sys.modules if name.partition(".")[0] == "ringfence_kv"]:
            del sys.modules[module]
        load.cache_clear()
