"""A pool's pods have a sidecar for the connectors of its template; what it is told is the agent's that has the pod."""

from collections.abc import Callable
from typing import Any

import pytest

from ringfence_operator import labels
from tests.operator.reconcile.pool_world import POOLING, PoolWorld
from tests.operator.resources.connectors import PASSWORD, broker_service, connector_body, rabbitmq
from tests.operator.resources.objects import RUNNING, container_status

Raw = dict[str, Any]
BOTH: Raw = {"connectors": [{"name": "mq"}, {"name": "other"}]}
COLD: Raw = {"onMiss": "Cold"}


@pytest.fixture
def world() -> PoolWorld:
    found = PoolWorld(POOLING.model_copy(update={"sidecar_image": "sidecar:1"}))
    found.api.add("services", broker_service(), "data")
    for name in ("mq", "other", "third"):
        add_connector(found, name)
    return found


def add_connector(world: PoolWorld, name: str, **changes: Any) -> None:
    spec = rabbitmq(auth={**PASSWORD, "secretName": f"{name}-secret"})
    world.api.add("connectors", connector_body(name, spec, **changes), "team")
    world.deliver()


def set_connector(world: PoolWorld, name: str, **spec: Any) -> None:
    world.api.change(("connectors", "team", name), lambda raw: raw["spec"].update(spec), is_spec=True)
    world.deliver()


def naming(*names: str) -> Raw:
    return {"connectors": [{"name": name} for name in names]}


def served(world: PoolWorld, pod: str) -> Raw:
    return world.sidecars.served[world.uid(pod)][1]


def opened(world: PoolWorld, pod: str) -> set[str]:
    """Return the labels by which NetworkPolicies open anything to the pod's sidecar."""
    found = world.raw(pod)["metadata"]["labels"]
    return {each for each in found if each == labels.SIDECAR or each.startswith(labels.CONNECTORS)}


def message(world: PoolWorld, agent: str = "a") -> str:
    found = (each for each in world.status(agent)["conditions"] if each["type"] == "Ready")
    return str(next(found)["message"])


