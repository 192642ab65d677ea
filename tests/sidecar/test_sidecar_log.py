import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import logging, structlog
from ringfence_sidecar.log import configure_logging

configure_logging("info")
log = structlog.get_logger()
for say in (lambda: log.exception("ours.failed"), lambda: logging.getLogger("theirs").exception("failed")):
    try:
        raise ValueError("the-secret")
    except ValueError:
        say()
log.debug("not shown")
log.info("shown", count=1)
"""


def lines() -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "sidecar")},
        check=True,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert done.stdout == "", "standard output is the audit's"
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_each_line_is_an_object_and_a_failures_text_stays_out_of_it() -> None:
    ours, theirs, info = lines()

    assert "the-secret" not in json.dumps([ours, theirs])
    for line in (ours, theirs):
        assert line["error"] == "ValueError"
        assert line["level"] == "error"
        assert isinstance(line["places"], list)
    assert info["event"] == "shown"
    assert info["count"] == 1
