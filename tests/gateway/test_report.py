import json
from typing import Any

from ringfence_gateway.names import Verdict
from ringfence_gateway.record import Record
from ringfence_gateway.report import report_once
from ringfence_gateway.subscription import NotConnectedError, RefusedError
from ringfence_operator.control.report import seen_of


class Control:
    """Takes reports, or ends them with `fault`."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.taken: list[bytes] = []

    async def send(self, message: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.taken.append(message)

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.taken]


def _record() -> Record:
    record = Record(clock=lambda: 7.9)
    record.serve(17, "team/web")
    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")
    record.requested(17, None, 0, Verdict.DENIED, via="tls")
    return record


async def test_a_report_is_what_the_control_process_takes() -> None:
    record, control = _record(), Control()

    await report_once(record, control.send, node="g-1/dns")
    await report_once(record, control.send, node="g-1/dns")

    assert [seen_of(each) for each in control.taken] == [
        {
            "kind": "seen",
            "replica": "g-1",
            "names": [{"block": 17, "name": "a.example", "port": 443, "verdict": "allowed", "count": 1, "last": 7}],
            "other": [{"block": 17, "verdict": "denied", "count": 1}],
        }
    ]


async def test_what_does_not_arrive_is_sent_with_the_next_one() -> None:
    record, control = _record(), Control()
    control.fault = NotConnectedError()
    await report_once(record, control.send, node="g-1/dns")

    control.fault = None
    record.requested(17, "a.example", 443, Verdict.ALLOWED, via="tls")
    await report_once(record, control.send, node="g-1/dns")

    assert [each["names"][0]["count"] for each in control.reports()] == [2]
    assert [each["other"][0]["count"] for each in control.reports()] == [1]


async def test_what_is_refused_is_not_sent_again() -> None:
    record, control = _record(), Control()
    control.fault = RefusedError()
    await report_once(record, control.send, node="g-1/dns")

    control.fault = None
    await report_once(record, control.send, node="g-1/dns")

    assert control.taken == []
