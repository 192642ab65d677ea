"""The gRPC server that gateways speak to: delta xDS and reports, by mutual TLS only."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import orjson
import structlog
from envoy.service.discovery.v3 import discovery_pb2

from ringfence_operator.control.delta import Request, Response
from ringfence_operator.control.fleet import Fleet, UnknownNodeError
from ringfence_operator.control.node import Node
from ringfence_operator.control.report import InvalidReportError, metered_of, seen_of

log = structlog.get_logger(__name__)

DISCOVERY = "envoy.service.discovery.v3.AggregatedDiscoveryService"
GATEWAY = "ringfence.gateway.v1.Gateway"

OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.server_handshake_timeout_ms", 5_000),
    # A gateway that is gone without a word is noticed in 10 to 40 s. It is also how long one may leave unread what was
    # sent (gRPC makes it the socket's TCP_USER_TIMEOUT): Envoy reads nothing while it builds listeners, and on a busy
    # machine a thousand policies take it more than 5 s. Being cut off, it begins anew, and waits for routes in vain.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
MOST_CALLS = 512


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM texts: the authority that clients' certificates come from, and what to serve with."""

    authority: str
    certificate: str
    key: str

    def configuration(self) -> Any:
        """Return it as gRPC takes it."""
        pairs = [(self.key.encode(), self.certificate.encode())]
        return grpc.ssl_server_certificate_configuration(pairs, root_certificates=self.authority.encode())


class ControlServer:
    """Serves what `fleet` says to each gateway's nodes.

    `on_report` takes what their responders have seen, `on_sent` the length of each message that goes to a node.
    """

    def __init__(
        self, fleet: Fleet, *, on_report: Callable[[dict[str, Any]], None], on_sent: Callable[[int], None]
    ) -> None:
        self._fleet = fleet
        self._on_report = on_report
        self._on_sent = on_sent
        self._identity: Identity | None = None
        self._is_new = False
        self._server: grpc.aio.Server | None = None
        self._streams: dict[Node, asyncio.Task[Any]] = {}

    def identify(self, identity: Identity) -> None:
        """Serve new connections with this identity. Connections that are there are kept."""
        self._identity = identity
        self._is_new = True

    async def start(self, port: int, *, host: str = "[::]") -> int:
        """Listen; return the port. Raises ValueError without an identity, OSError if the port is taken."""
        if self._identity is None:
            raise ValueError("there is no identity to serve with")
        server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        server.add_generic_rpc_handlers((self._handlers(),))
        self._is_new = False
        credentials = grpc.dynamic_ssl_server_credentials(
            self._identity.configuration(), self._newer_identity, require_client_authentication=True
        )
        try:
            bound = int(server.add_secure_port(f"{host}:{port}", credentials))
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be listened on: {error}") from error
        await server.start()
        self._server = server
        log.info("control.serving", port=bound)
        return bound

    async def stop(self) -> None:
        """Close all streams, and the port."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=0)
            log.info("control.closed")

    def _newer_identity(self) -> Any:
        # Called at each handshake, by a thread of gRPC's; None keeps what is there.
        if not self._is_new or self._identity is None:
            return None
        self._is_new = False
        return self._identity.configuration()

    def _handlers(self) -> Any:
        delta = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=self._serialize,
        )
        methods = {
            (DISCOVERY, "DeltaAggregatedResources"): delta,
            (GATEWAY, "Report"): self._handler(seen_of),
            (GATEWAY, "Metered"): self._handler(metered_of),
        }
        return _Handlers({f"/{service}/{method}": handler for (service, method), handler in methods.items()})

    def _serialize(self, message: Any) -> bytes:
        body: bytes = message.SerializeToString()
        self._on_sent(len(body))
        return body

    async def _stream(self, _: Any, context: Any) -> None:
        first = await context.read()
        if first is grpc.aio.EOF:
            return
        something = asyncio.Event()
        try:
            node = self._fleet.connect(first.node.id, wake=something.set)
        except UnknownNodeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return
        self._replace(node)
        writing = asyncio.create_task(self._write(node, something, context.write))
        try:
            message = first
            while message is not grpc.aio.EOF and not writing.done():
                self._fleet.receive(node, message.type_url, _request(message))
                something.set()
                message = await context.read()
        finally:
            self._streams.pop(node, None)
            self._fleet.disconnect(node)
            writing.cancel()
            with suppress(asyncio.CancelledError, grpc.RpcError, grpc.aio.UsageError):
                await writing

    def _replace(self, node: Node) -> None:
        """End an earlier stream of the same node: it has gone and come back before that was noticed."""
        for other, task in list(self._streams.items()):
            if (other.replica, other.kind) == (node.replica, node.kind):
                task.cancel()
        task_now = asyncio.current_task()
        if task_now is not None:
            self._streams[node] = task_now

    async def _write(self, node: Node, something: asyncio.Event, write: Callable[[Any], Awaitable[None]]) -> None:
        while True:
            await something.wait()
            something.clear()
            while (response := node.next_response()) is not None:
                await write(_message(response))

    def _handler(self, read: Callable[[bytes], dict[str, Any]]) -> Any:
        """Return what takes the reports that `read` makes a message for the operator of."""

        async def report(request: bytes, context: Any) -> bytes:
            try:
                self._on_report(read(request))
            except InvalidReportError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return orjson.dumps({})

        return grpc.unary_unary_rpc_method_handler(report)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, handlers: dict[str, Any]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _request(message: Any) -> Request:
    return Request(
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message or "refused" if message.HasField("error_detail") else None,
    )


def _message(response: Response) -> Any:
    resources = [
        discovery_pb2.Resource(
            name=each.name, version=each.version, resource={"type_url": each.type_url, "value": each.body}
        )
        for each in response.resources
    ]
    return discovery_pb2.DeltaDiscoveryResponse(
        type_url=response.type_url, nonce=response.nonce, resources=resources, removed_resources=response.removed
    )
