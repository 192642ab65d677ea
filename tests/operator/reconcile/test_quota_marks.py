"""Of a limit that each agent has to itself each agent is told of, once, whoever writes the status and however often."""

from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.reconcile.quota import QuotaTools
from ringfence_operator.reconcile.quota_news import LEAST_SILENCE_SECONDS, MOST_AT_ONCE
from ringfence_operator.reconcile.quota_use import Warned
from tests.operator.reconcile.test_quota import Limited
from tests.operator.resources.objects import NOW

Raw = dict[str, Any]
OPEN: Raw = {"resource": "networkConnections", "max": 100, "warnAt": [50, 80]}
QUERIES: Raw = {"resource": "queries", "max": 10, "window": "Day", "warnAt": [80]}


class Each(Limited):
    """A limit of each agent's own, of which a source says what each agent uses, or what its calls were told."""

    def __init__(self, limit: Raw, agents: int = 2) -> None:
        super().__init__(limit, agents=agents)
        self._id = self.quota.spec.limits[0].id

    async def say(self, *, after: float = 10.0, **used: float) -> list[str]:
        """Have it looked at while agents use this, and return whose Events that brings, with the percentage."""
        self.use(max(used.values()), self._id, per_agent=used)
        return await self._told(after)

    async def hear(self, *warned: tuple[str, int], refused: dict[str, int] | None = None) -> list[str]:
        """The same while calls of these agents were warned so many seconds after the beginning, or refused."""
        told = tuple(Warned(80, agent, NOW + timedelta(seconds=at)) for agent, at in warned)
        times = {agent: NOW + timedelta(seconds=at) for agent, at in (refused or {}).items()}
        last = max(times, key=lambda agent: times[agent], default="")
        used = 8.0 if warned else 7.0
        self.use(
            used,
            self._id,
            per_agent={"a0": used, "a1": used},
            warned=told,
            refused=times,
            refused_at=times.get(last),
            refused_agent=last,
        )
        return await self._told(10.0)

    def restart(self) -> None:
        """The operator begins anew, and knows what the API server knows."""
        self.tools = QuotaTools(self.view, self.api, (self.source,))
        self.api.writes.clear()

    async def _told(self, after: float) -> list[str]:
        before = len(self.events)
        await self.run(after=after)
        return [message for _, _, message in self.events[before:]]


async def test_each_agent_that_comes_to_a_percentage_is_told_with_its_own_use() -> None:
    each = Each(OPEN)

    first = await each.say(a0=85, a1=10)
    second = await each.say(a0=95, a1=81)

    assert first == [f"networkConnections 85/100: {percent} % is reached by agent a0" for percent in (50, 80)]
    assert second == [f"networkConnections 81/100: {percent} % is reached by agent a1" for percent in (50, 80)]
    assert each.raw["status"]["limits"][0]["lastWarning"]["agent"] == "a1"
    assert [warnings for _, _, warnings, _ in each.view.quota_knowledge.series()] == [4]


async def test_who_came_there_and_went_between_two_writes_is_told() -> None:
    each = Each(OPEN)
    await each.say(a0=60, a1=10)
    await each.say(a0=60, a1=90, after=3)

    told = await each.say(a0=60, a1=10, after=7)

    assert [message.split(": ")[1] for message in told] == [
        "50 % is reached by agent a1",
        "80 % is reached by agent a1",
    ]


async def test_an_operator_that_begins_tells_and_writes_nothing_again() -> None:
    each = Each(OPEN, agents=8)
    used = {f"a{number}": 90.0 - number for number in range(8)}
    await each.say(**used)
    each.restart()

    told = [await each.say(**used) for _ in range(3)]

    assert (told, each.api.writes) == ([[], [], []], [])


async def test_an_operator_that_begins_tells_who_came_there_meanwhile() -> None:
    each = Each(OPEN)
    await each.say(a0=60, a1=10)
    each.restart()

    told = await each.say(a0=60, a1=55)

    assert told == ["networkConnections 55/100: 50 % is reached by agent a1"]


async def test_an_agent_beyond_those_that_the_status_names_is_told_and_again_when_it_was_silent_for_long() -> None:
    each = Each(OPEN, agents=7)
    used = {f"a{number}": 99.0 for number in range(6)}
    await each.say(**used, a6=10)
    writes = len(each.api.writes)

    first = await each.say(**used, a6=60)
    down = await each.say(**used, a6=10)
    again = await each.say(**used, a6=60, after=LEAST_SILENCE_SECONDS)

    assert [message[-2:] for message in (*first, *again)] == ["a6", "a6"]
    assert (down, len(each.api.writes) - writes) == ([], 4)


async def test_what_another_replica_has_told_meanwhile_is_not_told_again() -> None:
    each = Each(OPEN)
    await each.say(a0=10, a1=10)
    here = each.tools
    each.restart()
    await each.say(a0=10, a1=60)
    each.tools = here

    told = await each.say(a0=10, a1=60)

    assert told == []


async def test_all_agents_whose_calls_were_warned_within_one_look_are_told() -> None:
    each = Each(QUERIES)

    told = await each.hear(("a0", -3), ("a1", -1))

    assert told == [f"queries 8/10 per Day: 80 % is reached by agent {agent}" for agent in ("a0", "a1")]


async def test_a_warning_in_the_second_of_one_that_was_told_is_told_without_a_write_of_the_status() -> None:
    each = Each(QUERIES)
    await each.hear(("a1", 5))
    each.api.writes.clear()

    told = await each.hear(("a1", 5), ("a0", 5))
    again = await each.hear(("a1", 5), ("a0", 5))

    assert [message[-2:] for message in told] == ["a0"]
    assert (again, each.api.writes) == ([], ["create events"])


async def test_all_agents_that_were_refused_within_one_look_are_told() -> None:
    each = Each(QUERIES)

    told = await each.hear(refused={"a0": -3, "a1": -1})
    each.restart()
    again = await each.hear(refused={"a0": -3, "a1": -1})

    assert [message[-16:] for message in told] == ["refused agent a0", "refused agent a1"]
    assert (again, each.api.writes) == ([], [])


async def test_of_very_many_at_once_some_are_told_and_how_many_more() -> None:
    each = Each(OPEN, agents=100)

    told = await each.say(**{f"a{number:02}": 60.0 for number in range(100)})

    assert len(told) == MOST_AT_ONCE - 1
    assert (
        told[-1]
        == "networkConnections 60/100: 50 % is reached by agent a23, and 76 more of this limit at the same time"
    )
    assert [warnings for _, _, warnings, _ in each.view.quota_knowledge.series()] == [100]


@pytest.mark.parametrize(("before", "warn_at", "expected"), [(60, [50, 55], ["55"]), (60, [50], [])])
async def test_a_percentage_that_is_written_later_is_told_of_who_is_above_it(
    before: float, warn_at: list[int], expected: list[str]
) -> None:
    each = Each({**OPEN, "warnAt": [50]})
    await each.say(a0=before)
    each.change("quotas", "q", limits=[{**OPEN, "warnAt": warn_at}])

    told = await each.say(a0=before)

    assert [message.split(": ")[1][:2] for message in told] == expected
