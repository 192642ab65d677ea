"""Under a Hard limit on the network no agent runs of which nobody counts what it moves."""

from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.settings import Settings
from tests.operator.reconcile.fleet import Fleet, quota_body
from tests.operator.reconcile.test_resize import start

Raw = dict[str, Any]
BYTES: Raw = {"resource": "networkBytes", "max": "1G", "window": "Day"}
CONNECTIONS: Raw = {"resource": "networkConnections", "max": 20}
WARNING: Raw = {"enforcement": "Warn"}
MEMORY: Raw = {"resource": "memory", "max": "1Gi"}
OPEN = Settings(minimum_isolation=Isolation.NONE)
CLOSED = Settings()


def quota(*limits: Raw) -> Raw:
    body = quota_body()
    body["spec"]["limits"] = list(limits)
    return body


@pytest.mark.parametrize(
    ("settings", "isolation", "limits", "expected"),
    [
        (OPEN, "None", [BYTES], "NotSupported"),
        (OPEN, "None", [CONNECTIONS], "NotSupported"),
        (OPEN, "None", [MEMORY, BYTES | {"scope": "Shared"}], "NotSupported"),
        (OPEN, "None", [BYTES | WARNING, CONNECTIONS | WARNING], ""),
        (OPEN, "None", [MEMORY], ""),
        (OPEN, "Basic", [BYTES, CONNECTIONS], ""),
        (CLOSED.model_copy(update={"egress_backend": "none"}), "Basic", [BYTES], "NotSupported"),
        (CLOSED.model_copy(update={"egress_backend": "cilium"}), "Container", [CONNECTIONS], "NotSupported"),
        (CLOSED.model_copy(update={"egress_backend": "none"}), "Basic", [BYTES | WARNING], ""),
        (CLOSED.model_copy(update={"egress_backend": "none"}), "Basic", [MEMORY], ""),
    ],
)
async def test_an_agent_gets_a_pod_only_where_its_hard_limits_on_the_network_are_counted(
    settings: Settings, isolation: str, limits: list[Raw], expected: str
) -> None:
    fleet = Fleet(settings)
    fleet.quota(quota(*limits))

    await fleet.look(fleet.agent("a", isolation=isolation))

    assert fleet.pods == ([] if expected else ["a"])
    assert fleet.condition("a", "Stalled").get("reason", "") == expected


@pytest.mark.parametrize(
    ("settings", "isolation", "words"),
    [
        (OPEN, "None", "networkBytes of Quota q is counted: write isolation Basic or a stricter level"),
        (CLOSED.model_copy(update={"egress_backend": "none"}), "Basic", "RINGFENCE_OPERATOR_EGRESS_BACKEND to envoy"),
    ],
)
async def test_it_is_said_what_to_write_instead(settings: Settings, isolation: str, words: str) -> None:
    fleet = Fleet(settings)
    fleet.quota(quota(BYTES))

    await fleet.look(fleet.agent("a", isolation=isolation))

    assert words in fleet.condition("a", "Ready")["message"]


async def test_an_agent_that_runs_goes_on_under_a_quota_that_comes_and_says_that_it_is_not_as_it_should_be() -> None:
    fleet = Fleet(OPEN)
    await start(fleet, isolation="None")
    fleet.quota(quota(BYTES))

    await fleet.look("a")
    fleet.deliver()

    assert fleet.pods == ["a"]
    assert (fleet.condition("a", "Ready")["status"], fleet.condition("a", "Ready")["reason"]) == (
        "False",
        "NotSupported",
    )


async def test_an_agent_that_gives_up_its_isolation_under_such_a_limit_runs_no_more() -> None:
    fleet = Fleet(OPEN)
    fleet.quota(quota(BYTES))
    await start(fleet)
    fleet.api.change(("agents", "team", "a"), lambda raw: raw["spec"].update(isolation="None"), is_spec=True)
    fleet.deliver()

    for _ in range(3):
        await fleet.look("a")
        fleet.deliver()

    assert (fleet.pods, fleet.condition("a", "Ready")["reason"]) == ([], "NotSupported")


async def test_agents_wait_no_more_once_the_limit_only_warns() -> None:
    fleet = Fleet(OPEN)
    fleet.quota(quota(BYTES))
    await fleet.look(fleet.agent("a", isolation="None"))
    fleet.deliver()
    before = fleet.pods
    fleet.api.change(("quotas", "team", "q"), lambda raw: raw["spec"].update(limits=[BYTES | WARNING]), is_spec=True)
    fleet.deliver()

    await fleet.look("a")

    assert (before, fleet.pods) == ([], ["a"])
