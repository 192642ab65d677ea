"""What is measured while something is closed and opened by turns, with an agent that knows of it a moment later."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench import toggled
from bench.toggled import Toggled, rows, samples

REFUSED = 403
LAG = 0.05


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toggled, "LEAD", 0.1)
    monkeypatch.setattr(toggled, "GAP", 0.4)
    monkeypatch.setattr(toggled, "BATCH", 2)


class Place:
    """Calls are judged by what was written `lag` seconds ago."""

    def __init__(self, *, lag: float = LAG, otherwise: int = REFUSED) -> None:
        self.written = [(0.0, True)]
        self.asked: list[tuple[Any, ...]] = []
        self._lag = lag
        self._otherwise = otherwise

    def write(self, is_open: bool) -> None:
        self.written.append((time.time(), is_open))

    def script(self, name: str, *arguments: Any, **_: Any) -> list[tuple[float, float, int]]:
        lasts, *call = arguments
        self.asked.append((name, *call))
        until, found = time.time() + lasts, []
        while (now := time.time()) < until:
            is_open = [each for at, each in self.written if at <= now - self._lag][-1]
            found.append((now, now + 0.001, 200 if is_open else self._otherwise))
            time.sleep(0.002)
        return found


def of(place: Place) -> Toggled:
    agent = cast("Any", SimpleNamespace(pod=place))
    return Toggled(agent=agent, call=("POST", "/v1/x", {"a": 1}), write=place.write, refused=REFUSED)


def test_each_change_has_the_time_until_calls_went_as_it_says() -> None:
    place = Place()

    of(place).until_served()
    found = of(place).often(4, note=lambda _: None)

    assert [each.is_open for each, _ in found] == [False, True, False, True]
    assert all(LAG * 1000 <= ms <= 300 for _, ms in found), found
    assert all(each == ("calls", "POST", "/v1/x", {"a": 1}) for each in place.asked)


def test_a_change_that_never_holds_is_beyond_the_limit_and_null_among_the_samples() -> None:
    found = of(Place(lag=60)).often(2, note=lambda _: None)

    closed, *_ = rows(found, "closed", "opened", limit=1000, note="")

    assert (closed.holds, closed.measure) == (False, "closed, p50 of 1")
    assert samples(found)[0] == (False, None)


def test_a_call_that_is_answered_otherwise_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="answered with 503"):
        of(Place(otherwise=503)).often(2, note=lambda _: None)
