"""What an agent moves past the gateway, to addresses that its policy opens."""

from tests.e2e.quotas.network.team import MEGA, Team, download, on_bytes, until_closed, until_open, why_closed
from tests.e2e.world import World, reason_of

OUTSIDE = "203.0.113.11"
DIRECT = {"cidrs": [{"cidr": f"{OUTSIDE}/32"}]}
CLOSED = {"received": 0, "ended": "refused"}
OPEN = {"received": 1_000, "ended": "whole"}


def test_ways_past_the_gateway_that_nobody_counts_are_closed_under_a_hard_limit_and_open_under_warn(
    world: World,
) -> None:
    """The development cluster's kubelet has no network statistics of pods."""
    team = Team(world, [on_bytes(100 * MEGA)], network=DIRECT)
    one = team.agent("one")

    begins = why_closed(until_closed(one))
    closed = download(one, 1_000, host=OUTSIDE), download(one, 1_000)
    late = one.until(lambda it: why_closed(it or {}).startswith("CountUnavailable"), seconds=100)
    still = download(one, 1_000, host=OUTSIDE)
    team.change(on_bytes(100 * MEGA, enforcement="Warn"))
    until_open(one, host=OUTSIDE)
    opened = download(one, 1_000, host=OUTSIDE)

    assert begins.startswith(("CountPending", "CountUnavailable"))
    assert (*closed, still) == (CLOSED, CLOSED, CLOSED)
    assert opened == OPEN
    assert "enforcement Warn" in why_closed(late)
    world.until_event(late["metadata"]["uid"], lambda event: event["reason"] == "CountUnavailable")
    one.until(lambda it: why_closed(it or {}) == "", seconds=30)


def test_under_a_hard_limit_whoever_has_no_ways_past_the_gateway_begins_open(world: World) -> None:
    team = Team(world, [on_bytes()])
    one = team.agent("one")

    until_open(one)

    assert why_closed(one.get()) == ""


def test_a_limit_that_becomes_hard_closes_what_nobody_counts_within_a_minute_or_so(world: World) -> None:
    team = Team(world, [on_bytes(100 * MEGA, enforcement="Warn")], network=DIRECT)
    one = team.agent("one")
    until_open(one, host=OUTSIDE)

    team.change(on_bytes(100 * MEGA))
    one.until(lambda it: why_closed(it or {}).startswith("CountUnavailable"), seconds=100)

    assert download(one, 1_000, host=OUTSIDE) == CLOSED


def test_a_quota_says_that_a_kubelet_does_not_tell_what_goes_past_the_gateway(world: World) -> None:
    """The development cluster's kubelet has no network statistics of pods."""
    team = Team(world, [on_bytes()], network=DIRECT)
    team.agent("one")

    found = world.kube.until(team.quota, lambda it: reason_of(it) == "NotSupported", seconds=60)

    assert "the kubelet does not say" in str(found)
    assert "nothing goes out" in str(found)
