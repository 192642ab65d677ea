import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from ringfence_gateway.access_log import AccessLog, serve_access_log
from ringfence_gateway.names import Verdict
from ringfence_gateway.record import Record
from tests.gateway.builders import port_set
from tests.gateway.clients import SECONDS
from tests.gateway.entries import http_entry, tls_entry

Message = als_pb2.StreamAccessLogsMessage
Send = Callable[[list[Any]], Any]


def _record() -> Record:
    record = Record(clock=lambda: 7.0)
    record.serve(17, "team/web")
    return record


def _first(log_name: str, **entries: Any) -> Any:
    return Message(identifier=Message.Identifier(log_name=log_name), **entries)


def _tls(*entries: Any) -> Any:
    return Message.TCPAccessLogEntries(log_entry=entries)


def _http(*entries: Any) -> Any:
    return Message.HTTPAccessLogEntries(log_entry=entries)


@pytest.fixture
async def logged(tmp_path: Path) -> AsyncIterator[tuple[Record, Send]]:
    """A served log, and a way to send it the messages of one stream."""
    record = _record()
    path = tmp_path / "als.sock"
    path.touch()
    server = await serve_access_log(AccessLog(record, {17: port_set(17)}), path)

    async def send(messages: list[Any]) -> None:
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            await als_pb2_grpc.AccessLogServiceStub(channel).StreamAccessLogs(iter(messages), timeout=SECONDS)

    yield record, send
    await server.stop(0)


async def test_what_a_stream_brings_is_counted_under_its_first_name(logged: tuple[Record, Send]) -> None:
    record, send = logged
    entry = tls_entry("api.example.com")

    await asyncio.gather(
        send([_first("allowed", tcp_logs=_tls(entry, entry)), Message(tcp_logs=_tls(entry))]),
        send([_first("denied", tcp_logs=_tls(tls_entry("evil.example")))]),
        send([_first("http", http_logs=_http(http_entry("api.example.com", route="allowed")))]),
    )

    counted = {key: seen.count for key, seen in record.take().names[17].items()}
    assert counted == {
        ("api.example.com", 443, Verdict.ALLOWED): 3,
        ("evil.example", 443, Verdict.DENIED): 1,
        ("api.example.com", 80, Verdict.ALLOWED): 1,
    }


async def test_a_connection_without_a_name_is_counted_as_other(logged: tuple[Record, Send]) -> None:
    record, send = logged

    await send([_first("denied", tcp_logs=_tls(tls_entry(""), tls_entry("1.2.3.4")))])

    assert record.take().other == {(17, Verdict.DENIED): 2}


async def test_an_empty_stream_does_no_harm(logged: tuple[Record, Send]) -> None:
    record, send = logged

    await send([])
    await send([Message(), _first("allowed")])

    assert not record.take()
