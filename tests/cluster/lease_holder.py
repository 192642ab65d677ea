"""A process that holds a Lease and says so: python -m tests.cluster.lease_holder KUBECONFIG NAMESPACE NAME."""

import asyncio
import sys
from pathlib import Path

import structlog

from ringfence_operator.kube.client import Client
from ringfence_operator.kube.lease import LeaderElector
from tests.cluster.wire import credentials_from


async def hold(kubeconfig: str, namespace: str, name: str) -> None:
    async with Client(credentials_from(Path(kubeconfig))) as client:
        elector = LeaderElector(client, namespace, name, "holder")
        await elector.run(
            on_gained=lambda: print("gained", flush=True),  # noqa: T201
            on_lost=lambda: print("lost", flush=True),  # noqa: T201
        )


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(hold(*sys.argv[1:]))
