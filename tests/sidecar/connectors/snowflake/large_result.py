"""Read a large result in a process of its own: `python -m … PORT DATABASE DIRECTORY SQL`. Prints what that took."""

import asyncio
import json
import sys
from pathlib import Path

import msgspec

from ringfence_sidecar.connectors.snowflake import Snowflake
from tests.sidecar.connectors.snowflake.bench import configuration, context

LIMITS = {"rows": 1_000_000, "bytes": 10_000_000}


def memory(field: str) -> float:
    """Return a figure of the process's memory, in MiB."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) / 1024


def forget_the_peak() -> None:
    """Begin anew to note the most memory that was taken (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


async def main(port: int, database: str, directory: Path, sql: str) -> None:
    """Ask for little, then for much."""
    connector = Snowflake(configuration(port, database, directory, limits=LIMITS))
    session = await connector.connect(connector.configuration.endpoints[0])
    query = connector.operations()[0]

    async def ask(text: str) -> tuple[int, int, list[str]]:
        prepared = connector.prepare(query, query.arguments(sql=text), context(120))
        outcome = await connector.execute(session, prepared, context(120))
        body = msgspec.json.encode(outcome.data)
        return outcome.data.row_count, len(body), [each.code for each in outcome.warnings]

    await ask("SELECT 1")
    before = memory("VmRSS")
    forget_the_peak()
    rows, size, warnings = await ask(sql)
    peak = memory("VmHWM")
    await connector.disconnect(session)
    print(json.dumps({"rows": rows, "bytes": size, "warnings": warnings, "before": before, "raised": peak - before}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
