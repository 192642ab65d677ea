"""A connector with a session, used as the pipeline uses them."""

import itertools
from pathlib import Path
from typing import Any

import msgspec

from ringfence_sidecar.call import Context, Deadline, Trace
from ringfence_sidecar.configuration import Agent, Auth, Connector, Endpoint
from ringfence_sidecar.connectors.base import Outcome, Prepared
from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.connectors.snowflake.session import Session
from tests.backends.snowflake_server import SnowflakeServer

AGENT = Agent(namespace="research", name="reader", uid="u-1")
TRACE = Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
ALL = ["Select", "Insert", "Update", "Delete", "Merge", "CreateTable", "DropTable", "Show", "Describe", "Explain"]
_requests = itertools.count(1)


def configuration(port: int, database: str, directory: Path, **changes: Any) -> Connector:
    """Return a Connector's configuration; `limits`, `settings`, `permissions` and `endpoint` add to what is there."""
    (directory / "password").write_text("correct horse\n")
    endpoint = {
        "name": "main",
        "host": "127.0.0.1",
        "port": port,
        "tls": False,
        "settings": {"account": "acme-main", "warehouse": "reading"},
    }
    made = {
        "name": "warehouse",
        "uid": "c-1",
        "generation": 1,
        "kind": "snowflake",
        "endpoints": [{**endpoint, **changes.pop("endpoint", {})}],
        "auth": {
            "method": "password",
            "directory": str(directory),
            "files": {"password": "password"},
            "settings": {"user": "RINGFENCE"},
        },
        "settings": {"database": database, "role": "analyst", "warehouseUsage": True, **changes.pop("settings", {})},
        "permissions": {"statements": ALL, "tables": [f"{database}.*.*"], **changes.pop("permissions", {})},
        "limits": changes.pop("limits", {}),
        **changes,
    }
    return msgspec.convert(made, Connector)


def context(seconds: float = 30.0) -> Context:
    """Return the context of a call that has so many seconds."""
    return Context(agent=AGENT, request_id=f"request-{next(_requests)}", trace=TRACE, deadline=Deadline.after(seconds))


class Bench:
    """Asks one operation after another, on one session."""

    def __init__(self, connector: Snowflake, server: SnowflakeServer, session: Session) -> None:
        self.connector = connector
        self.server = server
        self.session = session

    @classmethod
    async def start(cls, connector: Snowflake, server: SnowflakeServer) -> "Bench":
        """Log in."""
        return cls(connector, server, await connector.connect(connector.configuration.endpoints[0]))

    async def stop(self) -> None:
        """Log out."""
        await self.connector.disconnect(self.session)

    def prepare(self, name: str, **arguments: Any) -> Prepared:
        """Judge a call; the arguments are as JSON has them."""
        operation = next(each for each in self.connector.operations() if each.name == name)
        made = msgspec.convert(arguments, operation.arguments)
        return self.connector.prepare(operation, made, context())

    async def ask(self, name: str, *, seconds: float = 30.0, **arguments: Any) -> Outcome:
        """Judge and run a call."""
        prepared = self.prepare(name, **arguments)
        return await self.connector.execute(self.session, prepared, context(seconds))

    async def make(self, *statements: str) -> None:
        """Run statements that change something."""
        for sql in statements:
            await self.ask("execute", sql=sql)


def data(outcome: Outcome) -> Any:
    """Return the answer's data as a client reads it."""
    return msgspec.json.decode(msgspec.json.encode(outcome.data))


def endpoint_of(connector: Snowflake) -> Endpoint:
    """Return the only endpoint."""
    return connector.configuration.endpoints[0]


def auth(method: str, directory: Path, files: dict[str, str], **settings: str) -> Auth:
    """Return an auth whose files have the given contents."""
    for name, content in files.items():
        (directory / name).write_text(content)
    return Auth(method=method, directory=str(directory), files={name: name for name in files}, settings=settings)
