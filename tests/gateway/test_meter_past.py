import json
from typing import Any

import pytest

from ringfence_gateway.meter.history import GRAINS
from ringfence_gateway.meter_past import MeterPast

NOW = 1_800_000_000.0


def count(meter: str = "gateway-0/a", *, at: float = NOW) -> dict[str, Any]:
    slots = {"Month": {str(GRAINS["Month"].slot(at)): 7}}
    return {"meter": meter, "total": 7, "open": 0, "refused": 1, "cut": 2, "pods": {"pod-one": 7}, "slots": slots}


def past(now: float, *agents: str, counts: tuple[dict[str, Any], ...]) -> MeterPast:
    made = MeterPast(clock=lambda: now)
    for agent in agents:
        made.put(agent, json.dumps({"agent": agent, "counts": counts}).encode())
    return made


def test_what_was_given_is_told_in_the_name_of_the_meters_that_counted_it() -> None:
    made = past(NOW, "one", "two", "three", counts=(count("gateway-0/a"), count("gateway-1/b")))

    found = list(made.reports(most=2))

    told = [(each["meter"], [it["agent"] for it in each["agents"]]) for each in found]
    assert told == [(meter, some) for meter in ("gateway-0/a", "gateway-1/b") for some in (["one", "two"], ["three"])]
    assert all(each["isPast"] for each in found)
    assert found[0]["agents"][0] == {"agent": "one", **{k: v for k, v in count().items() if k != "meter"}}


def test_what_an_operator_that_begins_knows_nothing_of_is_kept_though_it_takes_it_away() -> None:
    made = past(NOW, "one", counts=(count(),))

    made.remove("one")

    assert len(list(made.reports(most=500))) == 1


def test_what_counts_in_no_window_any_more_is_forgotten() -> None:
    made = past(NOW + 32 * 86_400, "one", counts=(count(), count("gateway-0/b", at=NOW + 31 * 86_400)))

    assert [each["meter"] for each in made.reports(most=500)] == ["gateway-0/b"]


@pytest.mark.parametrize("value", [b"{}", b"[]", b'{"counts": [{}]}', b'{"counts": [7]}'])
def test_what_is_no_such_thing_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="not what meters had counted"):
        MeterPast().put("one", value)
