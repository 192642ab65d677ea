"""What others import."""

import subprocess
import sys
from pathlib import Path

import ringfence

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "client/ringfence", ROOT / "client/ringfence_kube"
_THEIRS = {"httpx", "httpcore", "h11", "anyio", "idna", "certifi", "sniffio", "typing_extensions", "exceptiongroup"}
"""The one dependency, and what that brings. What speaks to clusters is imported where it is used."""
_WHERE_THERE = {"click", "rich", "pygments"}
"""What httpx imports for its own command line, in environments that have it."""
_LIST = """
import sys
sys.path.insert(0, {path!r})
before = set(sys.modules)
import ringfence
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names))
"""


def test_every_public_name_is_there() -> None:
    assert [name for name in ringfence.__all__ if not hasattr(ringfence, name)] == []


def test_it_imports_one_dependency_and_nothing_else() -> None:
    argv = [sys.executable, "-I", "-c", _LIST.format(path=str(ROOT / "client"))]
    imported = set(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.split())

    assert imported - _THEIRS - _WHERE_THERE == {"ringfence", "ringfence_kube"}


def test_it_is_typed_for_those_who_import_it() -> None:
    assert all((package / "py.typed").is_file() for package in PACKAGES)


def test_it_is_nothing_but_python() -> None:
    everything = [path for package in PACKAGES for path in package.rglob("*") if path.is_file()]
    files = {path.suffix for path in everything if "__pycache__" not in path.parts}

    assert files == {".py", ".typed"}
