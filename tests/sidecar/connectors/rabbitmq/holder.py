"""A sidecar's stand-in that takes what is in a queue, says so, and holds it until it is killed."""

import asyncio
import sys
from pathlib import Path

from tests.sidecar.connectors.rabbitmq.workbench import Bench, endpoint


async def main(directory: str, port: str, queue: str, count: str) -> None:
    """Hold `count` messages of `queue`."""
    bench = Bench(Path(directory), None, endpoints=(endpoint(int(port)),))
    taken = await bench.take(queue, count=int(count), waitSeconds=10)
    sys.stdout.write(f"holding {len(taken)}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
