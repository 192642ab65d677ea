"""The responder's end of the control server, as far as these tests need it: it takes everything, and the access log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from envoy.service.accesslog.v3 import als_pb2
from envoy.service.discovery.v3 import discovery_pb2

from ringfence_operator.control.resource import PORT_SET, SETTINGS
from ringfence_operator.control.server import DISCOVERY
from tests.operator.control.operator_side import CONTROL_NAME

DELTA = f"/{DISCOVERY}/DeltaAggregatedResources"
REPORT = "/ringfence.gateway.v1.Gateway/Report"


def channel(port: int, tls: Path, *, host: str = "127.0.0.1") -> grpc.aio.Channel:
    """Return a channel to the control server with the certificate in `tls`."""
    credentials = grpc.ssl_channel_credentials(
        (tls / "ca.crt").read_bytes(), (tls / "tls.key").read_bytes(), (tls / "tls.crt").read_bytes()
    )
    options = (("grpc.ssl_target_name_override", CONTROL_NAME),)
    return grpc.aio.secure_channel(f"{host}:{port}", credentials, options=options)


@dataclass(slots=True)
class Responder:
    """A delta xDS client that acknowledges what it is told."""

    node: str
    held: dict[str, dict[str, str]] = field(default_factory=lambda: {PORT_SET: {}, SETTINGS: {}})
    """Type → name → version."""
    sent: int = 0
    """Resources and removals that came in."""
    bytes: int = 0

    async def run(self, channel: grpc.aio.Channel) -> None:
        call = channel.stream_stream(
            DELTA,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )(wait_for_ready=True)
        for type_url, held in self.held.items():
            await call.write(
                discovery_pb2.DeltaDiscoveryRequest(
                    node={"id": self.node}, type_url=type_url, initial_resource_versions=held
                )
            )
        while (response := await call.read()) is not grpc.aio.EOF:
            self._take(response)
            await call.write(
                discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
            )

    def _take(self, response: Any) -> None:
        held = self.held[response.type_url]
        self.sent += len(response.resources) + len(response.removed_resources)
        self.bytes += response.ByteSize()
        held.update({each.name: each.version for each in response.resources})
        for name in response.removed_resources:
            held.pop(name, None)


@asynccontextmanager
async def responder(port: int, tls: Path, node: str) -> AsyncIterator[Responder]:
    found = Responder(node)
    async with channel(port, tls) as open_channel:
        running = asyncio.create_task(found.run(open_channel))
        try:
            yield found
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, grpc.RpcError):
                await running


@dataclass(slots=True)
class AccessLog:
    """Entries as (log name, block, offset, name, route), in the order in which they came."""

    entries: list[tuple[str, int, int, str, str]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_for(self, *entries: tuple[str, int, int, str, str]) -> None:
        async with asyncio.timeout(10):
            while not set(entries) <= set(self.entries):
                self._news.clear()
                await self._news.wait()

    async def stream(self, requests: Any, _: Any) -> Any:
        name = ""
        async for message in requests:
            name = message.identifier.log_name or name
            for entry in message.http_logs.log_entry:
                self._add(name, entry.common_properties, entry.request.authority)
            for entry in message.tcp_logs.log_entry:
                self._add(name, entry.common_properties, entry.common_properties.tls_properties.tls_sni_hostname)
        return als_pb2.StreamAccessLogsResponse()

    def _add(self, log: str, common: Any, name: str) -> None:
        block, offset = divmod(common.downstream_local_address.socket_address.port_value - 10_000, 16)
        self.entries.append((log, block, offset, name, common.route_name))
        self._news.set()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def service(self, _: Any) -> Any:
        return self._handler


@asynccontextmanager
async def access_log(socket: Path) -> AsyncIterator[AccessLog]:
    found = AccessLog()
    server = grpc.aio.server()
    handler = grpc.stream_unary_rpc_method_handler(
        found.stream,
        request_deserializer=als_pb2.StreamAccessLogsMessage.FromString,
        response_serializer=als_pb2.StreamAccessLogsResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((_Handlers(handler),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield found
    finally:
        await server.stop(0)
