"""The real Envoy where everything goes out through a company's own proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ringfence_operator.resources.public import NOT_PUBLIC
from tests.operator.control.authority import Authority
from tests.operator.control.world import A, B, world


@dataclass(slots=True)
class UpstreamProxy:
    """A company's proxy, as far as these tests need one: it keeps what it was sent."""

    port: int = 0
    heads: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.heads.append(head)
                if head.startswith("CONNECT"):
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy")
        writer.close()


@asynccontextmanager
async def upstream_proxy(tls: Path | None = None) -> AsyncIterator[UpstreamProxy]:
    """Serve one on A, with the certificate in the folder `tls` if there is one."""
    found, context = UpstreamProxy(), None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    server = await asyncio.start_server(found.serve, A, 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_with_an_upstream_proxy_everything_goes_out_through_it(tmp_path: Path, is_tls: bool) -> None:
    authority = Authority()
    authority.write(tmp_path / "proxy", A)
    async with upstream_proxy(tmp_path / "proxy" if is_tls else None) as proxy:
        url = f"{'https' if is_tls else 'http'}://user:word@{A}:{proxy.port}"
        trusted = authority.pem if is_tls else None
        async with world(
            tmp_path, serve=False, closed=NOT_PUBLIC, upstreamProxy=url, upstreamProxyAuthority=trusted
        ) as at:
            await at.apply("a.example")

            by_http = await at.get("a.example")
            refused = [await at.get("b.example"), await at.tls_answer("b.example")]
            await at.tls_answer("a.example")

    assert (by_http, refused) == ("proxy", ["403", "closed"])
    assert [head.split("\r\n")[0] for head in proxy.heads] == [
        "GET http://a.example/ HTTP/1.1",
        "CONNECT a.example:443 HTTP/1.1",
    ]
    assert all("proxy-authorization: Basic dXNlcjp3b3Jk" in head for head in proxy.heads)
    assert at.internet.asked == []


@pytest.mark.parametrize(("name", "is_known"), [(B, True), (A, False)], ids=["another's name", "another authority"])
async def test_an_upstream_proxy_that_is_not_the_one_meant_is_told_nothing(
    tmp_path: Path, name: str, is_known: bool
) -> None:
    authority = Authority()
    authority.write(tmp_path / "proxy", name)
    trusted = authority.pem if is_known else Authority().pem
    async with upstream_proxy(tmp_path / "proxy") as proxy:
        url = f"https://user:word@{A}:{proxy.port}"
        async with world(
            tmp_path, serve=False, closed=NOT_PUBLIC, upstreamProxy=url, upstreamProxyAuthority=trusted
        ) as at:
            await at.apply("a.example")

            answers = [await at.get("a.example"), await at.tls_answer("a.example")]

    assert answers == ["503", "closed"]
    assert proxy.heads == []
