"""Log in from a process of its own: `python -m … PORT DATABASE DIRECTORY`. Prints what the process has done besides."""

import asyncio
import json
import sys
import time
from pathlib import Path

METADATA = "FEA9FEA9"
"""169.254.169.254, as /proc/net/tcp writes it."""
before = set(sys.modules)


def connections() -> set[str]:
    """Return the remote addresses of the network namespace's TCP sockets, with what is still being opened."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return {line.split()[2].split(":")[0] for line in lines}


async def main(port: int, database: str, directory: Path) -> None:
    """Ask, and look at what else goes on."""
    from ringfence_sidecar.connectors.snowflake import Snowflake  # noqa: PLC0415
    from tests.sidecar.connectors.snowflake.bench import configuration, context  # noqa: PLC0415

    connector = Snowflake(configuration(port, database, directory))
    bound = {name.split(".")[0] for name in set(sys.modules) - before}
    session = await connector.connect(connector.configuration.endpoints[0])
    query = connector.operations()[0]
    prepared = connector.prepare(query, query.arguments(sql="SELECT 1"), context())
    await connector.execute(session, prepared, context())
    seen: set[str] = set()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        seen |= connections()
        await asyncio.sleep(0.02)
    await connector.disconnect(session)
    print(json.dumps({"metadata": METADATA in seen, "driver": "snowflake" in bound}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
