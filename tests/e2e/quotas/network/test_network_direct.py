"""What an agent moves past the gateway, to addresses that its policy opens."""

from tests.e2e.quotas.network.team import MEGA, Team, download, on_bytes, until_closed, until_open
from tests.e2e.world import World

OUTSIDE = "203.0.113.11"


def test_what_goes_to_an_address_counts_as_the_kubelet_tells_and_is_closed_as_well(world: World) -> None:
    team = Team(world, [on_bytes()], network={"cidrs": [{"cidr": f"{OUTSIDE}/32"}]})
    one, other = team.agent("one"), team.agent("other")

    moved = download(one, 20 * MEGA, host=OUTSIDE)
    until_closed(one)
    closed, goes_on = download(one, 1_000, host=OUTSIDE), download(other, MEGA, host=OUTSIDE)
    team.change(on_bytes(100 * MEGA))
    until_open(one, host=OUTSIDE)

    assert moved == {"received": 20 * MEGA, "ended": "whole"}
    assert closed == {"received": 0, "ended": "refused"}
    assert goes_on == {"received": MEGA, "ended": "whole"}
