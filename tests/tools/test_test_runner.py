import sys
from pathlib import Path

import pytest

from tools import test_runner
from tools.test_runner import WITH_BACKENDS, Runner, Step, Tally


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Logs and steps in a directory of the test's own."""
    monkeypatch.setattr(test_runner, "LOGS", tmp_path)
    monkeypatch.setattr(test_runner, "ROOT", tmp_path)
    return tmp_path


def says(name: str, text: str, *, code: int = 0, needs: tuple[str, ...] = (), counts_tests: bool = False) -> Step:
    script = f"print({text!r}); raise SystemExit({code})"
    return Step(name, (sys.executable, "-c", script), needs=needs, counts_tests=counts_tests)


def test_run_that_goes_well_ends_with_the_sum_of_its_tests(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [
        says("lint", "fine"),
        says("unit", "== 3 passed, 1 skipped in 0.1s ==", needs=("lint",), counts_tests=True),
        says("e2e", "4 passed in 2s", counts_tests=True),
    ]

    code = Runner().run(wanted)

    assert code == 0
    assert capsys.readouterr().out.splitlines()[-1] == "7 passed, 0 failed"


def test_step_that_fails_shows_the_end_of_its_log_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], logs: Path
) -> None:
    wanted = [
        says("unit", "E  assert 1 == 2\n1 failed, 2 passed, 1 error in 1s", code=1, counts_tests=True),
        says("lint", "fine"),
    ]

    code = Runner().run(wanted)

    said = capsys.readouterr().out
    assert code == 1
    assert "E  assert 1 == 2" in said
    assert "✓ lint: passed" in said
    assert said.splitlines()[-1] == "2 passed, 2 failed"
    assert (logs / "unit.log").read_text().startswith("E  assert")


def test_step_that_needs_a_failed_one_is_skipped_and_the_run_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [says("cluster", "no", code=1), says("e2e", "never", needs=("cluster",))]

    code = Runner().run(wanted)

    said = capsys.readouterr().out
    assert code == 1
    assert "e2e: skipped, because cluster did not pass" in said
    assert "never" not in said


def test_program_that_is_not_there_is_a_failure_and_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    code = Runner().run([Step("go-test", ("no-such-program",))])

    assert code == 1
    assert "no-such-program" in capsys.readouterr().out


def test_pytest_that_exits_well_but_counts_a_failure_is_no_success() -> None:
    tally = Tally(ended={"unit": "passed"})

    tally.count("1 failed, 2 passed in 1s")

    assert not tally.is_good


def test_every_test_with_a_back_end_is_in_the_step_that_has_them() -> None:
    tests = Path(__file__).resolve().parents[1]

    marked = [path for path in tests.rglob("test_*.py") if "pytest.mark.backend" in path.read_text()]
    elsewhere = [
        str(path)
        for path in marked
        if path != Path(__file__).resolve()
        and not any(path.is_relative_to(tests.parent / each) for each in WITH_BACKENDS)
    ]

    assert len(marked) > 10
    assert elsewhere == []


def test_every_need_is_a_step_that_comes_before() -> None:
    for wanted in (test_runner.steps(long=False), test_runner.steps(long=True)):
        names = [step.name for step in wanted]

        assert all(names.index(need) < names.index(step.name) for step in wanted for need in step.needs)