def volumes_of(world: PoolWorld, pod: str) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Return by container which volumes it mounts, and by volume its Secret."""
    spec = world.raw(pod)["spec"]
    each = (*spec["initContainers"], *spec["containers"])
    mounts = {one["name"]: {mount["name"] for mount in one["volumeMounts"]} for one in each}
    return mounts, {one["name"]: one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one}


async def test_a_warm_pods_sidecar_alone_has_the_credentials_and_is_told_of_nobody(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, **BOTH)

    mounts, secrets = volumes_of(world, pod)
    assert set(secrets.values()) == {"mq-secret", "other-secret"}
    assert secrets.keys() <= mounts["sidecar"]
    assert secrets.keys().isdisjoint(mounts["agent"] | mounts["starter"])
    assert world.sidecars.served == {}
    assert world.sidecars.admitted.keys() == {world.uid(pod)}
    assert opened(world, pod) == set()


async def test_an_agent_has_of_the_pools_connectors_those_that_it_names(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, **BOTH)
    before = len(world.api.writes)
    world.agent("a", **naming("mq"))

    await world.look("a")

    assert world.api.writes[before:] == ["patch pods", "replace agents/status"]
    assert world.pods_of("a") == [pod]
    assert served(world, pod)["agent"] == {"namespace": "team", "name": "a", "uid": "a-uid", "generation": 1}
    assert [each["name"] for each in served(world, pod)["connectors"]] == ["mq"]
    assert opened(world, pod) == {labels.SIDECAR, f"{labels.CONNECTORS}mq"}


async def test_what_its_sidecar_is_to_have_is_said_before_what_is_to_be_run(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, **BOTH)
    said: list[str] = []

    def noted(name: str, whole: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            said.append(name)
            whole(*args)

        return call

    for port, name in ((world.sidecars, "publish"), (world.starters, "order")):
        setattr(port, name, noted(name, getattr(port, name)))
    world.agent("a", **naming("mq"))

    await world.look("a")

    assert said[:2] == ["publish", "order"]
    assert world.starters.orders.keys() == {world.uid(pod)}


async def test_an_agent_that_names_none_reaches_none(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, **BOTH)
    world.agent("a")

    await world.settle()

    assert world.pods_of("a") == [pod]
    assert served(world, pod)["connectors"] == []
    assert opened(world, pod) == {labels.SIDECAR}


async def test_a_connector_that_the_pools_pods_do_not_have_is_a_reason_and_takes_no_pod(world: PoolWorld) -> None:
    await world.warm(1, **BOTH)
    world.agent("a", **naming("mq", "third"))

    await world.settle(10)

    assert world.condition("Ready") == ("False", "NotGivenWarm")
    assert "Connector third is none of those" in message(world)
    assert "spec.template.connectors" in message(world)
    assert world.pods_of("a") == []


@pytest.mark.parametrize("template", [BOTH, {}])
async def test_with_cold_it_has_a_pod_with_that_connectors_credential_alone(world: PoolWorld, template: Raw) -> None:
    await world.warm(1, **template)
    world.agent("a", **naming("third"), **COLD)

    await world.settle()

    assert world.pods_of("a") == ["a"]
    assert set(volumes_of(world, "a")[1].values()) == {"third-secret"}
    assert world.raw("a")["metadata"]["annotations"].get(labels.CLAIMED_AT) is None
    assert opened(world, "a") == {labels.SIDECAR, f"{labels.CONNECTORS}third"}


async def test_a_connector_that_does_not_permit_the_agent_is_a_reason_and_takes_no_pod(world: PoolWorld) -> None:
    set_connector(world, "mq", agentSelector={"matchLabels": {"may": "call"}})
    await world.warm(1, **BOTH)
    world.agent("a", **naming("mq"))

    await world.settle(10)

    assert world.condition("Ready") == ("False", "ConnectorNotPermitted")
    assert world.pods_of("a") == []


async def test_a_quota_on_calls_holds_in_a_pod_whose_pool_has_connectors(world: PoolWorld) -> None:
    limit = {"resource": "apiCalls", "max": 9, "window": "Hour"}
    world.api.add("quotas", {"metadata": {"name": "calls", "namespace": "team"}, "spec": {"limits": [limit]}}, "team")
    (pod,) = await world.warm(1, **BOTH)
    world.agent("a", quotaRef={"name": "calls"}, **naming("mq"))

    await world.settle()

    assert world.pods_of("a") == [pod]
    assert [(each["quota"], each["max"]) for each in served(world, pod)["limits"]] == [("calls", 9.0)]


async def test_a_quota_on_calls_is_a_reason_that_says_what_to_write_where_the_pool_has_none(world: PoolWorld) -> None:
    limit = {"resource": "apiCalls", "max": 9, "window": "Hour"}
    world.api.add("quotas", {"metadata": {"name": "calls", "namespace": "team"}, "spec": {"limits": [limit]}}, "team")
    await world.warm(1)
    world.agent("a", quotaRef={"name": "calls"})

    await world.settle(10)

    assert world.condition("Ready") == ("False", "NotSupported")
    assert "spec.template.connectors" in message(world)
    assert world.pods_of("a") == []


async def test_the_sidecars_ports_are_taken_in_a_pod_of_such_a_pool(world: PoolWorld) -> None:
    await world.warm(1, **BOTH)
    world.agent("a", ports=[{"name": "http", "port": 8811}])

    await world.settle(10)

    assert world.condition("Ready") == ("False", "PortReserved")
    assert world.pods_of("a") == []


@pytest.mark.parametrize("strategy", ["Recreate", "OnClaim"])
async def test_another_secret_of_a_connector_replaces_the_warm_pods_and_no_claimed_one(
    world: PoolWorld, strategy: str
) -> None:
    first, second = await world.warm(2, {"updateStrategy": {"type": strategy}}, **BOTH)
    world.agent("a", **naming("mq"))
    await world.look("a")
    world.deliver()
    (claimed,) = world.pods_of("a")
    (left,) = {first, second} - {claimed}

    set_connector(world, "other", **rabbitmq(auth={**PASSWORD, "secretName": "fresh"}))
    world.agent("b", **naming("mq"))
    await world.look("b")
    given_old = world.pods_of("b")
    for _ in range(10):
        await world.settle(0.5)
        world.stop_pods()
        world.start_pods()

    assert given_old == []
    assert world.pods_of("a") == [claimed]
    assert left not in world.pods
    (fresh,) = world.pods_of("b")
    assert set(volumes_of(world, fresh)[1].values()) == {"mq-secret", "fresh"}
    assert world.condition("SidecarOutdated")[0] == "True"


async def test_an_upgrade_replaces_no_pod_and_sends_no_agent_from_pod_to_pod(world: PoolWorld) -> None:
    before = await world.warm(2, **BOTH)
    world.agent("a", **naming("mq"))
    await world.settle()
    (claimed,) = world.pods_of("a")
    world.set_agent("a", sidecar={"update": "Immediately"})
    await world.settle()
    writes = len(world.api.writes)

    world.settings = world.settings.model_copy(update={"sidecar_image": "sidecar:2"})
    world.start_operator()
    await world.settle(10)

    assert world.pods_of("a") == [claimed]
    assert set(before) <= set(world.pods)
    assert "delete pods" not in world.api.writes[writes:]
    assert world.condition("SidecarOutdated")[0] == "True"


async def test_an_agent_that_wants_its_sidecar_replaced_at_once_has_a_pod_of_its_own(world: PoolWorld) -> None:
    await world.warm(1, **BOTH)
    world.agent("a", sidecar={"update": "Immediately"}, **naming("mq"))
    world.agent("b", sidecar={"update": "Immediately"}, **naming("mq"), **COLD)

    await world.settle(10)

    assert world.condition("Ready") == ("False", "NotGivenWarm")
    assert (world.pods_of("a"), world.pods_of("b")) == ([], ["b"])


async def test_what_else_changes_of_a_connector_replaces_no_pod_and_is_told(world: PoolWorld) -> None:
    before = await world.warm(2, **BOTH)
    world.agent("a", **naming("mq"))
    await world.settle()
    (claimed,) = world.pods_of("a")

    set_connector(world, "mq", **rabbitmq(auth={**PASSWORD, "secretName": "mq-secret"}, limits={"concurrency": 7}))
    await world.settle()

    assert set(before) <= set(world.pods)
    assert [each["limits"]["concurrency"] for each in served(world, claimed)["connectors"]] == [7]


async def test_a_pool_waits_for_the_connectors_that_its_template_names_and_so_do_agents(world: PoolWorld) -> None:
    world.pool(1, **naming("late"))
    world.agent("a")
    await world.settle(10)
    conditions = {each["type"]: each for each in world.pool_status()["conditions"]}
    before, said = list(world.pods), world.condition("Ready")

    add_connector(world, "late")
    await world.settle(10)
    world.start_pods()
    await world.settle(10)

    assert conditions["Ready"]["reason"] == "ConnectorNotFound"
    assert (before, said) == ([], ("False", "ConnectorNotFound"))
    assert len(world.pods_of("a")) == 1


async def test_a_pool_with_connectors_says_that_there_is_no_sidecar(world: PoolWorld) -> None:
    world = PoolWorld(POOLING)
    add_connector(world, "mq")
    world.pool(1, **naming("mq"))

    await world.settle()

    conditions = {each["type"]: each for each in world.pool_status()["conditions"]}
    assert conditions["Ready"]["reason"] == "SidecarUnavailable"
    assert world.pods == []


async def test_nothing_is_written_in_steady_state_or_after_a_restart_and_sidecars_are_told_the_same(
    world: PoolWorld,
) -> None:
    await world.warm(2, **BOTH)
    world.agent("a", **naming("mq"))
    await world.settle()
    (claimed,) = world.pods_of("a")
    world.starters.carry_out(world.uid(claimed))
    await world.look("a")
    world.start_pods()
    await world.settle()
    before, told = len(world.api.writes), served(world, claimed)

    await world.settle(20)
    world.start_operator()
    await world.settle(20)

    assert world.api.writes[before:] == []
    assert served(world, claimed) == told
    assert world.sidecars.admitted.keys() == {world.uid(pod) for pod in world.free}


async def test_what_closes_and_opens_sidecars_is_there_before_a_claim_needs_it(world: PoolWorld) -> None:
    await world.warm(1, **BOTH)

    assert ("networkpolicies", "team", labels.SIDECARS) in world.api.objects
    world.api.remove(("networkpolicies", "team", labels.SIDECARS))
    world.deliver()
    await world.tools.networks.restore("team", labels.SIDECARS)
    assert ("networkpolicies", "team", labels.SIDECARS) in world.api.objects


async def test_an_agent_whose_connector_is_taken_away_is_served_nothing_of_it(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, **BOTH)
    world.agent("a", **naming("mq", "other"))
    await world.settle()

    set_connector(world, "mq", agentSelector={"matchLabels": {"may": "call"}})
    await world.settle()

    assert [each["name"] for each in served(world, pod)["connectors"]] == ["other"]
    assert opened(world, pod) == {labels.SIDECAR, f"{labels.CONNECTORS}other"}


async def test_of_starter_and_sidecar_the_one_that_is_not_well_is_the_reason(world: PoolWorld) -> None:
    world.pool(1, **BOTH)
    await world.settle()
    (pod,) = world.pods
    well = {"name": "starter", "ready": True, "state": RUNNING}
    ill = {"name": "sidecar", "ready": False, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "why"}}}
    status = {"phase": "Pending", "initContainerStatuses": [well, ill], "containerStatuses": container_status({})}

    world.set_pod(pod, **status)
    await world.settle()

    (ready,) = (each for each in world.pool_status()["conditions"] if each["type"] == "Ready")
    assert (ready["reason"], "the sidecar cannot be started: why" in ready["message"]) == ("SidecarFailed", True)
