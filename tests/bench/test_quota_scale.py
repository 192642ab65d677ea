from typing import Any, cast

import pytest

from bench.audit import Write
from bench.quota.fleet import Fleet
from bench.quota.scale import Quiet, _counting_rows, _rows

FLEET = Fleet(cast("Any", None), cast("Any", None), "team", agents=20, quotas=2)


def write(at: float, resource: str = "quotas/status", name: str = "q-00000") -> Write:
    return Write("ringfence-operator", "", "update", resource, "team", name, 200, at, at)


def quiet(*writes: Write) -> Quiet:
    return Quiet(120.0, writes, leases=12, cpu=1.0, rss=100.0, busy="")


def verdicts(*writes: Write) -> list[bool | None]:
    return [row.holds for row in _counting_rows(FLEET, quiet(*writes))][1:4]


def test_a_write_in_a_quiet_time_is_a_row_that_is_missed() -> None:
    nothing, something = (_rows(FLEET, each, "without podSeconds")[0] for each in (quiet(), quiet(write(1.0))))

    assert (nothing.measured, nothing.holds) == (0, True)
    assert (something.measured, something.holds) == (0.5, False)


def test_a_count_that_grows_by_a_hundredth_a_minute_is_written_as_often() -> None:
    others = [write(at, name="q-00001") for at in (5.0, 65.0, 125.0)]

    assert verdicts(write(1.0), write(61.0), *others) == [True, True, True]


@pytest.mark.parametrize(
    ("writes", "missed"),
    [
        ([write(at) for at in (0, 30, 60, 90)], 0),
        ([write(0), write(9)], 1),
        ([write(0, "agents/status", "a-00000")], 2),
    ],
    ids=["too often", "too soon", "something else"],
)
def test_each_way_of_writing_without_a_change_is_a_row_that_is_missed(writes: list[Write], missed: int) -> None:
    assert [number for number, holds in enumerate(verdicts(*writes)) if not holds] == [missed]
