"""What an agent moves through the gateway, counted and cut at its limit, from inside the agent's container."""

from tests.e2e.egress.test_away import scale
from tests.e2e.installation import GATEWAY, OPERATOR, Installation
from tests.e2e.kube import address
from tests.e2e.quotas.network.team import (
    MEGA,
    Team,
    download,
    on_bytes,
    until_closed,
    until_open,
    use_up,
    why_closed,
)
from tests.e2e.world import World


def test_a_download_is_cut_at_the_limit_and_another_agent_of_the_policy_goes_on(world: World) -> None:
    team = Team(world, [on_bytes()])
    one, other = team.agent("one"), team.agent("other")

    within = download(one, MEGA)
    # Until somebody has added them up, a replica of the gateway knows of its own connections only.
    team.row("networkBytes", lambda it: it["percent"] >= 33)
    beyond = download(one, 20 * MEGA)
    again = download(one, 1_000)
    closed = until_closed(one)
    goes_on = download(other, 2 * MEGA)

    assert within == {"received": MEGA, "ended": "whole"}
    assert beyond["ended"] == "cut"
    assert beyond["received"] <= 2 * MEGA
    assert again == {"received": 0, "ended": "refused"}
    assert why_closed(closed).startswith("QuotaExceeded: Quota net-")
    assert "all 3M networkBytes per Hour are used up; there is more at" in why_closed(closed)
    assert goes_on == {"received": 2 * MEGA, "ended": "whole"}


def test_the_quota_says_who_used_what_and_the_agent_has_an_event(world: World) -> None:
    team = Team(world, [on_bytes()])
    one = team.agent("one")

    use_up(one)
    closed = until_closed(one)
    row = team.row("networkBytes", lambda it: it.get("refusals", 0) > 0 and it["remaining"] == "0")

    assert row["used"] == "3M"
    assert [each["name"] for each in row["topAgents"]] == [one.name]
    assert row["lastRefusal"]["agent"] == one.name
    assert row["resetsAt"]
    world.until_event(closed["metadata"]["uid"], lambda event: event["reason"] == "QuotaExceeded")


def test_whoever_asks_the_proxy_is_told_why(world: World) -> None:
    team = Team(world, [on_bytes()])
    one = team.agent("one")
    use_up(one)
    until_closed(one)

    answer = one.pod.script("fetch", [{"via": "proxy", "url": "http://api.test/", "name": "api.test"}])[0]

    assert answer["refused"] == 429
    assert "networkBytes per Hour are used up" in answer["body"]


def test_what_one_has_used_of_a_shared_limit_is_used_for_all(world: World) -> None:
    team = Team(world, [on_bytes(scope="Shared")])
    one, other = team.agent("one"), team.agent("other")
    until_open(other)

    beyond = download(one, 20 * MEGA)
    until_closed(other)
    refused = download(other, 1_000)

    assert beyond["ended"] == "cut"
    assert refused == {"received": 0, "ended": "refused"}


def test_warn_lets_everything_through_and_tells(world: World) -> None:
    team = Team(world, [on_bytes(enforcement="Warn", warnAt=[50])])
    one = team.agent("one")

    found = download(one, 6 * MEGA)
    row = team.row("networkBytes", lambda it: it["percent"] >= 200)

    assert found == {"received": 6 * MEGA, "ended": "whole"}
    assert row["warned"] == 50


def test_the_way_opens_by_itself_as_the_window_frees(world: World) -> None:
    team = Team(world, [on_bytes(window="Minute")])
    one = team.agent("one")
    use_up(one)
    until_closed(one)

    until_open(one)

    one.until(lambda it: why_closed(it or {}) == "", seconds=30)


