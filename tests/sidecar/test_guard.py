import asyncio
from pathlib import Path

import pytest

from tests.sidecar.rest.bed import SECONDS, serving

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/mcp", "/v1/batch", "/v1/connectors"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "ForeignHost"),
        ({"host": "localhost.evil.example:8811"}, "ForeignHost"),
        ({"host": "127.0.0.1:8811@evil.example"}, "ForeignHost"),
        ({"origin": "http://evil.example"}, "ForeignOrigin"),
        ({"origin": "null"}, "ForeignOrigin"),
        ({"origin": "http://127.0.0.1:1"}, "ForeignOrigin"),
        ({"sec-fetch-site": "cross-site"}, "ForeignOrigin"),
    ],
)
async def test_a_page_in_the_agents_browser_is_refused(
    tmp_path: Path, path: str, headers: dict[str, str], code: str
) -> None:
    async with serving(tmp_path) as bed:
        answer = await bed.client.post(path, json={}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, code)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_this_servers_own_names_and_origin_are_let_in(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path) as bed:
        port = bed.url.rpartition(":")[2]
        own = {"host": f"{host}:{port}", "origin": f"http://{host}:{port}", "sec-fetch-site": "same-origin"}
        answer = await bed.client.get("/v1/connectors", headers=own)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=latin-1"]
)
@pytest.mark.parametrize("path", ["/mcp", "/v1/batch"])
async def test_a_body_that_is_not_called_json_is_refused(tmp_path: Path, path: str, kind: str) -> None:
    async with serving(tmp_path) as bed:
        answer = await bed.client.post(path, content=b"{}", headers={"content-type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "JsonRequired")


async def test_a_preflight_of_a_browser_gets_no_permission(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        answer = await bed.client.options("/v1/batch", headers={"access-control-request-method": "POST"})

    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(tmp_path: Path) -> None:
    async def chunks() -> object:
        for _ in range(3):
            yield b" " * 500

    async with serving(tmp_path, max_body_bytes=1000) as bed:
        whole = await bed.client.post("/v1/batch", content=b" " * 1001, headers=JSON)
        chunked = await bed.client.post("/v1/batch", content=chunks(), headers=JSON)  # type: ignore[arg-type]
        after = await bed.client.get("/healthz")

    assert [(answer.status_code, answer.json()["code"]) for answer in (whole, chunked)] == [(413, "BodyTooLarge")] * 2
    assert after.status_code == 200


async def test_a_large_body_that_is_not_too_large_is_read(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        value = "x" * 1_000_000
        kept = await bed.client.put("/v1/cache/a", json={"value": value})
        got = await bed.client.get("/v1/cache/a")

    assert kept.status_code == 200
    assert got.json()["data"]["value"] == value


async def test_long_headers_are_refused_and_endless_ones_cut(tmp_path: Path) -> None:
    async with serving(tmp_path) as bed:
        long = await bed.client.get("/healthz", headers={"x-a": "a" * 20_000})
        reader, writer = await asyncio.open_connection("127.0.0.1", int(bed.url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(_pour(writer), SECONDS)
        writer.close()
        after = await bed.client.get("/healthz")

    assert (long.status_code, long.json()["code"]) == (431, "HeadersTooLarge")
    assert after.status_code == 200
    assert reader.at_eof() or reader.exception()


@pytest.mark.parametrize("name", ["host", "content-type", "content-length"])
async def test_a_header_that_decides_must_not_be_sent_twice(tmp_path: Path, name: str) -> None:
    given = {"host": "localhost", "content-type": "application/json", "content-length": "2"}
    lines = [f"{each}: {value}" for each, value in given.items()] + [f"{name}: {given[name]}", "connection: close"]

    async with serving(tmp_path) as bed:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(bed.url.rpartition(":")[2]))
        writer.write(("POST /v1/batch HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n{}").encode())
        async with asyncio.timeout(SECONDS):
            head = await reader.readline()
        writer.close()

    assert head.split()[1] in (b"400", b"403", b"415")


async def _pour(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a" * 65_536)
        await writer.drain()
