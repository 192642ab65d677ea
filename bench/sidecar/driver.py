"""Snowflake's official driver alone: what a call takes without a sidecar."""

from typing import Any

from ringfence_sidecar.configuration import Connector
from ringfence_sidecar.connectors.snowflake.driver import load
from ringfence_sidecar.connectors.snowflake.options import connection_options
from tests.backends.snowflake_server import SnowflakeServer

ITEMS = 2_000
REPEATED = 20
"""Of them, those that `repeat_items` has answered already."""
READ = 'SELECT id, name FROM "SALES"."PUBLIC".items WHERE id = ? LIMIT 10'
"""As the sidecar sends it on, too: what the stand-in takes to parse a name is not the sidecar's time."""
_MAKE = (
    "CREATE OR REPLACE TABLE items (id INT, name VARCHAR)",
    f"INSERT INTO items SELECT seq, 'item ' || seq FROM (SELECT UNNEST(RANGE({ITEMS})) AS seq)",
)


class Alone:
    """One logged-in connection, with the options that the sidecar's sessions have."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, connector: Connector, *, endpoint: int = 0) -> "Alone":
        """Log in."""
        options = connection_options(connector, connector.endpoints[endpoint])
        connection = load().connection(**options)
        connection.telemetry_enabled = False
        await connection.connect()
        return cls(connection)

    async def ask(self, sql: str, *binds: Any) -> list[Any]:
        """Return a statement's rows."""
        cursor = self._connection.cursor()
        try:
            await cursor.execute(sql, binds or None)
            rows: list[Any] = await cursor.fetchall()
            return rows
        finally:
            cursor.close()

    async def close(self) -> None:
        """Log out."""
        await self._connection.close(retry=False)


async def make_items(connector: Connector) -> None:
    """Have the table that is read at each of the connector's endpoints."""
    for number in range(len(connector.endpoints)):
        alone = await Alone.open(connector, endpoint=number)
        try:
            for sql in _MAKE:
                await alone.ask(sql)
        finally:
            await alone.close()


async def repeat_items(connector: Connector, *servers: SnowflakeServer) -> None:
    """Have the table, and the stand-ins repeat what they answer of its first rows from now on.

    Each answer that fakesnow works out takes a processor of this machine for 20 ms, which no warehouse does.
    """
    await make_items(connector)
    for number, server in enumerate(servers):
        server.faults(repeats=True)
        alone = await Alone.open(connector, endpoint=number)
        try:
            for item in range(REPEATED):
                await alone.ask(READ, item)
        finally:
            await alone.close()
