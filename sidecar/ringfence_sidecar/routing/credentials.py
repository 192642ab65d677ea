"""Notices that a Secret's files have changed: it rotates in place."""

from pathlib import Path

from ringfence_sidecar.configuration import Auth


def fingerprint(auth: Auth) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes when a credential does: each file's name, inode, size and time; nothing of its content.

    A token of workload identity is no part of it: the platform renews it each hour, and sessions outlive it.
    """
    if auth.method == "workloadIdentity" or not auth.directory:
        return ()
    return tuple(_state(Path(auth.directory), name) for name in sorted(auth.files.values()))


def _state(directory: Path, name: str) -> tuple[str, int, int, int]:
    try:
        state = (directory / name).stat()
    except OSError:
        return (name, 0, 0, 0)
    return (name, state.st_ino, state.st_size, state.st_mtime_ns)
