"""Envoy's access log, over gRPC on a Unix socket: every entry is counted and forgotten."""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from ringfence_gateway.entry import Request, read_http, read_tls
from ringfence_gateway.port_set import PortSet
from ringfence_gateway.record import Record


class AccessLog(als_pb2_grpc.AccessLogServiceServicer):  # type: ignore[misc]
    """Takes the streams of Envoy's workers."""

    def __init__(self, record: Record, port_sets: Mapping[int, PortSet]) -> None:
        self._record = record
        self._port_sets = port_sets

    async def StreamAccessLogs(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:  # noqa: ARG002, N802
        """Count what a stream brings; its first message alone says which log it is."""
        log_name = ""
        async for message in request_iterator:
            if message.HasField("identifier"):
                log_name = message.identifier.log_name
            self.count(message, log_name)
        return als_pb2.StreamAccessLogsResponse()

    def count(self, message: Any, log_name: str) -> None:
        """Count the entries of one message."""
        for entry in message.http_logs.log_entry:
            self._add(read_http(entry, self._port_sets))
        for entry in message.tcp_logs.log_entry:
            self._add(read_tls(entry, log_name, self._port_sets))

    def _add(self, request: Request | None) -> None:
        if request is not None:
            self._record.requested(request.block, request.name, request.port, request.verdict, via=request.via)


async def serve_access_log(log: AccessLog, path: Path) -> grpc.aio.Server:
    """Listen on the Unix socket `path`, in place of what an earlier process left there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - of a file in memory, once
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", 16 << 20),))
    als_pb2_grpc.add_AccessLogServiceServicer_to_server(log, server)
    if not server.add_insecure_port(f"unix:{path}"):
        raise OSError(f"cannot listen on {path}")
    await server.start()
    return server
