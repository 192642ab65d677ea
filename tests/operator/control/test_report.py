from typing import Any

import orjson
import pytest

from ringfence_operator.control.report import InvalidReportError, seen_of

NAME = {"block": 3, "name": "a.example", "port": 443, "verdict": "allowed", "count": 2, "last": 1}


def report(**more: Any) -> bytes:
    return orjson.dumps({"node": "pod/dns", "names": [], "other": [], **more})


def test_a_report_becomes_the_operators_message_without_fields_it_does_not_know() -> None:
    seen = seen_of(report(names=[{**NAME, "more": "x"}]))

    assert seen == {"kind": "seen", "replica": "pod", "names": [NAME], "other": []}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        report(node=""),
        report(node=7),
        report(names=[{**NAME, "verdict": "maybe"}]),
        report(names=[{**NAME, "count": "2"}]),
        report(names=[{**NAME, "count": True}]),
        report(names=[{"name": "a.example"}]),
        report(names=[NAME] * 8_193),
        report(other=7),
    ],
)
def test_what_is_no_report_goes_nowhere(body: bytes) -> None:
    with pytest.raises(InvalidReportError):
        seen_of(body)
