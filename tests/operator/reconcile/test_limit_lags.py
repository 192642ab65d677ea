"""A quota says so while one of its limits does not hold for the pod of an agent that runs."""

from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.quota import Quota
from ringfence_operator.errors import ForbiddenError
from ringfence_operator.reconcile.quota import LOOKED_SECONDS, QuotaTools, reconcile_quota
from ringfence_operator.reconcile.quota_admission import agent_gone
from ringfence_operator.reconcile.quota_sources import NodeLimits
from ringfence_operator.settings import Settings
from tests.operator.reconcile.fleet import Fleet, quota_body
from tests.operator.reconcile.test_resize import RESIZED, carry_out, start

Raw = dict[str, Any]
SMALL: Raw = {"resource": "memory", "max": "256Mi"}
LARGE: Raw = {"resource": "memory", "max": "1Gi"}
DISK: Raw = {"resource": "ephemeralStorage", "max": "128Mi"}
BYTES: Raw = {"resource": "networkBytes", "max": "1G", "window": "Day"}


@pytest.fixture
async def fleet() -> Fleet:
    """One agent that runs, with limits of 1 core and 512Mi."""
    fleet = Fleet()
    await start(fleet)
    return fleet


def limit(fleet: Fleet, *limits: Raw, name: str = "q") -> None:
    body = quota_body(name)
    body["spec"]["limits"] = list(limits)
    fleet.quota(body)


async def say(fleet: Fleet, name: str = "q") -> tuple[str, str, str]:
    """Return what the quota says of itself: whether it is ready, why, and in which words."""
    quota = fleet.view.quotas.get("team", name)
    assert isinstance(quota, Quota)
    await reconcile_quota(quota, QuotaTools(fleet.view, fleet.api, (NodeLimits(fleet.view),)), now=fleet.now)
    fleet.deliver()
    found = {each["type"]: each for each in fleet.api.objects["quotas", "team", name]["status"]["conditions"]}
    return found["Ready"]["status"], found["Ready"]["reason"], found["Ready"]["message"]


async def test_a_resize_that_is_refused_is_told_by_the_quotas_whose_limit_is_passed(fleet: Fleet) -> None:
    limit(fleet, SMALL)
    limit(fleet, LARGE, name="wide")
    fleet.api.refuse[RESIZED] = ForbiddenError("exceeded quota")
    await fleet.look("a")
    fleet.deliver()

    ready, reason, message = await say(fleet)
    wide = await say(fleet, "wide")

    assert (ready, reason) == ("False", "ResizeRefused")
    assert message == "memory: agent a: its pod has 512Mi; the agent's condition LimitsOutdated says why"
    assert wide[:2] == ("True", "Enforced")


@pytest.mark.parametrize(("word", "stalled"), [("Deferred", False), ("Infeasible", True)])
async def test_a_resize_that_the_kubelet_does_not_make_is_told_until_it_does(
    fleet: Fleet, word: str, stalled: bool
) -> None:
    carry_out(fleet)
    limit(fleet, SMALL)
    await fleet.look("a")
    pending = {"type": "PodResizePending", "status": "True", "reason": word, "message": "not now"}
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["status"]["conditions"].append(pending))
    fleet.deliver()
    await fleet.look("a")

    ready, reason, _ = await say(fleet)
    kinds = {each["type"] for each in fleet.api.objects["quotas", "team", "q"]["status"]["conditions"]}
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["status"]["conditions"].remove(pending))
    carry_out(fleet)
    await fleet.look("a")

    assert (ready, reason) == ("False", f"Resize{word}")
    assert kinds == {"Ready", "Stalled" if stalled else "Reconciling"}
    assert (await say(fleet))[:2] == ("True", "Enforced")


async def test_what_only_a_new_pod_gets_is_told_until_there_is_one(fleet: Fleet) -> None:
    limit(fleet, DISK)
    await fleet.look("a")
    fleet.deliver()

    before = await say(fleet)
    fleet.end("a")
    await fleet.look("a")

    assert before[:2] == ("False", "NeedsNewPod")
    assert before[2].startswith("ephemeralStorage: agent a: its pod has ")
    assert (await say(fleet))[:2] == ("True", "Enforced")


async def test_a_changed_quota_is_not_said_to_be_kept_before_the_pass_of_an_agent_that_runs(fleet: Fleet) -> None:
    limit(fleet, DISK)
    tools = QuotaTools(fleet.view, fleet.api, (NodeLimits(fleet.view),))
    quota = fleet.view.quotas.get("team", "q")
    assert isinstance(quota, Quota)

    again = await reconcile_quota(quota, tools, now=fleet.now)
    unsaid = fleet.api.objects["quotas", "team", "q"].get("status")
    await fleet.look("a")
    fleet.deliver()

    assert unsaid is None
    assert again is not None
    assert again <= 1
    assert (await say(fleet))[:2] == ("False", "NeedsNewPod")


async def test_a_changed_quota_does_not_wait_for_ever_for_an_agents_pass(fleet: Fleet) -> None:
    limit(fleet, SMALL)
    tools = QuotaTools(fleet.view, fleet.api, (NodeLimits(fleet.view),))
    quota = fleet.view.quotas.get("team", "q")
    assert isinstance(quota, Quota)

    await reconcile_quota(quota, tools, now=fleet.now)
    await reconcile_quota(quota, tools, now=fleet.now + timedelta(seconds=LOOKED_SECONDS))

    assert fleet.api.objects["quotas", "team", "q"]["status"]["observedGeneration"] == 1


async def test_nothing_counts_the_network_of_an_agent_that_nothing_confines() -> None:
    fleet = Fleet(Settings(minimum_isolation=Isolation.NONE))
    await start(fleet, isolation="None")
    limit(fleet, BYTES)
    await fleet.look("a")

    ready, reason, message = await say(fleet)

    assert (ready, reason) == ("False", "NotSupported")
    assert "agent a: isolation None leads nothing through the gateway" in message


async def test_a_quota_is_looked_at_when_something_else_is_to_be_said_and_not_each_time(fleet: Fleet) -> None:
    told: list[tuple[str, str]] = []
    fleet.view.lags.on_use = told.append
    limit(fleet, DISK)

    for _ in range(3):
        await fleet.look("a")
        fleet.deliver()

    assert told == [("team", "q")]


async def test_a_limit_that_nobody_measures_has_no_figures_though_it_lags(fleet: Fleet) -> None:
    limit(fleet, DISK)
    await fleet.look("a")
    await say(fleet)

    (row,) = fleet.api.objects["quotas", "team", "q"]["status"]["limits"]
    assert "used" not in row


async def test_an_agent_that_is_gone_is_not_told_of(fleet: Fleet) -> None:
    limit(fleet, DISK)
    await fleet.look("a")

    agent_gone(("team", "a"), "agent-uid", fleet.view)

    assert fleet.view.lags.by_agent == {}