def test_a_higher_limit_opens_and_a_quota_that_is_gone_limits_nothing(world: World) -> None:
    team = Team(world, [on_bytes()])
    one = team.agent("one")
    use_up(one)
    until_closed(one)

    team.change(on_bytes(8 * MEGA))
    until_open(one, seconds=30)
    higher = download(one, 20 * MEGA)
    until_closed(one)
    world.kube.delete(team.quota)
    until_open(one, seconds=60)

    assert higher["ended"] == "cut"
    assert 4 * MEGA <= higher["received"] <= 5 * MEGA
    assert download(one, 20 * MEGA)["ended"] == "whole"


def test_an_agent_that_the_quota_does_not_select_is_not_limited(world: World) -> None:
    team = Team(world, [on_bytes()])
    free = team.agent("free", team="other")

    assert download(free, 6 * MEGA) == {"received": 6 * MEGA, "ended": "whole"}


def test_without_the_operator_the_limit_holds_and_nothing_opens(alone: World) -> None:
    team = Team(alone, [on_bytes(window="Minute")])
    one, closed = team.agent("one"), team.agent("closed")
    use_up(closed)
    until_closed(closed)
    until_open(one)

    scale(alone, OPERATOR, 0)
    try:
        beyond = download(one, 20 * MEGA)
        still = download(closed, 1_000)
    finally:
        scale(alone, OPERATOR, 2)

    assert beyond["ended"] == "cut"
    # Each replica of the gateway knows of its own connections only, until somebody adds them up.
    assert beyond["received"] <= 3 * MEGA
    assert still == {"received": 0, "ended": "refused"}
    until_open(closed)


def test_what_was_used_before_the_gateway_restarted_is_used(alone: World, installed: Installation) -> None:
    team = Team(alone, [on_bytes()])
    one = team.agent("one")
    assert download(one, 2 * MEGA)["ended"] == "whole"
    team.row("networkBytes", lambda it: it["percent"] >= 66)

    _restart_gateway(alone, installed)
    until_open(one)
    beyond = download(one, 20 * MEGA)

    assert beyond["ended"] == "cut"
    assert beyond["received"] < MEGA


def test_what_was_used_before_the_operator_restarted_is_used(alone: World) -> None:
    team = Team(alone, [on_bytes()])
    one = team.agent("one")
    assert download(one, 2 * MEGA)["ended"] == "whole"

    scale(alone, OPERATOR, 0)
    scale(alone, OPERATOR, 2)
    team.row("networkBytes", lambda it: it["percent"] >= 66)
    beyond = download(one, 20 * MEGA)

    assert beyond["ended"] == "cut"
    assert beyond["received"] < MEGA


def test_what_was_used_before_the_gateway_and_then_the_operator_restarted_is_used(
    alone: World, installed: Installation
) -> None:
    team = Team(alone, [on_bytes()])
    one = team.agent("one")
    assert download(one, 2 * MEGA)["ended"] == "whole"
    team.row("networkBytes", lambda it: it["percent"] >= 66)

    _restart_gateway(alone, installed)
    # What goes through now goes through meters that know of the ones before.
    until_open(one)
    scale(alone, OPERATOR, 0)
    scale(alone, OPERATOR, 2)
    # The row is of a status that the operator before has written; this agent is known to the one that leads now.
    until_open(team.agent("other"))
    beyond = download(one, 20 * MEGA)

    assert beyond["ended"] == "cut"
    assert beyond["received"] < MEGA


def _restart_gateway(world: World, installed: Installation) -> None:
    """Restart the meter of every replica, one after the other."""
    for pod in installed.pods(GATEWAY):
        pod.exec("/app/bin/python", "-c", "import os; os.kill(1, 15)", container="names")
        world.kube.until(address("Pod", pod.namespace, pod.name), _has_restarted, seconds=60)


def _has_restarted(pod: dict[str, object] | None) -> bool:
    statuses = (pod or {}).get("status", {}).get("containerStatuses", ())  # type: ignore[attr-defined]
    return any(each["name"] == "names" and each["restartCount"] and each["ready"] for each in statuses)
