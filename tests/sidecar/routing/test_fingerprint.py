from pathlib import Path

from ringfence_sidecar.configuration import Auth
from ringfence_sidecar.routing.credentials import fingerprint


def mounted(directory: Path, version: str, text: str) -> None:
    """A Secret volume as the kubelet writes it: a directory for each version, and a link that is swapped."""
    (directory / version).mkdir()
    (directory / version / "password").write_text(text)
    (directory / "..new").symlink_to(version)
    (directory / "..new").rename(directory / "..data")
    if not (directory / "password").exists():
        (directory / "password").symlink_to("..data/password")


def test_it_changes_with_the_secret_even_if_size_and_name_stay(tmp_path: Path) -> None:
    auth = Auth(method="password", directory=str(tmp_path), files={"password": "password"})
    mounted(tmp_path, "..1", "one")
    before = fingerprint(auth)

    mounted(tmp_path, "..2", "two")

    assert fingerprint(auth) != before


def test_it_stays_while_the_secret_does(tmp_path: Path) -> None:
    auth = Auth(method="password", directory=str(tmp_path), files={"password": "password"})
    mounted(tmp_path, "..1", "one")

    assert fingerprint(auth) == fingerprint(auth)


def test_a_file_that_is_missing_is_noticed_when_it_comes(tmp_path: Path) -> None:
    auth = Auth(method="password", directory=str(tmp_path), files={"password": "password"})
    before = fingerprint(auth)

    mounted(tmp_path, "..1", "one")

    assert fingerprint(auth) != before


def test_a_token_of_workload_identity_may_rotate_under_its_sessions(tmp_path: Path) -> None:
    auth = Auth(method="workloadIdentity", directory=str(tmp_path), files={"token": "token"})
    (tmp_path / "token").write_text("one")

    assert fingerprint(auth) == ()
