import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence_sidecar.configuration import Auth, HealthCheck
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.quota import Ask, Reservation
from ringfence_sidecar.routing import registry
from ringfence_sidecar.routing.kinds import load
from tests.backends.waiting import eventually
from tests.sidecar.counters import Counters, budget
from tests.sidecar.plugin.bed import call, configuration, connector, endpoint, run_all, serving, value, warm
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running

QUICK = HealthCheck(interval_seconds=0.05, timeout_seconds=0.2)


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def test_the_first_session_is_open_before_a_call_comes() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        await warm(pipeline)
        opened = server.opened
        await pipeline.run(call("get", {"key": "colour"}))

    assert (opened, server.opened) == (1, 1)


async def test_a_connector_that_has_not_changed_keeps_its_sessions() -> None:
    server = Server()
    bound = connector(endpoint(server))

    async with running(server), serving(bound) as (pipeline, _):
        await warm(pipeline)
        other = connector(endpoint(server), name="other", uid="c-2")
        await pipeline.apply(configuration(bound, other, version="2"))
        await warm(pipeline)
        await pipeline.run(call("get", {"key": "colour"}))

        assert sorted(pipeline.bound()) == ["other", "store"]

    assert server.opened == 2


async def test_a_changed_connector_is_in_force_at_once_and_the_calls_of_before_end() -> None:
    server = Server({"p-colour": "blue", "q-colour": "red"})
    server.delay = 0.1

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        early = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await server.until(lambda: server.at_work == 1)
        changed = connector(endpoint(server), settings={"prefix": "q-"}, generation=2)
        await pipeline.apply(configuration(changed, version="2"))
        late = await pipeline.run(call("get", {"key": "colour"}))
        await early
        await server.until(lambda: server.sessions < server.opened)

    assert [value(early.result()), value(late)] == ["blue", "red"]


async def test_an_edit_that_changes_nothing_for_the_sidecar_keeps_its_sessions_and_is_told_of() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        await warm(pipeline)
        await pipeline.apply(configuration(connector(endpoint(server), generation=2), version="2"))
        generations = [each.generation for each in pipeline.health()]
        await pipeline.run(call("get", {"key": "colour"}))

    assert (generations, server.opened) == ([2], 1)


async def test_a_permission_that_is_taken_away_is_gone_for_the_next_call() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        narrower = connector(endpoint(server), permissions={"operations": ["get"]}, generation=2)
        await pipeline.apply(configuration(narrower, version="2"))
        refused = await pipeline.run(call("append", {"key": "colour", "value": "red"}))

    assert refused.status is Status.NOT_FOUND
    assert server.asked == []


async def test_a_connector_that_is_gone_is_closed_and_no_longer_found() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        await server.until(lambda: server.sessions == 1)
        await pipeline.apply(configuration(version="2"))
        envelope = await pipeline.run(call("get", {"key": "colour"}))
        await server.until(lambda: server.sessions == 0)

    assert envelope.status is Status.NOT_FOUND


@pytest.mark.parametrize("kind", ["kv", "kv-shared"])
async def test_closing_waits_for_calls_only_so_long_and_leaves_no_session(kind: str) -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server), kind=kind)) as (pipeline, _):
        server.hangs = True
        task = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await server.until(lambda: server.at_work == 1)
        async with asyncio.timeout(3):
            await pipeline.close(grace=0.1)
        task.cancel()
        await asyncio.wait([task])
        await server.until(lambda: server.sessions == 0)


async def test_a_change_that_cannot_be_bound_is_not_served_by_what_was_there_before() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        wrong = connector(endpoint(server), settings={"prefix": 7}, generation=2)
        await pipeline.apply(configuration(wrong, connector(endpoint(server), name="other"), version="2"))
        envelope = await pipeline.run(call("get", {"key": "colour"}))
        fine = await pipeline.run(call("get", {"key": "colour"}, connector="other"))
        health = {each.connector: each for each in pipeline.health()}

        operations = pipeline.bound()["store"]

    assert envelope.status is Status.UNAVAILABLE
    assert envelope.errors[0].code == health["store"].reason == "InvalidSettings"
    assert not health["store"].healthy
    assert operations == ()
    assert fine.status is Status.OK


async def test_a_connector_serves_while_another_is_being_bound_and_its_endpoints_are_looked_at_after_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, may_load = Server(), threading.Event()

    def slow_load(kind: str) -> object:
        assert kind == "kv" or may_load.wait(10)
        return load(kind)

    monkeypatch.setattr(registry, "load", slow_load)
    store = connector(endpoint(server))
    slow = connector(endpoint(server), name="slow", uid="c-2", kind="slow")

    async with running(server), serving() as (pipeline, _):
        await pipeline.apply(configuration())
        applying = asyncio.create_task(pipeline.apply(configuration(store, slow, version="2")))
        await eventually(lambda: bool(pipeline.bound().get("store")), what="the first is bound")
        envelope = await pipeline.run(call("get", {"key": "colour"}))
        pings = server.pings
        may_load.set()
        await applying
        await server.until(lambda: server.pings > 0)

    assert (envelope.status, pings) == (Status.OK, 0)


