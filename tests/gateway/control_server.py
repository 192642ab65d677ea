"""A small control process: a real gRPC server that sends what a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2

from tests.gateway.certificates import Authority

NAME = "control.test"


class Stream:
    """One stream of a node."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.firsts: dict[str, Any] = {}
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.is_complete = asyncio.Event()

    async def send(self, type_url: str, nonce: str, resources: dict[str, tuple[str, bytes]], *removed: str) -> Any:
        """Send resources, each with version and value; return the acknowledgement."""
        message = discovery_pb2.DeltaDiscoveryResponse(type_url=type_url, nonce=nonce, removed_resources=removed)
        for name, (version, value) in resources.items():
            resource = message.resources.add(name=name, version=version)
            resource.resource.type_url = type_url
            resource.resource.value = value
        await self._context.write(message)
        return await self.answers.get()


class ControlServer:
    """Takes streams and reports."""

    def __init__(self) -> None:
        self.streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.reports: list[bytes] = []
        self.status = grpc.StatusCode.OK
        self.answering = asyncio.Event()
        """Cleared, reports are taken and not answered."""
        self.answering.set()
        self.asked = asyncio.Event()

    async def stream(self, _: Any, context: Any) -> None:
        stream = Stream(context)
        while (message := await context.read()) is not grpc.aio.EOF:
            if message.response_nonce:
                await stream.answers.put(message)
                continue
            stream.firsts[message.type_url] = message
            if len(stream.firsts) == 2:
                await self.streams.put(stream)

    async def report(self, message: bytes, context: Any) -> bytes:
        self.asked.set()
        await self.answering.wait()
        if self.status is not grpc.StatusCode.OK:
            await context.abort(self.status, "no")
        self.reports.append(message)
        return b"{}"

    @contextlib.asynccontextmanager
    async def serving(self, authority: Authority, *, port: int = 0, name: str = NAME) -> AsyncIterator[int]:
        """Serve while the block runs; gives the port."""
        certificate, key = authority.issue(name)
        credentials = grpc.ssl_server_credentials([(key, certificate)], authority.pem, require_client_auth=True)
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        delta = grpc.stream_stream_rpc_method_handler(
            self.stream,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        report = grpc.unary_unary_rpc_method_handler(self.report)
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": delta}),
                grpc.method_handlers_generic_handler("ringfence.gateway.v1.Gateway", {"Report": report}),
            )
        )
        bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(0)
