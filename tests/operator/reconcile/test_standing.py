"""What an agent is told of the limits that its sidecar does not keep, read by the sidecar's own decoder."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import orjson

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.api.quota import Quota
from ringfence_operator.reconcile.quota_use import Use
from ringfence_operator.reconcile.standing import FRESH_SECONDS, Standings
from ringfence_sidecar.configuration import Standing, Used
from tests.operator.reconcile.fleet import Fleet, quota_body
from tests.operator.resources.objects import NOW

Raw = dict[str, Any]


class FakeSource:
    def __init__(self, **said: Use) -> None:
        self.said = said
        self.asked = 0

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        self.asked += 1
        return {each.id: self.said[each.resource] for each in quota.spec.limits if each.resource in self.said}


class Asked:
    """Agents `a` and `b`, and who answers for them."""

    def __init__(self, source: FakeSource, *limits: Raw) -> None:
        self.fleet = Fleet()
        self.now = NOW
        self.source = source
        for number, limit in enumerate(limits):
            self.fleet.quota(quota_body(f"q{number}", **limit))
        self.fleet.agent("a")
        self.fleet.agent("b")
        self.fleet.deliver()
        self.standings = Standings(self.fleet.view, (source,), clock=lambda: self.now)

    def used(self, agent: str = "a") -> tuple[Used, ...]:
        return msgspec.json.decode(orjson.dumps(self.standings.of(("team", agent))), type=Standing).used


MEMORY: Raw = {"resource": "memory", "max": "1Gi"}
AGENTS: Raw = {"resource": "agents", "max": 5, "scope": "Shared"}
SECONDS: Raw = {"resource": "podSeconds", "max": 100, "window": "Day", "alignment": "Calendar"}


def test_of_each_agents_own_limit_it_is_told_what_it_uses_itself_and_of_a_shared_one_what_all_do() -> None:
    memory, agents = Use(used=700.0, per_agent={"a": 300.0, "b": 700.0}), Use(used=2.0)
    asked = Asked(FakeSource(memory=memory, agents=agents), MEMORY, AGENTS)

    found = {agent: [(each.resource, each.shared, each.used) for each in asked.used(agent)] for agent in "ab"}

    assert found == {
        "a": [("memory", False, 300.0), ("agents", True, 2.0)],
        "b": [("memory", False, 700.0), ("agents", True, 2.0)],
    }
    assert {each.as_of for each in asked.used()} == {format_timestamp(NOW)}


def test_what_nobody_knows_is_not_told_to_be_nothing() -> None:
    source = FakeSource(memory=Use(used=700.0, per_agent={"b": 700.0}), agents=Use(used=0.0, is_measured=False))

    assert Asked(source, MEMORY, AGENTS, {"resource": "cpu", "max": 1}).used() == ()


def test_when_something_is_free_again_is_told_where_it_is_known() -> None:
    source = FakeSource(podSeconds=Use(used=50.0, per_agent={"a": 50.0}))

    (found,) = Asked(source, SECONDS).used()

    midnight = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    assert found.resets_at == midnight.timestamp()


def test_agents_that_look_again_and_again_are_told_what_was_worked_out_once() -> None:
    source = FakeSource(agents=Use(used=1.0))
    asked = Asked(source, AGENTS)
    asked.used()
    source.said["agents"] = Use(used=2.0)

    soon = asked.used("b")
    asked.now += timedelta(seconds=FRESH_SECONDS)
    later = asked.used("b")

    assert ([each.used for each in soon], [each.used for each in later]) == ([1.0], [2.0])
    assert source.asked == 2


def test_of_an_agent_that_is_not_there_nothing_is_told() -> None:
    assert Asked(FakeSource(agents=Use(used=1.0)), AGENTS).used("nobody") == ()
