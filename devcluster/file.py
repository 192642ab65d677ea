"""Files that others watch: replaced whole, and only when they change."""

from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Give the file this content at once; one that has it already is left alone."""
    try:
        if path.read_text() == text:
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.touch(mode=mode)
    partial.chmod(mode)
    partial.write_text(text)
    partial.replace(path)


def link(path: Path, target: Path) -> None:
    """Make `path` a symbolic link to `target`, at once."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(path)
