"""Who installs what the distribution has to give."""

import os
import shutil

import pytest

from devcluster.packages import as_root

COMMAND = ["apt-get", "update"]


@pytest.mark.parametrize(
    ("user", "sudo", "argv"),
    [
        (0, "/usr/bin/sudo", COMMAND),
        (1001, "/usr/bin/sudo", ["sudo", "--non-interactive", *COMMAND]),
        (1001, None, COMMAND),
    ],
    ids=["root", "somebody with sudo", "somebody without"],
)
def test_a_command_is_run_by_sudo_for_somebody_who_is_not_root_and_has_it(
    monkeypatch: pytest.MonkeyPatch, user: int, sudo: str | None, argv: list[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(shutil, "which", lambda _: sudo)

    assert as_root(COMMAND) == argv
