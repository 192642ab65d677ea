from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence_sidecar.configuration import Connector
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from tests.backends.rabbitmq_server import RabbitMQServer, running_rabbitmq
from tests.backends.waiting import eventually
from tests.sidecar.connectors.rabbitmq import workbench
from tests.sidecar.plugin.bed import call, serving, warm

pytestmark = [pytest.mark.backend, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    with running_rabbitmq(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
def bound(broker: RabbitMQServer, tmp_path: Path) -> Connector:
    return workbench.configuration(tmp_path, broker, name="store")


def data(envelope: Envelope) -> Any:
    assert envelope.status is Status.OK, envelope
    return msgspec.json.decode(envelope.data)


async def test_a_lease_outlives_the_rotation_of_its_connectors_credentials(bound: Connector, tmp_path: Path) -> None:
    publication = {"exchange": "", "routingKey": "leased", "payload": {"n": 1}}
    async with serving(bound) as (pipeline, _):
        await warm(pipeline)
        data(await pipeline.run(call("declare", {"queue": {"name": "leased"}})))
        data(await pipeline.run(call("publish", {"messages": [publication]})))
        [message] = data(await pipeline.run(call("receive", {"queue": "leased", "waitSeconds": 5})))["messages"]
        [route] = pipeline._registry.bound["store"].routes

        rotate(tmp_path / "password")
        await eventually(lambda: route.sessions.count() == (0, 0), what="the new credentials are noticed", seconds=10)
        await pipeline.run(call("inspect", {"queue": "leased"}))
        acked = data(await pipeline.run(call("ack", {"handles": [message["handle"]]})))

    assert acked == {"results": [{"handle": message["handle"], "outcome": "done"}], "done": 1}


async def test_a_message_carries_the_trace_of_the_call_that_published_it(bound: Connector) -> None:
    asked = call("publish", {"messages": [{"exchange": "", "routingKey": "traced", "payload": {"n": 1}}]})
    async with serving(bound) as (pipeline, lines):
        data(await pipeline.run(call("declare", {"queue": {"name": "traced"}})))
        data(await pipeline.run(asked))
        [message] = data(await pipeline.run(call("receive", {"queue": "traced", "waitSeconds": 5})))["messages"]

        audited = {line["requestId"]: line for line in await lines.calls(3)}

    assert message["traceparent"].split("-")[1] == asked.trace.trace_id
    assert audited[asked.request_id]["traceId"] == asked.trace.trace_id


def rotate(path: Path) -> None:
    """The same secret, written anew."""
    path.write_text(path.read_text())
