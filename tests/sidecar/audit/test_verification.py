import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence_sidecar.audit.__main__ import main
from ringfence_sidecar.audit.chain import Chain, split
from tests.sidecar.audit.records import lines, record


def verified(path: Path, content: list[bytes], capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    path.write_bytes(b"".join(line + b"\n" for line in content))
    code = main(["verify", *options, str(path)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_what_was_written_is_found_whole(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verified(log, lines(5), capsys)

    assert code == 0
    assert "ok: 7 lines in 1 chains" in said
    assert "ended in order" in said


def test_an_edited_line_is_named(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(5)
    content[3] = content[3].replace(b'"ok"', b'"no"')

    code, said = verified(log, content, capsys)

    assert code == 1
    assert "line 4 was edited" in said


def test_a_line_that_was_replaced_by_a_good_one_breaks_the_chain_at_the_next(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = lines(3)
    forged = Chain("c-1", now=lambda: 1_800_000_000.0)
    forged._sequence, forged._previous = 1, split(content[0])[1]
    content[1] = forged.link("call", record(operation="forged"))

    code, said = verified(log, content, capsys)

    assert code == 1
    assert "line 3: its predecessor" in said


def test_missing_lines_in_the_middle_are_counted(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(9)
    del content[3:6]

    code, said = verified(log, content, capsys)

    assert code == 1
    assert "lacks 4 to 6 before 7" in said


def test_a_log_without_its_beginning_is_broken(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verified(log, lines(3)[2:], capsys)

    assert code == 1
    assert "lacks 1 to 2 before 3" in said


def test_lines_in_another_order_are_broken(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(3)
    content[2], content[3] = content[3], content[2]

    code, said = verified(log, content, capsys)

    assert code == 1
    assert "lacks 3 before 4" in said


def test_another_line_with_a_number_that_was_there_is_broken(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(3)
    forged = Chain("c-1", now=lambda: 1_800_000_000.0)
    forged._sequence, forged._previous = 1, split(content[0])[1]

    code, said = verified(log, [*content[:4], forged.link("call", record(operation="forged"))], capsys)

    assert code == 1
    assert "has 2 after 4" in said


def test_a_line_that_is_cut_is_broken(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(3)
    content[2] = content[2][:-30]

    code, said = verified(log, content, capsys)

    assert code == 1
    assert "line 3 is cut" in said


def test_a_batch_that_an_exporter_sent_twice_is_no_fault(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(3)

    code, said = verified(log, [*content[:3], *content[1:]], capsys)

    assert code == 0
    assert "2 exported twice" in said


def test_what_was_cut_off_at_the_end_is_said_and_is_a_fault_where_the_log_should_be_complete(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = verified(log, lines(3)[:-2], capsys)
    strict, _ = verified(log, lines(3)[:-2], capsys, "--complete")

    assert (code, strict) == (0, 1)
    assert "no end line" in said


def test_a_line_after_the_end_of_its_chain_is_broken(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(1)
    more = Chain("c-1")
    more._sequence, more._previous = 3, split(content[-1])[1]

    code, said = verified(log, [*content, more.link("end", {})], capsys)

    assert code == 1
    assert "after the end" in said


def test_chains_of_several_processes_may_be_mixed_with_each_other_and_with_other_logs(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = lines(2, "c-1", end=False), lines(2, "c-2")
    mixed = [first[0], b'{"event":"connector bound"}', second[0], first[1], *second[1:], b"", first[2]]

    code, said = verified(log, mixed, capsys)

    assert code == 0
    assert "ok: 7 lines in 2 chains; other lines: 1" in said


def test_a_log_in_several_files_is_read_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = lines(4)
    for name, part in (("1.log", content[:3]), ("2.log", content[3:])):
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in part))

    code = main(["verify", str(tmp_path / "1.log"), str(tmp_path / "2.log")])
    alone = main(["verify", str(tmp_path / "2.log")])

    assert (code, alone) == (0, 1)
    assert "chain c-1" in capsys.readouterr().out


def test_what_is_no_audit_log_has_an_exit_code_of_its_own(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = verified(log, [b"hello"], capsys)
    missing = main(["verify", str(log.with_name("none"))])

    assert (code, missing) == (2, 2)


def test_the_command_reads_standard_input() -> None:
    content = b"".join(line + b"\n" for line in lines(2))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    done = subprocess.run(
        [sys.executable, "-m", "ringfence_sidecar.audit", "verify", "-"],
        input=content,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert b"ok: 4 lines" in done.stdout
