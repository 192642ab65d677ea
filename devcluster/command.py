"""Running a program to its end."""

import os
import subprocess
from pathlib import Path

from devcluster.errors import CommandError, DevclusterError


def run(
    argv: list[str],
    *,
    log: Path | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
    check: bool = True,
    stdin: str | None = None,
) -> str:
    """Return the program's output, standard error included; append it to `log` as well.

    Raises CommandError when it fails and `check` is set, DevclusterError when it
    is missing or takes longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            timeout=timeout,
            check=False,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise DevclusterError(f"`{argv[0]}` is not installed") from None
    except subprocess.TimeoutExpired:
        raise DevclusterError(f"`{' '.join(argv[:6])}` did not end within {timeout:.0f} s") from None
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"$ {' '.join(argv)}\n{done.stdout}")
    if check and done.returncode != 0:
        raise CommandError(argv, done.returncode, done.stdout)
    return done.stdout
