"""Writes a large result to a file, page by page: it never is in memory as a whole."""

import asyncio
import csv
import sys
from pathlib import Path

import ringfence


async def main(path: Path) -> None:
    """Write all orders to a file."""
    async with ringfence.connect() as rf:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            async for page in rf.snowflake("sales").pages("SELECT * FROM orders ORDER BY amount", limit=2):
                writer.writerows(page.rows)


asyncio.run(main(Path(sys.argv[1])))
