"""The environment that shows that the client library stands by itself."""

from pathlib import Path

from tools.bootstrap import program_in
from tools.client_test import EXTRAS, WITH_SIDECAR, commands

ROOT = Path(__file__).resolve().parents[2]
HOME, PYTHON, VERSIONS = Path("environment"), Path("environment/bin/python"), Path("versions.txt")


def test_programs_of_an_environment_are_found_on_windows_too() -> None:
    assert program_in(HOME, "uv", is_windows=False) == HOME / "bin/uv"
    assert program_in(HOME, "uv", is_windows=True) == HOME / "Scripts/uv.exe"


def test_it_has_the_locked_versions_and_nothing_that_has_no_place_on_windows() -> None:
    _, export, install = commands("uv", HOME, PYTHON, VERSIONS)

    assert "--frozen" in export
    assert export[-1] == str(VERSIONS)
    assert install[install.index("--constraint") + 1] == str(VERSIONS)
    assert f".[{EXTRAS}]" in install
    assert {"sidecar", "operator", "gateway"} & set(EXTRAS.split(",")) == set()


def test_what_is_left_out_is_what_needs_a_sidecar() -> None:
    imports = [
        path.relative_to(ROOT / "tests/client")
        for path in (ROOT / "tests/client").rglob("*.py")
        if "ringfence_sidecar" in path.read_text() or "mark.backend" in path.read_text()
    ]

    assert len(imports) > 5
    assert {f"tests/client/{path.parts[0]}" for path in imports} == {WITH_SIDECAR}
