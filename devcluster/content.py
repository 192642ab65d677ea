"""Content hashes: what has been built from the same input is not built again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def content_hash(paths: Iterable[Path], *said: str) -> str:
    """Return a short hash of the files below `paths` (names and bytes) and of the strings."""
    digest = hashlib.sha256("\0".join(said).encode())
    for root in paths:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith("_test.go"):
                digest.update(f"\0{path.relative_to(root.parent)}\0{path.stat().st_mode & 0o111}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
