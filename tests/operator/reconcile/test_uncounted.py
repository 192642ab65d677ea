"""Ways past the gateway under a Hard limit on bytes, from the pod's making to a kubelet that falls silent."""

from dataclasses import replace
from typing import Any

import pytest

from ringfence_operator.api.conditions import Reason
from ringfence_operator.settings import Settings
from tests.operator.reconcile.pool_world import PoolWorld
from tests.operator.reconcile.test_decide import port_set
from tests.operator.reconcile.test_meters import BYTES, Told
from tests.operator.reconcile.world import World
from tests.operator.resources.objects import policy_body, quota_body

Raw = dict[str, Any]
LABEL = "ringfence.dev/policy"
DIRECT: Raw = {"cidrs": [{"cidr": "203.0.113.0/24"}]}
NAMES: Raw = {"allowedDomains": [{"name": "a.io"}]}


class Limited(World):
    """An agent under a limit on bytes, whose policy opens what `network` says."""

    def __init__(self, *limits: Raw, network: Raw, **spec: Any) -> None:
        super().__init__({"securityPolicyRef": {"name": "p"}, **spec}, settings=Settings())
        self.api.add("securitypolicies", policy_body("p", network=network), "team")
        self.api.add("quotas", quota_body("q", *limits, selector={}), "team")
        self.api.add("services", port_set(), "ringfence-system")
        self.meters = Told()
        self.lead()

    def lead(self) -> None:
        """Have an operator that begins."""
        self.start_operator()
        self.tools = replace(self.tools, meters=self.meters)

    def hear(self, counted: bool | None) -> None:
        """Have the kubelet tell what the pod moves, or not, and everything settle."""
        self.meters.counted, self.dirty = counted, True
        self.settle()

    @property
    def is_open(self) -> bool:
        return self.pod is not None and LABEL in self.pod["metadata"]["labels"]

    @property
    def says(self) -> str:
        return self.condition("NetworkClosed").get("reason", "")  # type: ignore[no-any-return]

    def events(self) -> list[str]:
        return [raw["reason"] for (plural, _, _), raw in self.api.objects.items() if plural == "events"]


def test_a_pod_is_made_closed_and_opened_by_one_write_once_its_kubelet_has_spoken_of_it() -> None:
    world = Limited(BYTES, network=DIRECT)

    world.hear(None)
    begins = (world.is_open, world.says)
    world.api.writes.clear()
    world.hear(True)
    opens = (world.is_open, world.says)
    writes = sorted(world.api.writes)
    world.api.writes.clear()
    world.hear(True)

    assert begins == (False, "CountPending")
    assert opens == (True, "")
    assert len([each for each in writes if "pods" in each]) == 1
    assert len(writes) == 2, "the label, and the status"
    assert world.api.writes == []
    assert world.events() == []


def test_a_pod_was_never_open_before_its_kubelet_spoke() -> None:
    world = Limited(BYTES, network=DIRECT)

    world.hear(None)

    made = [raw for _, plural, raw in world.api.log if plural == "pods"]
    assert made
    assert not any(LABEL in each["metadata"]["labels"] for each in made)


def test_a_kubelet_that_is_silent_for_long_closes_and_tells_what_to_do() -> None:
    world = Limited(BYTES, network=DIRECT)
    world.hear(True)
    before = world.is_open

    world.hear(False)
    closed, why, events = world.is_open, world.condition("NetworkClosed"), world.events()
    world.hear(True)

    assert (before, closed, world.is_open) == (True, False, True)
    assert why["reason"] == "CountUnavailable"
    assert all(each in why["message"] for each in ("networkBytes of Quota q", "enforcement Warn", "allowedDomains"))
    assert events == ["CountUnavailable"]


def test_an_operator_that_begins_leaves_open_what_is_open_and_closed_what_is_closed_until_figures_are_late() -> None:
    found = []
    for counted in (True, False):
        world = Limited(BYTES, network=DIRECT)
        world.hear(counted)
        world.api.writes.clear()
        world.meters.counted, world.meters.known = None, False
        world.lead()
        world.settle()
        found.append((world.is_open, world.says, world.api.writes))

    assert found == [(True, "", []), (False, "CountUnavailable", [])]


@pytest.mark.parametrize(
    ("limit", "network", "spec"),
    [
        (BYTES | {"enforcement": "Warn"}, DIRECT, {}),
        (BYTES, NAMES, {}),
        (BYTES, DIRECT | {"enabled": False}, {}),
        ({"resource": "networkConnections", "max": "5"}, DIRECT, {}),
    ],
    ids=["Warn", "no ways past the gateway", "no network", "connections"],
)
def test_all_others_are_open_whatever_a_kubelet_says(limit: Raw, network: Raw, spec: Raw) -> None:
    world = Limited(limit, network=network, **spec)
    found = []

    for counted in (None, False, True):
        world.hear(counted)
        found.append((world.is_open, world.says))

    assert found == [(True, "")] * 3


@pytest.mark.parametrize(("enforcement", "is_open"), [("Hard", False), ("Warn", True)])
async def test_a_pod_that_is_claimed_begins_closed_as_one_that_is_made(enforcement: str, is_open: bool) -> None:
    world = PoolWorld(Settings(starter_image="starter:1"))
    world.api.add("securitypolicies", policy_body("p", network=DIRECT), "team")
    world.api.add("quotas", quota_body("q", BYTES | {"enforcement": enforcement}, selector={}), "team")
    world.api.add("services", port_set(), "ringfence-system")
    meters = Told()
    meters.counted = None
    world.tools = replace(world.tools, meters=meters)
    (pod,) = await world.warm(1, securityPolicyRef={"name": "p"})
    world.agent("a", securityPolicyRef={"name": "p"})

    await world.look("a")
    await world.look("a")

    has_label = [LABEL in raw["metadata"]["labels"] for _, _, raw in world.api.log if raw["metadata"]["name"] == pod]
    assert world.status()["podName"] == pod
    assert any(has_label) is is_open


def test_what_is_used_up_is_said_before_what_is_not_counted() -> None:
    world = Limited(BYTES, network=DIRECT)
    world.meters.closed = True

    world.hear(False)

    assert (world.is_open, world.says) == (False, Reason.QUOTA_EXCEEDED)


def test_a_limit_that_becomes_hard_closes_only_once_figures_are_late() -> None:
    world = Limited(BYTES | {"enforcement": "Warn"}, network=DIRECT)
    world.hear(None)
    found = []

    world.api.change(("quotas", "team", "q"), lambda raw: raw["spec"].update(limits=[BYTES]), is_spec=True)
    for counted in (None, False):
        world.hear(counted)
        found.append(world.is_open)

    assert found == [True, False]


def test_nothing_is_said_of_a_pod_that_has_ended() -> None:
    world = Limited(BYTES, network=DIRECT, mode="Task")
    world.hear(True)
    world.settle(ends_with=0)

    world.hear(False)

    assert world.status["state"] == "Succeeded"
    assert world.says == ""
