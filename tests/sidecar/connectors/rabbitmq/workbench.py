"""An agent with a RabbitMQ connector, without the framework around it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from ringfence_sidecar.call import Context, Deadline, Trace
from ringfence_sidecar.configuration import Agent, Auth, Connector, Endpoint, HealthCheck
from ringfence_sidecar.connectors.base import Operation, Outcome, Prepared
from ringfence_sidecar.connectors.rabbitmq import RabbitMQ
from ringfence_sidecar.connectors.rabbitmq.running import Open
from tests.backends.rabbitmq_server import PASSWORD, USER, VIRTUAL_HOST, RabbitMQServer

EVERYTHING: dict[str, Any] = {
    "exchanges": [{"pattern": "*", "verbs": ["Publish", "Declare", "Bind"]}],
    "queues": [
        {
            "pattern": "*",
            "verbs": ["Publish", "Receive", "Declare", "Bind", "Inspect", "DeadLetters", "Replay", "Drop"],
        }
    ],
}
AGENT = Agent(namespace="team-a", name="worker", uid="agent-uid-1")
TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True, "vendor=value")


def configuration(directory: Path, server: RabbitMQServer | None, **changes: Any) -> Connector:
    """Return what the operator would hand to the sidecar; secrets are files under `directory`."""
    (directory / "username").write_text(USER)
    (directory / "password").write_text(PASSWORD + "\n")
    fields: dict[str, Any] = {
        "name": "events",
        "uid": "connector-uid-1",
        "generation": 1,
        "kind": "rabbitmq",
        "endpoints": (endpoint(server),) if server else (),
        "auth": Auth(
            method="password", directory=str(directory), files={"username": "username", "password": "password"}
        ),
        "permissions": EVERYTHING,
        "health_check": HealthCheck(timeout_seconds=10),
    }
    return Connector(**{**fields, **changes})


def endpoint(server: RabbitMQServer | int, name: str = "first", **changes: Any) -> Endpoint:
    """Return the endpoint of a broker."""
    fields: dict[str, Any] = {
        "name": name,
        "host": "localhost",
        "port": server if isinstance(server, int) else server.port,
        "address": "127.0.0.1",
        "tls": False,
        "settings": {"virtualHost": VIRTUAL_HOST},
    }
    return Endpoint(**{**fields, **changes})


def context(seconds: float = 20, agent: Agent = AGENT) -> Context:
    """Return what the pipeline would say of a call."""
    return Context(agent=agent, request_id="request-1", trace=TRACE, deadline=Deadline.after(seconds))


class Bench:
    """Calls operations as the pipeline would: decoded from JSON's terms, judged, run."""

    def __init__(self, directory: Path, server: RabbitMQServer | None, *, agent: Agent = AGENT, **changes: Any) -> None:
        self.agent = agent
        self.connector = RabbitMQ(configuration(directory, server, **changes))
        self._endpoint = self.connector.configuration.endpoints[0]
        self._session: Open | None = None
        self._opening = asyncio.Lock()

    async def session(self) -> Open:
        """Return a session that is usable, a new one if need be."""
        async with self._opening:
            if self._session is None or not self.connector.is_usable(self._session):
                await self.lose()
                self._session = await self.connector.connect(self._endpoint)
            return self._session

    def operation(self, name: str) -> Operation:
        """Return an operation that is permitted."""
        return next(operation for operation in self.connector.operations() if operation.name == name)

    def prepare(self, name: str, /, *, seconds: float = 20, **arguments: Any) -> tuple[Prepared, Context]:
        """Judge a call."""
        operation = self.operation(name)
        given = msgspec.convert(arguments, operation.arguments)
        called = context(seconds, self.agent)
        return self.connector.prepare(operation, given, called), called

    async def outcome(self, name: str, /, *, seconds: float = 20, **arguments: Any) -> Outcome:
        """Run a call."""
        prepared, called = self.prepare(name, seconds=seconds, **arguments)
        return await self.connector.execute(await self.session(), prepared, called)

    async def call(self, name: str, /, *, seconds: float = 20, **arguments: Any) -> Any:
        """Run a call, and return its data as JSON would have it."""
        return json_of((await self.outcome(name, seconds=seconds, **arguments)).data)

    async def stream(self, name: str, /, *, seconds: float, **arguments: Any) -> AsyncIterator[Any]:
        """Run a call piece by piece."""
        prepared, called = self.prepare(name, seconds=seconds, **arguments)
        pieces = self.connector.stream(await self.session(), prepared, called)
        async with aclosing(pieces) as outcomes:  # type: ignore[type-var]
            async for outcome in outcomes:
                yield json_of(outcome.data)

    async def publish(self, queue: str, *payloads: Any, **more: Any) -> Any:
        """Publish to a queue, by the default exchange."""
        messages = [{"exchange": "", "routingKey": queue, "payload": payload, **more} for payload in payloads]
        return await self.call("publish", messages=messages)

    async def take(self, queue: str, **arguments: Any) -> list[Mapping[str, Any]]:
        """Receive, and return the messages."""
        return list((await self.call("receive", queue=queue, **arguments))["messages"])

    async def ready(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        return int((await self.call("inspect", queue=queue))["ready"])

    async def lose(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self.connector.disconnect(self._session)
            self._session = None

    async def close(self) -> None:
        """Close what is open."""
        await self.lose()


def json_of(data: Any) -> Any:
    """Return an answer as the agent reads it."""
    return msgspec.json.decode(msgspec.json.encode(data))
