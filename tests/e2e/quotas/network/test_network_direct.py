"""What an agent moves past the gateway, to addresses that its policy opens."""

from tests.e2e.quotas.network.team import MEGA, Team, download, on_bytes, until_closed, until_open, use_up
from tests.e2e.world import World, reason_of

OUTSIDE = "203.0.113.11"


def test_what_is_used_up_at_the_gateway_closes_the_ways_past_it_as_well(world: World) -> None:
    team = Team(world, [on_bytes()], network={"cidrs": [{"cidr": f"{OUTSIDE}/32"}]})
    one, other = team.agent("one"), team.agent("other")
    before = download(one, 1_000, host=OUTSIDE)

    use_up(one)
    until_closed(one)
    closed, goes_on = download(one, 1_000, host=OUTSIDE), download(other, 1_000, host=OUTSIDE)
    team.change(on_bytes(100 * MEGA))
    until_open(one, host=OUTSIDE)

    assert before == goes_on == {"received": 1_000, "ended": "whole"}
    assert closed == {"received": 0, "ended": "refused"}


def test_a_quota_says_that_a_kubelet_does_not_tell_what_goes_past_the_gateway(world: World) -> None:
    """The development cluster's kubelet has no network statistics of pods."""
    team = Team(world, [on_bytes()], network={"cidrs": [{"cidr": f"{OUTSIDE}/32"}]})
    team.agent("one")

    found = world.kube.until(team.quota, lambda it: reason_of(it) == "NotSupported", seconds=60)

    assert "the kubelet does not say" in str(found)