async def test_what_nobody_expects_of_one_connector_leaves_the_others_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, has_failed = Server(), threading.Event()

    def broken_load(kind: str) -> object:
        if kind == "broken":
            has_failed.set()
            raise RuntimeError
        assert has_failed.wait(10)
        return load(kind)

    monkeypatch.setattr(registry, "load", broken_load)
    broken = connector(endpoint(server), name="broken", uid="c-2", kind="broken")

    async with running(server), serving() as (pipeline, _):
        with pytest.raises(RuntimeError):
            await pipeline.apply(configuration(broken, connector(endpoint(server))))
        await server.until(lambda: server.pings > 0)


async def test_a_kind_that_is_not_installed_is_said_in_the_health_and_to_the_caller() -> None:
    server = Server()

    async with serving(connector(endpoint(server), kind="oracle")) as (pipeline, _):
        envelope = await pipeline.run(call("get", {"key": "colour"}))
        [health] = pipeline.health()

    assert envelope.errors[0].code == health.reason == "UnknownKind"


async def test_health_tells_which_endpoint_answers_and_how_fast() -> None:
    alive, dead = Server(), Server()
    bound = connector(endpoint(alive, "a"), endpoint(dead, "b"), health_check=QUICK)

    async with running(alive), serving(bound) as (pipeline, _):
        await alive.until(lambda: alive.pings > 2)
        first, second = pipeline.health()

    assert (first.endpoint, first.healthy, first.reason) == ("a", True, "Healthy")
    assert first.latency_ms > 0
    assert (second.endpoint, second.healthy, second.reason) == ("b", False, "BackendLost")


async def test_an_endpoint_that_does_not_answer_its_check_in_time_is_not_healthy() -> None:
    deaf, other = Server(), Server()
    deaf.is_deaf = True
    bound = connector(endpoint(deaf, "a"), endpoint(other, "b"), health_check=QUICK)

    async with running(deaf, other), serving(bound) as (pipeline, _):
        await other.until(lambda: other.pings > 10)
        first, _ = pipeline.health()

    assert not first.healthy


class Waiting(Counters):
    """Counters that grant nothing until they may."""

    def __init__(self) -> None:
        super().__init__(budget("queries", 1000))
        self.may_grant = asyncio.Event()
        self.waiting = 0

    async def reserve(self, ask: Ask) -> Reservation:
        self.waiting += 1
        await self.may_grant.wait()
        return await super().reserve(ask)


async def test_what_waits_for_its_turn_while_its_connector_changes_is_served_all_the_same() -> None:
    server = Server({"p-colour": "blue"})
    quota = Waiting()

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        await warm(pipeline)
        stream = pipeline.stream(call("watch", {"key": "colour"}))
        waiting = [
            asyncio.ensure_future(each) for each in (pipeline.run(call("get", {"key": "colour"})), anext(stream))
        ]
        await eventually(lambda: quota.waiting == 2, what="both wait for the quota")
        await pipeline.apply(configuration(connector(endpoint(server), generation=2), version="2"))
        await warm(pipeline)
        quota.may_grant.set()
        envelopes = await asyncio.gather(*waiting)
        await stream.aclose()
        await server.until(lambda: server.sessions == 1)

    assert [envelope.status for envelope in envelopes] == [Status.OK, Status.OK]


async def test_new_credentials_in_the_secret_make_new_sessions(tmp_path: Path) -> None:
    server = Server()
    server.password = "old"
    (tmp_path / "password").write_text("old")
    auth = Auth(method="password", directory=str(tmp_path), files={"password": "password"})

    async with running(server), serving(connector(endpoint(server), auth=auth)) as (pipeline, _):
        before = await pipeline.run(call("get", {"key": "colour"}))
        server.password = "new"
        (tmp_path / "password").write_text("new")
        await server.until(lambda: server.sessions == 0)
        after = await pipeline.run(call("get", {"key": "colour"}))

    assert [before.status, after.status] == [Status.OK, Status.OK]
    assert server.opened >= 2


async def test_as_many_calls_run_at_once_as_the_limit_says() -> None:
    server = Server()
    server.delay = 0.02
    bound = connector(endpoint(server), kind="kv-shared", limits={"concurrency": 3})

    async with running(server), serving(bound) as (pipeline, _):
        envelopes = await run_all(pipeline, [call("get", {"key": "colour"}) for _ in range(12)])

    assert {envelope.status for envelope in envelopes} == {Status.OK}
    assert server.most_at_work == 3


async def test_the_longest_call_is_as_long_as_the_limit_says_whatever_the_caller_wants() -> None:
    server = Server()
    bound = connector(endpoint(server), limits={"timeoutSeconds": 0.1})

    async with running(server), serving(bound) as (pipeline, _):
        server.hangs = True
        envelope: Envelope = await pipeline.run(call("get", {"key": "colour"}, timeout_seconds=60))
        server.hangs = False

    assert envelope.status is Status.TIMEOUT
