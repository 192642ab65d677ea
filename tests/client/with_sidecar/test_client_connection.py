"""Connections with a real sidecar, and with what is none."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

import ringfence
from ringfence_sidecar.configuration import Limit
from tests.backends.waiting import eventually
from tests.client.with_sidecar.sidecar import Sidecar, configuration
from tests.ports import free_port


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """Answers what no sidecar does, or nothing."""

    answers: ClassVar[bool] = True

    def do_POST(self) -> None:
        if self.answers:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


class _Mute(_Elsewhere):
    answers = False


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that is no sidecar."""
    kind = getattr(request, "param", _Elsewhere)
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join(10)


def test_without_an_address_it_says_where_that_would_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RINGFENCE_API_URL", raising=False)

    with pytest.raises(ringfence.NotInAgentError, match="RINGFENCE_API_URL is not set"):
        ringfence.connect()


async def test_where_nothing_listens_the_call_may_be_made_again() -> None:
    async with ringfence.connect(f"http://127.0.0.1:{free_port()}/v1") as rf:
        with pytest.raises(ringfence.UnreachableError, match="nothing answers") as raised:
            await rf.connector("sales").call("query")

    assert raised.value.retryable


async def test_what_is_no_sidecar_is_told(elsewhere: str) -> None:
    async with ringfence.connect(elsewhere) as rf:
        with pytest.raises(ringfence.UnreachableError, match="is this a Ringfence sidecar"):
            await rf.connector("sales").call("query")


@pytest.mark.parametrize("elsewhere", [_Mute], indirect=True)
async def test_a_call_whose_answer_never_came_is_not_made_again(elsewhere: str) -> None:
    async with ringfence.connect(elsewhere, retry=ringfence.Retry()) as rf:
        with pytest.raises(ringfence.UnreachableError, match="went away during the call") as raised:
            await rf.connector("sales").call("query")

    assert not raised.value.retryable


async def test_what_cannot_be_a_header_is_refused_before_anything_is_sent(elsewhere: str) -> None:
    async with ringfence.connect(elsewhere) as rf:
        with pytest.raises(ValueError, match="printable ASCII"):
            await rf.connector("sales").call("query", idempotency_key="two\r\nlines")


@pytest.mark.backend
async def test_a_connector_that_is_not_there_is_not_found(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_API_URL", sidecar.url)

    async with ringfence.connect() as rf:
        with pytest.raises(ringfence.NotFoundError) as raised:
            await rf.connector("a/b ?").call("query")

    assert raised.value.type == "urn:ringfence:problem:NotFound"
    assert sidecar.audited(raised.value.request_id)["connector"] == "a/b ?"


@pytest.mark.backend
async def test_calls_within_a_span_are_part_of_its_trace_in_the_audit(
    rf: ringfence.Ringfence, sidecar: Sidecar, lines: list[dict[str, object]]
) -> None:
    with rf.trace("ask") as span:
        answer = await rf.snowflake("sales").query("SELECT 1 AS one")

    audited = sidecar.audited(answer.envelope.metadata.request_id)
    assert audited["traceId"] == span.trace_id == answer.envelope.metadata.trace_id
    assert (lines[0]["traceId"], lines[0]["calls"]) == (span.trace_id, 1)


@pytest.mark.backend
async def test_a_refusal_within_a_span_leads_to_its_audit_line(
    rf: ringfence.Ringfence, sidecar: Sidecar, lines: list[dict[str, dict[str, str]]]
) -> None:
    with pytest.raises(ringfence.RefusedError), rf.trace("ask"):
        await rf.snowflake("sales").query("SELECT * FROM elsewhere.public.t")

    error = lines[0]["error"]
    audited = sidecar.audited(error["requestId"])
    assert (error["code"], audited["outcome"]) == ("TableNotPermitted", "refused")


@pytest.mark.backend
async def test_a_quota_that_is_spent_is_waited_for_if_asked_and_told_if_not(alone: Sidecar) -> None:
    limit = Limit(quota="team", quota_uid="q-1", resource="apiCalls", max=1, window="Second")
    alone.configure(configuration(limits=(limit,), version="2"))

    async with ringfence.connect(alone.url) as hasty, ringfence.connect(alone.url, retry=ringfence.Retry()) as patient:

        async def refusal() -> ringfence.QuotaError | None:
            try:
                await hasty.cache.set("a", 1)
            except ringfence.QuotaError as error:
                return error
            return None

        refused: list[ringfence.QuotaError] = []
        for _ in range(1000):  # until the limit is in force
            if (error := await refusal()) is not None:
                refused.append(error)
                break
        await patient.cache.set("b", 2)

    (told,) = refused
    assert (told.problem.quota, told.problem.resource, told.problem.window) == ("team", "apiCalls", "Second")
    assert told.retry_after is not None
    assert 0 < told.retry_after < 2


@pytest.mark.backend
async def test_a_sidecar_that_starts_anew_is_waited_for_if_asked(alone: Sidecar) -> None:
    async with ringfence.connect(alone.url, retry=ringfence.Retry(attempts=100)) as rf:
        await rf.cache.set("a", 1)
        alone.kill()
        with pytest.raises(ringfence.UnreachableError):
            async with ringfence.connect(alone.url) as hasty:
                await hasty.cache.get("a")
        alone.start()

        assert await rf.cache.get("a") is None  # it had no Redis, so what it kept is gone


@pytest.mark.backend
async def test_a_call_that_is_cancelled_is_cancelled_in_the_sidecar(
    rf: ringfence.Ringfence, sidecar: Sidecar, name: str
) -> None:
    events = rf.rabbitmq("events")
    await events.call("declare", {"queue": {"name": name}})

    waiting = asyncio.create_task(events.receive(name, wait_seconds=30))
    async with asyncio.timeout(10):
        while not (await events.call("inspect", {"queue": name})).data["consumers"]:  # noqa: ASYNC110 - brokers tell nobody
            await asyncio.sleep(0.01)
    waiting.cancel()

    def is_audited() -> bool:
        return any(each["operation"] == "receive" and each["outcome"] == "cancelled" for each in sidecar.calls)

    await eventually(is_audited, what="the audit says that the call was cancelled")
