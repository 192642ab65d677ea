import asyncio
from pathlib import Path

import pytest

from tests.sidecar.rest.bed import SECONDS, serving


async def test_probes_and_metrics_are_on_the_pods_port_and_nothing_else_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        await bed.client.get("/v1/cache/a")
        client, url = bed.client, bed.health_url
        answers = {path: await client.get(url + path) for path in ("/healthz", "/readyz", "/metrics")}
        others = [await client.get(url + path) for path in ("/v1/connectors", "/mcp", "/v1/cache/a")]
        posted = await client.post(f"{url}/healthz")
        foreign = await client.get(f"{url}/metrics", headers={"host": "10.1.2.3:8812"})

    assert [answer.status_code for answer in answers.values()] == [200, 200, 200]
    assert "ringfence_sidecar_calls_total" in answers["/metrics"].text
    assert [answer.status_code for answer in others] == [404, 404, 404]
    assert posted.status_code == 405
    assert foreign.status_code == 200


async def test_metrics_are_not_on_the_agents_port(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        answer = await bed.client.get("/metrics")

    assert answer.status_code == 404


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 20_000, b"GET / HTTP/1.1\r\n"])
async def test_garbage_ends_its_connection_only(tmp_path: Path, data: bytes) -> None:
    async with serving(tmp_path) as bed:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(bed.health_url.rpartition(":")[2]))
        writer.write(data)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()

        assert (await bed.client.get(f"{bed.health_url}/healthz")).status_code == 200
