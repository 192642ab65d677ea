"""A pipeline with the example kind, real servers behind it, and an audit trail in a list."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import msgspec

from ringfence_sidecar import tracing
from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.cache.port import AnswerCache, Fetched, Load
from ringfence_sidecar.call import Call
from ringfence_sidecar.configuration import (
    Agent,
    Auth,
    CachePolicy,
    Configuration,
    Connector,
    Endpoint,
    HealthCheck,
    Limit,
)
from ringfence_sidecar.envelope import CacheInfo, Envelope, Notice
from ringfence_sidecar.pipeline import Pipeline
from ringfence_sidecar.quota import Quota
from ringfence_sidecar.tracing import Tracer
from tests.sidecar.plugin.server import Server

AGENT = Agent(namespace="team-a", name="alice", uid="a-1")
NO_CACHE = CachePolicy()
_NUMBERS = itertools.count(1)


class Lines:
    """An exporter that keeps the lines."""

    name = "lines"

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self._arrived = asyncio.Event()

    async def export(self, lines: list[bytes]) -> None:
        await self.open.wait()
        self.lines += lines
        self._arrived.set()

    async def close(self) -> None:
        self.open.set()

    async def calls(self, count: int = 1) -> list[dict[str, Any]]:
        """The lines of calls, decoded, once there are so many."""
        async with asyncio.timeout(5):
            while len(calls := self._calls()) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return calls

    def _calls(self) -> list[dict[str, Any]]:
        return [line for line in map(msgspec.json.decode, self.lines) if line["event"] == "call"]


class Kept:
    """A cache in a dictionary, without expiry."""

    is_reachable = None

    def __init__(self) -> None:
        self.answers: dict[tuple[str, ...], tuple[bytes, frozenset[str]]] = {}

    async def fetch(
        self,
        connector: str,  # noqa: ARG002 - the Protocol's
        material: tuple[str, ...],
        tags: frozenset[str],
        policy: CachePolicy,  # noqa: ARG002 - the Protocol's
        load: Load,
        *,
        refresh: bool = False,
    ) -> Fetched:
        if material in self.answers and not refresh:
            return Fetched(self.answers[material][0], CacheInfo(hit=True, layer="local", age_seconds=1.0))
        body, keep = await load()
        if keep:
            self.answers[material] = body, tags
        return Fetched(body, CacheInfo())

    async def invalidate(
        self,
        connector: str,  # noqa: ARG002 - the Protocol's
        tags: frozenset[str],
        *,
        doubt: float = 0.0,  # noqa: ARG002 - the Protocol's
    ) -> tuple[Notice, ...]:
        self.answers = {key: kept for key, kept in self.answers.items() if not kept[1] & tags}
        return ()


def endpoint(server: Server, name: str = "a", *, priority: int = 0, weight: int = 1) -> Endpoint:
    return Endpoint(name=name, host="127.0.0.1", port=server.port, tls=False, priority=priority, weight=weight)


def connector(*endpoints: Endpoint, **changes: Any) -> Connector:
    """The connector `store`, with what `changes` says instead."""
    values: dict[str, Any] = {
        "name": "store",
        "uid": "c-1",
        "generation": 1,
        "kind": "kv",
        "endpoints": endpoints,
        "auth": Auth(method="none"),
        "settings": {"prefix": "p-"},
        "limits": {"timeoutSeconds": 5},
        "health_check": HealthCheck(interval_seconds=60, timeout_seconds=2),
        **changes,
    }
    return Connector(**values)


def configuration(*connectors: Connector, version: str = "1", limits: tuple[Limit, ...] = ()) -> Configuration:
    return Configuration(version=version, agent=AGENT, connectors=connectors, limits=limits)


def call(operation: str, arguments: Mapping[str, Any], **changes: Any) -> Call:
    values: dict[str, Any] = {
        "request_id": f"r-{next(_NUMBERS)}",
        "connector": "store",
        "operation": operation,
        "arguments": arguments,
        "trace": tracing.start(sampled=True),
        "protocol": "rest",
        **changes,
    }
    return Call(**values)


async def run_all(pipeline: Pipeline, calls: Iterable[Call]) -> list[Envelope]:
    """Run calls at once; their envelopes come in the same order."""
    return await asyncio.gather(*(pipeline.run(each) for each in calls))


def value(envelope: Envelope) -> Any:
    """The value that an answer of the example kind carries."""
    return msgspec.json.decode(envelope.data)["value"]


async def warm(pipeline: Pipeline) -> None:
    """Return once every endpoint has been found well: its first session is open, and idle."""
    async with asyncio.timeout(5):
        while any(health.reason != "Healthy" for health in pipeline.health()):  # noqa: ASYNC110 - a test does not add a signal to the product
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def serving(
    *connectors: Connector,
    cache: AnswerCache | None = None,
    quota: Quota | None = None,
    tracer: Tracer | None = None,
    trail: Trail | None = None,
) -> AsyncIterator[tuple[Pipeline, Lines]]:
    """A pipeline with these connectors in force, and its audit lines."""
    lines = Lines()
    audit = trail or Trail([lines], Who(pod="alice-0"))
    audit.start()
    pipeline = Pipeline(cache=cache or Kept(), audit=audit, pod="alice-0", quota=quota, tracer=tracer)
    if connectors:
        await pipeline.apply(configuration(*connectors))
    try:
        yield pipeline, lines
    finally:
        await pipeline.close()
        await audit.close()
