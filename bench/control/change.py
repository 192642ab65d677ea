"""How long a changed configuration takes from the operator's process to the sidecar's."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from bench.bed import Bed
from bench.control.server import Ports, control_server
from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from ringfence_operator.egress.certificates import issue, new_authority
from ringfence_operator.egress.feed import Feed
from ringfence_sidecar.configuration import Configuration
from ringfence_sidecar.control import ControlClient

CHANGES = 300
APART_SECONDS = 0.1
"""As rare as a sidecar may poll."""
POD = "pod"


def measure_change(bed: Bed) -> Iterable[Row]:
    """Publish, wait for the sidecar's `on_change`, and again."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    samples = asyncio.run(_changes(50 if bed.is_quick else CHANGES))
    bed.keep("change", samples)
    return [
        at_most(f"configuration published -> on_change, {len(samples)} changes, p99", _ms(samples, 0.99), 1_000, "ms"),
        for_comparison("  p50", _ms(samples, 0.5), "ms"),
    ]


def _ms(samples: list[float], share: float) -> float:
    return round(quantile(samples, share) * 1000, 2)


async def _changes(number: int) -> list[float]:
    authority = new_authority(datetime.now(UTC))
    server = issue(authority, ["ringfence-control"], datetime.now(UTC))
    with TemporaryDirectory() as name:
        directory = Path(name)
        ports = Ports.beside(directory)
        (directory / "token").write_text(_token())
        (directory / "ca.crt").write_text(authority.certificate_pem)
        with control_server(ports, directory / "control.log"):
            feed = Feed(str(ports.socket), on_change=_nothing, on_seen=_nothing, review=_vouch)
            feed.identify(authority=authority.certificate_pem, certificate=server.certificate_pem, key=server.key_pem)
            feed.configure({"reserved": [], "resolvers": [], "upstreamProxy": None})
            feed.complete()
            return await _measure(feed, ports.sidecars, directory, number)


async def _measure(feed: Feed, port: int, directory: Path, number: int) -> list[float]:
    there: asyncio.Queue[tuple[float, str]] = asyncio.Queue()

    async def changed(configuration: Configuration) -> None:
        there.put_nowait((time.perf_counter(), configuration.version))

    client = ControlClient(
        f"https://127.0.0.1:{port}", token=directory / "token", authority=directory / "ca.crt", on_change=changed
    )
    samples = []
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(feed.run()), group.create_task(client.run())]
        for count in range(number + 1):
            begin, version = time.perf_counter(), str(count)
            feed.sidecars.publish(POD, "127.0.0.1", _configuration(version))
            async with asyncio.timeout(30):
                end, found = await there.get()
            if found != version:
                raise RuntimeError(f"version {found} came instead of {version}")
            samples.append(end - begin)
            await asyncio.sleep(APART_SECONDS)
        for task in running:
            task.cancel()
    return samples[1:]  # the first one waits for everything to start


def _configuration(version: str) -> dict[str, Any]:
    return {"version": version, "agent": {"namespace": "team", "name": "a", "uid": "agent", "generation": 1}}


def _token() -> str:
    claims = {
        "aud": ["ringfence-control"],
        "nbf": int(time.time()) - 60,
        "exp": int(time.time()) + 3_600,
        "kubernetes.io": {"pod": {"uid": POD}},
    }
    parts = (json.dumps({"alg": "RS256"}), json.dumps(claims))
    return ".".join([*(base64.urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in parts), "c2ln"])


async def _vouch(_: str) -> str | None:
    return POD


def _nothing(_: str) -> None:
    return None
