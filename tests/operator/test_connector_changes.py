"""What a change of a connector, or of something that it needs, makes the operator look at."""

from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.resources.authority import build_authority
from ringfence_operator.settings import Settings
from tests.operator.resources.connectors import broker_service, connector_body, rabbitmq
from tests.operator.resources.objects import agent_body, pod_body
from tests.operator.test_caches import Watched

Raw = dict[str, Any]
A, C = Task("Agent", "team", "a"), Task("Connector", "team", "c")
USES: Raw = {"connectors": [{"name": "c"}]}
SETTINGS = Settings(
    egress_backend="none",
    sidecar_image="sidecar:1",
    redis_service="cache/redis",
    collector_service="telemetry/collector",
    collector_token="/x",
    audit_stream_service="telemetry/rabbit",
    audit_stream_credential="/x",
)


@pytest.fixture
def watched() -> Watched:
    return Watched(SETTINGS)


async def settled(watched: Watched, *raws: tuple[str, Raw]) -> Watched:
    """Have the objects seen, and whatever follows looked at."""
    for name, raw in raws:
        watched.see(name, raw)
    await watched.marked(after=10)
    return watched


async def test_a_new_a_changed_and_a_deleted_connector_concern_the_agents_that_name_it(watched: Watched) -> None:
    await settled(watched, ("agents", agent_body(**USES)), ("agents", agent_body("b")))

    raw = watched.see("connectors", connector_body())
    first = await watched.marked()
    watched.see("connectors", connector_body(generation=2))
    second = await watched.marked()
    watched.lose("connectors", raw)

    assert [first, second, await watched.marked()] == [[C, A]] * 3


async def test_a_connectors_status_concerns_no_agent(watched: Watched) -> None:
    await settled(watched, ("agents", agent_body(**USES)), ("connectors", connector_body()))

    watched.see("connectors", connector_body(status={"agents": 1}))

    assert await watched.marked() == [C]


async def test_a_connector_concerns_the_agents_that_name_its_secret_and_those_of_the_one_before(
    watched: Watched,
) -> None:
    def naming(name: str, secret: str) -> Raw:
        return agent_body(name, envFrom=[{"secretRef": {"name": secret}}])

    await settled(watched, ("agents", naming("old", "rabbit")), ("agents", naming("new", "other")))
    watched.see("connectors", connector_body())
    first = await watched.marked()
    spec = rabbitmq(auth={"secretName": "other", "password": {"user": "u"}})
    watched.see("connectors", connector_body(spec=spec, generation=2))

    assert first == [C, Task("Agent", "team", "old")]
    assert sorted(await watched.marked()) == [Task("Agent", "team", "new"), Task("Agent", "team", "old"), C]


async def test_agents_that_come_and_go_are_counted_once_and_later(watched: Watched) -> None:
    await settled(watched, ("connectors", connector_body()))
    for number in range(20):
        watched.see("agents", agent_body(f"a{number}", **USES))

    now, later = await watched.marked(), await watched.marked(after=10)

    assert (len(now), C in now, later) == (20, False, [C])


async def test_an_agents_other_labels_may_be_permitted_otherwise(watched: Watched) -> None:
    await settled(watched, ("connectors", connector_body()), ("agents", agent_body(**USES)))

    other = agent_body(**USES)
    other["metadata"]["labels"] = {"tier": "gold"}
    watched.see("agents", other)

    assert await watched.marked(after=10) == [A, C]


async def test_a_backends_service_concerns_the_connector_and_its_agents(watched: Watched) -> None:
    await settled(watched, ("connectors", connector_body()), ("agents", agent_body(**USES)))

    watched.see("services", broker_service())

    assert await watched.marked() == [C, A]


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("cache", "redis"),
        ("telemetry", "collector"),
        ("telemetry", "rabbit"),
        ("ringfence-system", labels.CONTROL),
    ],
)
async def test_what_every_sidecar_needs_concerns_every_agent_that_has_one(
    watched: Watched, namespace: str, name: str
) -> None:
    await settled(watched, ("agents", agent_body(**USES)), ("agents", agent_body("b")))

    watched.see("services", broker_service(name, namespace=namespace))

    assert await watched.marked() == [A]


async def test_a_copy_of_the_authority_that_somebody_changes_or_deletes_concerns_the_namespace(
    watched: Watched,
) -> None:
    def copy(text: str) -> Raw:
        raw = build_authority("team", text)
        raw["metadata"] |= {"uid": "x"}
        return raw

    await settled(watched, ("agents", agent_body(**USES)), ("agents", agent_body("b")), ("authorities", copy("a")))

    raw = watched.see("authorities", copy("b"))
    changed = await watched.marked()
    watched.lose("authorities", raw)

    assert [changed, await watched.marked()] == [[A], [A]]


async def test_a_pod_that_is_gone_or_replaced_is_told_of_by_its_uid(watched: Watched) -> None:
    gone: list[str] = []
    watched.caches.changes.pod_gone = gone.append
    watched.see("pods", pod_body(uid="one"))
    watched.see("pods", pod_body(uid="one", phase="Running"))
    before = list(gone)

    raw = watched.see("pods", pod_body(uid="two"))
    watched.lose("pods", raw)

    assert (before, gone) == ([], ["one", "two"])


async def test_what_sidecars_report_is_taken_together(watched: Watched) -> None:
    for _ in range(3):
        watched.caches.changes.connector_stands_otherwise(("team", "c"))

    assert [await watched.marked(), await watched.marked(after=1)] == [[], [C]]


async def test_a_new_leader_begins_with_the_connectors_too(watched: Watched) -> None:
    await settled(watched, ("connectors", connector_body()), ("agents", agent_body(**USES)))

    watched.caches.changes.mark_all()

    assert sorted(await watched.marked()) == [
        A,
        C,
        Task("Gateway", "ringfence-system", labels.GATEWAY),
    ]


def test_a_connector_without_a_backend_that_we_know_is_not_taken_in(watched: Watched) -> None:
    watched.see("connectors", connector_body(spec={"kafka": {}}))

    assert dict(watched.caches.view.connectors.cache) == {}
