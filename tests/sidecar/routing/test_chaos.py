import asyncio
import random
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from ringfence_sidecar.audit.verification import Verification
from ringfence_sidecar.configuration import HealthCheck
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.pipeline import Pipeline
from tests.backends.waiting import eventually
from tests.sidecar.plugin.bed import call, connector, endpoint, serving
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running

CALLS = 400


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def havoc(servers: list[Server], draw: random.Random, over: asyncio.Event) -> None:
    """Kill, slow down, cut and restart, one server at a time; none is left half killed at the end."""
    while not over.is_set():
        server = draw.choice(servers)
        server.delay = draw.choice([0.0, 0.001, 0.02])
        server.drops = draw.random() < 0.2
        if draw.random() < 0.5:
            await server.kill()
            await asyncio.sleep(draw.random() * 0.05)
            await server.start()
        await asyncio.sleep(draw.random() * 0.05)


async def asked(pipeline: Pipeline, number: int, draw: random.Random) -> Envelope | None:
    """The envelope of a call, None if its caller went away."""
    operation = draw.choice(["append", "append", "put", "get"])
    arguments = {"key": operation, "value": f"v{number}-"} if operation != "get" else {"key": "append"}
    task = asyncio.create_task(pipeline.run(call(operation, arguments, request_id=f"c-{number}", timeout_seconds=2)))
    if draw.random() < 0.1:
        await asyncio.sleep(draw.random() * 0.01)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


@pytest.mark.parametrize(("kind", "seed"), [("kv", 1), ("kv", 2), ("kv-shared", 3)])
async def test_whatever_happens_to_endpoints_no_write_is_done_twice_and_each_call_is_audited_once(
    kind: str, seed: int
) -> None:
    draw = random.Random(seed)
    store: dict[str, str] = {}
    servers = [Server(store), Server(store)]
    checks = HealthCheck(interval_seconds=0.05, timeout_seconds=0.5)
    bound = connector(endpoint(servers[0], "a"), endpoint(servers[1], "b"), kind=kind, health_check=checks)

    async with running(*servers), serving(bound) as (pipeline, lines):
        over = asyncio.Event()
        storm = asyncio.create_task(havoc(servers, draw, over))
        tasks = []
        for number in range(CALLS):
            tasks.append(asyncio.create_task(asked(pipeline, number, draw)))
            await asyncio.sleep(draw.random() * 0.01)
        envelopes = await asyncio.gather(*tasks)
        over.set()
        await storm
        await lines.calls(CALLS)
        in_use = [route.sessions for route in pipeline._registry.bound["store"].routes]
        await eventually(lambda: all(sessions.count()[0] == 0 for sessions in in_use), what="no session is in use")

    calls = {line["requestId"]: line for line in map(msgspec.json.decode, lines.lines) if line["event"] == "call"}
    done = Counter(store.get("p-append", "").split("-"))
    for number, envelope in enumerate(envelopes):
        line = calls[f"c-{number}"]
        if line["operation"] == "append":
            least = int(envelope is not None and envelope.status is Status.OK)
            most = max(least, int(line["outcomeUnknown"]))
            assert least <= done[f"v{number}"] <= most, [
                line[k] for k in ("outcome", "code", "attempts", "endpoint", "durationMs")
            ]
    assert len(calls) == CALLS
    Verification().read(lines.lines)
    assert sum(envelope is not None and envelope.status is Status.OK for envelope in envelopes) > CALLS / 2
