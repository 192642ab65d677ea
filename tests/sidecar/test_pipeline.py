import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.configuration import CachePolicy, LocalCache
from ringfence_sidecar.envelope import CacheInfo, Envelope, Metadata, encode, failed
from ringfence_sidecar.errors import CallError, LimitedError, RefusedError, Status
from tests.backends.waiting import eventually
from tests.sidecar.counters import Counters, budget
from tests.sidecar.plugin.bed import (
    Kept,
    Lines,
    call,
    configuration,
    connector,
    endpoint,
    run_all,
    serving,
    value,
    warm,
)
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running

CACHED = CachePolicy(ttl_seconds=60)


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def test_a_third_partys_kind_serves_calls_once_its_package_is_installed() -> None:
    server = Server({"p-colour": "blue"})

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        envelope = await pipeline.run(call("get", {"key": "colour"}))

        names = [operation.name for operation in pipeline.bound()["store"]]

    assert envelope.status is Status.OK
    assert value(envelope) == "blue"
    assert envelope.metadata.endpoint == "a"
    assert names == ["get", "put", "append", "watch", "break"]


async def test_before_it_has_a_configuration_every_call_is_refused_and_audited() -> None:
    async with serving() as (pipeline, lines):
        envelope = await pipeline.run(call("get", {"key": "colour"}))

        [line] = await lines.calls()

    assert envelope.status is Status.UNAVAILABLE
    assert envelope.errors[0].code == "NotConfigured"
    assert line["code"] == "NotConfigured"


async def test_an_unknown_connector_is_answered_with_those_that_are_bound() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        envelope = await pipeline.run(call("get", {"key": "colour"}, connector="stroe"))

    assert envelope.status is Status.NOT_FOUND
    assert "bound: store" in envelope.message


async def test_an_operation_that_is_not_permitted_is_answered_with_those_that_are() -> None:
    server = Server()
    bound = connector(endpoint(server), permissions={"operations": ["get"]})

    async with running(server), serving(bound) as (pipeline, _):
        envelope = await pipeline.run(call("append", {"key": "colour", "value": "red"}))

    assert envelope.status is Status.NOT_FOUND
    assert "it has: get" in envelope.message
    assert server.asked == []


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({}, "arguments.key", "key (required)"),
        ({"key": 1}, "arguments.key", "expected `str`"),
        ({"key": "a", "keys": "b"}, "arguments.keys", "get takes key"),
        ({"key": "NOT THIS"}, "arguments.key", "regex"),
    ],
)
async def test_wrong_arguments_are_answered_with_the_field_and_what_is_taken(
    arguments: dict[str, Any], field: str, says: str
) -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        envelope = await pipeline.run(call("get", arguments))

    assert envelope.status is Status.INVALID
    assert envelope.errors[0].field == field
    assert says in envelope.message


async def test_what_policy_refuses_never_reaches_the_backend_and_the_audit_names_the_rule() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, lines):
        envelope = await pipeline.run(call("get", {"key": "secret-of-bob"}))

        [line] = await lines.calls()

    assert envelope.status is Status.REFUSED
    assert (line["decision"], line["rule"], line["outcome"]) == ("refused", "keys", "refused")
    assert server.asked == []


async def test_the_audit_line_says_who_what_and_how_it_ended_and_holds_no_literal() -> None:
    server = Server()
    asked = call("put", {"key": "colour", "value": "vermilion"})

    async with running(server), serving(connector(endpoint(server))) as (pipeline, lines):
        await pipeline.run(asked)

        [line] = await lines.calls()

    assert line["who"] == {"namespace": "team-a", "agent": "alice", "uid": "a-1", "pod": "alice-0"}
    assert (line["connector"], line["operation"], line["summary"]) == ("store", "put", "put of a key")
    assert (line["decision"], line["rule"], line["outcome"]) == ("allowed", "operations.put", "ok")
    assert (line["requestId"], line["traceId"]) == (asked.request_id, asked.trace.trace_id)
    assert line["endpoint"] == "a"
    assert line["backendId"].startswith("kv-")
    assert len(line["argumentsHash"]) == 64
    assert line["bytesIn"] > 0
    assert line["bytesOut"] > 0
    assert b"vermilion" not in b"".join(lines.lines)


async def test_a_call_that_ends_as_the_sidecar_does_has_its_line_and_its_count() -> None:
    server, lines = Server({"p-colour": "blue"}), Lines()
    audit = Trail([lines], Who())

    async with running(server), serving(connector(endpoint(server)), trail=audit) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        await pipeline.close()
        await audit.close()

    events = [msgspec.json.decode(line)["event"] for line in lines.lines]
    labels = {"connector": "store", "operation": "get", "status": "ok"}
    assert events == ["start", "call", "end"]
    assert pipeline.metrics.registry.get_sample_value("ringfence_sidecar_calls_total", labels) == 1


async def test_the_time_that_a_line_says_is_that_of_the_call_and_not_of_what_came_after() -> None:
    server = Server({"p-colour": "blue"})

    async with running(server), serving(connector(endpoint(server))) as (pipeline, lines):
        begun = time.monotonic()
        await pipeline.run(call("get", {"key": "colour"}))
        took = time.monotonic() - begun
        time.sleep(0.05)  # noqa: ASYNC251 - what keeps the loop from its next turn

        [line] = await lines.calls()

    assert line["durationMs"] <= took * 1000 + 1


async def test_one_trace_leads_from_the_call_to_the_backend() -> None:
    server = Server()
    asked = call("get", {"key": "colour"})

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        envelope = await pipeline.run(asked)

    [_, trace_id, span_id, _] = server.parents[0].split("-")
    assert trace_id == asked.trace.trace_id == envelope.metadata.trace_id
    assert span_id != asked.trace.span_id


async def test_what_a_kind_never_should_raise_becomes_an_answer_with_the_requests_id_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    asked = call("break", {"key": "colour"})

    async with running(server), serving(connector(endpoint(server))) as (pipeline, lines):
        with structlog.testing.capture_logs() as logged, caplog.at_level(logging.DEBUG):
            envelope = await pipeline.run(asked)

        [line] = await lines.calls()

    [entry] = [entry for entry in logged if entry["event"] == "call broken"]
    assert envelope.status is Status.INTERNAL
    assert asked.request_id in envelope.message
    assert (entry["request"], entry["error"]) == (asked.request_id, "RuntimeError")
    assert any("execute" in place for place in entry["places"])
    assert "other_tenant" not in f"{encode(envelope)!r}{line}{logged}{caplog.text}"


async def test_a_kept_answer_is_served_without_the_backend_and_byte_for_byte_the_same() -> None:
    server = Server({"p-colour": "blue"})

    async with running(server), serving(connector(endpoint(server), cache=CACHED)) as (pipeline, lines):
        first = await pipeline.run(call("get", {"key": "colour"}))
        second = await pipeline.run(call("get", {"key": "colour"}))

        calls = await lines.calls(2)

    assert bytes(second.data) == bytes(first.data)
    assert second.metadata.cache is not None
    assert second.metadata.cache.hit
    assert server.asked == ["GET p-colour"]
    assert [line["cache"] for line in calls] == ["none", "local"]


async def test_a_write_through_the_sidecar_drops_what_was_made_from_its_object() -> None:
    server = Server({"p-colour": "blue", "p-shape": "round"})

    async with running(server), serving(connector(endpoint(server), cache=CACHED)) as (pipeline, _):
        for key in ("colour", "shape"):
            await pipeline.run(call("get", {"key": key}))
        await pipeline.run(call("put", {"key": "colour", "value": "red"}))
        after = [await pipeline.run(call("get", {"key": key})) for key in ("colour", "shape")]

    assert [value(envelope) for envelope in after] == ["red", "round"]
    assert server.asked.count("GET p-colour") == 2
    assert server.asked.count("GET p-shape") == 1


async def test_a_write_drops_what_another_connector_of_its_kind_has_kept() -> None:
    server = Server({"p-colour": "blue"})
    reader = connector(endpoint(server), name="reader", uid="c-2", cache=CACHED)

    async with running(server), serving(connector(endpoint(server)), reader, cache=in_process()) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}, connector="reader"))
        await pipeline.run(call("put", {"key": "colour", "value": "red"}))
        after = await pipeline.run(call("get", {"key": "colour"}, connector="reader"))

    assert value(after) == "red"


async def test_a_write_that_may_yet_be_done_has_nothing_kept_that_was_read_before_it_is() -> None:
    server = Server({"p-colour": "blue"})
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process()) as (pipeline, _):
        await warm(pipeline)
        server.may_answer.clear()
        lost = await pipeline.run(call("append", {"key": "colour", "value": "red"}, timeout_seconds=0.1))
        server.may_answer.set()
        before = await pipeline.run(call("get", {"key": "colour"}))
        server.store["p-colour"] = "blue-red"
        after = await pipeline.run(call("get", {"key": "colour"}))

    assert lost.status is Status.TIMEOUT
    assert [value(before), value(after)] == ["blue", "blue-red"]


async def test_after_a_write_whose_end_is_known_answers_are_kept_again() -> None:
    server = Server({"p-colour": "blue"})
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process()) as (pipeline, _):
        await pipeline.run(call("append", {"key": "colour", "value": "red"}))
        for _ in range(3):
            await pipeline.run(call("get", {"key": "colour"}))

    assert server.asked.count("GET p-colour") == 1


async def test_calls_that_ask_the_same_at_once_ask_the_backend_once() -> None:
    server = Server({"p-colour": "blue"})
    server.delay = 0.05
    quota = Counters(budget("queries", 1000))
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        calls = [call("get", {"key": "colour"}) for _ in range(10)]
        envelopes = await run_all(pipeline, calls)

        await lines.calls(10)

    assert [value(envelope) for envelope in envelopes] == ["blue"] * 10
    assert server.asked == ["GET p-colour"]
    assert quota.settled == [{"queries": 1}]


async def test_a_stale_answer_is_served_at_once_and_the_cache_asks_on_its_own_account() -> None:
    server = Server({"p-colour": "blue"})
    quota = Counters(budget("queries", 1000))
    stale = CachePolicy(ttl_seconds=0.02, stale_while_revalidate_seconds=60)
    bound = connector(endpoint(server), cache=stale)

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        await pipeline.run(call("get", {"key": "colour"}))
        aged = time.monotonic() + 0.03
        await eventually(lambda: time.monotonic() > aged, what="the answer is stale")
        server.store["p-colour"] = "red"
        second = await pipeline.run(call("get", {"key": "colour"}))

        audited = await lines.calls(3)

    assert value(second) == "blue"
    assert [line["cache"] for line in audited] == ["none", "local:stale", "revalidate"]
    assert quota.settled == [{"queries": 1}, {"queries": 1}]


async def test_no_cache_asks_the_backend_and_keeps_its_answer() -> None:
    server = Server({"p-colour": "blue"})

    async with running(server), serving(connector(endpoint(server), cache=CACHED)) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        server.store["p-colour"] = "red"
        fresh = await pipeline.run(call("get", {"key": "colour"}, no_cache=True))
        again = await pipeline.run(call("get", {"key": "colour"}))

    assert [value(fresh), value(again)] == ["red", "red"]


async def test_a_connectors_new_generation_finds_no_answer_of_the_one_before() -> None:
    server = Server({"p-colour": "blue"})
    kept = Kept()

    async with running(server), serving(connector(endpoint(server), cache=CACHED), cache=kept) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        await pipeline.apply(configuration(connector(endpoint(server), cache=CACHED, generation=2)))
        envelope = await pipeline.run(call("get", {"key": "colour"}))

    assert envelope.metadata.cache is not None
    assert not envelope.metadata.cache.hit
    assert len(kept.answers) == 2
    assert all(key[1:3] == ("team-a", "c-1") for key in kept.answers)


async def test_a_caller_who_goes_away_cancels_the_driver_settles_the_quota_and_leaves_a_line() -> None:
    server = Server()
    quota = Counters(budget("queries", 1000))
    bound = connector(endpoint(server))

    async with running(server), serving(bound, quota=quota) as (pipeline, lines):
        server.hangs = True
        task = asyncio.create_task(pipeline.run(call("append", {"key": "colour", "value": "red"})))
        await server.until(lambda: server.asked == ["APPEND p-colour red"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: bool(server.cancelled))
        server.hangs = False

        [line] = await lines.calls()

    assert (line["outcome"], line["outcomeUnknown"]) == ("cancelled", True)
    assert quota.settled == [{"queries": 1}]


async def test_no_answer_waits_until_the_counters_were_told_what_was_used() -> None:
    server = Server()
    quota = Counters(budget("queries", 1000))
    quota.may_warn = False
    quota.may_settle.clear()

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        envelope = await pipeline.run(call("get", {"key": "colour"}))
        settled = list(quota.settled)
        [line] = await lines.calls()
        quota.may_settle.set()
        await eventually(lambda: bool(quota.settled), what="the call is settled")

    assert (envelope.status, settled) == (Status.OK, [])
    assert quota.settled == [line["used"]] == [{"queries": 1}]


async def test_a_caller_who_goes_away_while_the_call_is_settled_does_not_stop_that() -> None:
    server = Server()
    quota = Counters(budget("queries", 1000))
    quota.may_settle.clear()

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        task = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await eventually(lambda: quota.is_settling, what="the call is being settled")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        quota.may_settle.set()

        [line] = await lines.calls()

    assert quota.settled == [{"queries": 1}]
    assert line["outcome"] == "cancelled"


async def test_what_became_of_a_write_is_audited_even_if_its_caller_leaves_while_it_is_settled() -> None:
    server = Server()
    server.drops = True
    quota = Counters(budget("queries", 1000))
    quota.may_settle.clear()

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        task = asyncio.create_task(pipeline.run(call("append", {"key": "colour", "value": "red"})))
        await eventually(lambda: quota.is_settling, what="the call is being settled")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        quota.may_settle.set()

        [line] = await lines.calls()

    assert server.store["p-colour"] == "red"
    assert (line["outcome"], line["outcomeUnknown"]) == ("unavailable", True)


async def test_a_call_that_is_over_its_quota_is_refused_before_the_backend() -> None:
    server = Server()
    quota = Counters(budget("queries", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        await pipeline.run(call("get", {"key": "colour"}))
        envelope = await pipeline.run(call("get", {"key": "shape"}))

        [_, line] = await lines.calls(2)

    assert envelope.status is Status.LIMITED
    assert envelope.errors[0].retryable
    assert (line["decision"], line["rule"]) == ("refused", "queries/Hour/PerAgent")
    assert server.asked == ["GET p-colour"]


async def test_an_answer_from_the_cache_uses_up_no_quota() -> None:
    server = Server()
    quota = Counters(budget("queries", 1000))

    async with running(server), serving(connector(endpoint(server), cache=CACHED), quota=quota) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        await pipeline.run(call("get", {"key": "colour"}))

    assert quota.settled == [{"queries": 1}]


async def test_a_call_is_rather_refused_than_served_unaudited() -> None:
    server = Server()
    lines = Lines()
    trail = Trail([lines], Who(), capacity=2, patience=0.05)
    lines.open.clear()

    async with running(server), serving(connector(endpoint(server)), trail=trail) as (pipeline, _):
        # The line that begins the chain has the first place, this call's the second.
        await pipeline.run(call("get", {"key": "colour"}))
        refused = await pipeline.run(call("get", {"key": "shape"}))
        lines.open.set()
        await lines.calls(1)
        served = await pipeline.run(call("get", {"key": "shape"}))

        await lines.calls(2)

    events = [msgspec.json.decode(line)["event"] for line in lines.lines]
    assert refused.errors[0].code == "AuditUnavailable"
    assert served.status is Status.OK
    assert server.asked == ["GET p-colour", "GET p-shape"]
    assert events == ["start", "call", "unaudited", "call", "end"]


async def test_a_call_that_takes_longer_than_it_may_is_timed_out_and_cancelled_at_the_driver() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        server.hangs = True
        read = await pipeline.run(call("get", {"key": "colour"}, timeout_seconds=0.1))
        write = await pipeline.run(call("append", {"key": "colour", "value": "red"}, timeout_seconds=0.1))
        await server.until(lambda: len(server.cancelled) == 2)
        server.hangs = False

    assert [read.status, write.status] == [Status.TIMEOUT, Status.TIMEOUT]
    assert read.errors[0].retryable
    assert not write.errors[0].retryable


async def test_what_needs_no_connector_is_audited_like_any_call() -> None:
    asked = call("get", {"key": "a"}, connector="cache")
    metadata = Metadata(asked.request_id, "", cache=CacheInfo(hit=True, layer="local"))

    async def serve() -> Envelope:
        return Envelope(Status.OK, msgspec.Raw(b'{"value":"blue"}'), "", (), (), metadata)

    async with serving() as (pipeline, lines):
        await pipeline.account(asked, serve)

        [line] = await lines.calls()

    assert (line["connector"], line["operation"], line["outcome"]) == ("cache", "get", "ok")
    assert (line["decision"], line["cache"], line["bytesOut"]) == ("allowed", "local", 16)


@pytest.mark.parametrize(
    ("error", "code", "rule", "quota"),
    [
        (
            RefusedError("no values here", code="ValuesDisabled", rule="values.enabled"),
            "ValuesDisabled",
            "values.enabled",
            "",
        ),
        (LimitedError("too much", details={"quota": "team"}, rule="cacheBytes"), "QuotaExceeded", "cacheBytes", "team"),
    ],
)
async def test_a_refusal_without_a_connector_is_audited_with_its_rule_and_its_quota(
    error: CallError, code: str, rule: str, quota: str
) -> None:
    asked = call("set", {"key": "a", "value": 1}, connector="cache")

    async def serve() -> Envelope:
        return failed(error, Metadata(asked.request_id, ""))

    async with serving() as (pipeline, lines):
        await pipeline.account(asked, serve)

        [line] = await lines.calls()

    assert (line["decision"], line["code"]) == ("refused", code)
    assert (line["rule"], line["quota"]) == (rule, quota)


async def test_what_breaks_without_a_connector_is_an_answer_and_a_line_all_the_same() -> None:
    async def serve() -> Envelope:
        raise RuntimeError("secret")

    async with serving() as (pipeline, lines):
        envelope = await pipeline.account(call("set", {"key": "a"}, connector="cache"), serve)

        [line] = await lines.calls()

    assert (envelope.status, line["outcome"]) == (Status.INTERNAL, "internal")
    assert "secret" not in envelope.message


async def test_a_stream_yields_an_envelope_for_each_piece_and_leaves_one_line() -> None:
    server = Server({"p-colour": "blue"})
    quota = Counters(budget("queries", 1000))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        pieces = [value(piece) async for piece in pipeline.stream(call("watch", {"key": "colour"}))]

        [line] = await lines.calls()

    assert pieces == ["blue", "blue", "blue"]
    assert line["outcome"] == "ok"
    assert quota.settled == [{"queries": 3}]


async def test_a_stream_whose_reader_leaves_gives_its_session_back_and_is_audited_as_cancelled() -> None:
    server = Server({"p-colour": "blue"})
    server.pieces = 1000

    async with running(server), serving(connector(endpoint(server))) as (pipeline, lines):
        stream = pipeline.stream(call("watch", {"key": "colour"}))
        await anext(stream)
        await stream.aclose()

        [line] = await lines.calls()
        after = await pipeline.run(call("get", {"key": "colour"}))

    assert line["outcome"] == "cancelled"
    assert after.status is Status.OK


async def test_a_stream_waits_for_another_to_end_no_longer_than_it_may_take() -> None:
    server = Server({"p-colour": "blue"})
    server.pieces = 1000
    bound = connector(endpoint(server), limits={"timeoutSeconds": 60, "concurrency": 1})

    async with running(server), serving(bound) as (pipeline, lines):
        first = pipeline.stream(call("watch", {"key": "colour"}))
        await anext(first)
        async with asyncio.timeout(10):
            late = [piece async for piece in pipeline.stream(call("watch", {"key": "colour"}, timeout_seconds=0.1))]
        await first.aclose()
        third = pipeline.stream(call("watch", {"key": "colour"}, timeout_seconds=10))
        after = await anext(third)
        await third.aclose()

        audited = await lines.calls(3)

    assert [(piece.status, piece.errors[0].code) for piece in late] == [(Status.TIMEOUT, "DeadlineExceeded")]
    assert after.status is Status.OK
    assert [line["outcome"] for line in audited] == ["timeout", "cancelled", "cancelled"]


async def test_a_stream_whose_endpoint_dies_ends_in_an_envelope_that_says_so() -> None:
    server = Server({"p-colour": "blue"})
    server.pieces = 1000

    async with running(server), serving(connector(endpoint(server))) as (pipeline, lines):
        stream = pipeline.stream(call("watch", {"key": "colour"}))
        first = await anext(stream)
        await server.kill()
        *_, last = [piece async for piece in stream]

        [line] = await lines.calls()

    assert first.status is Status.OK
    assert last.status is Status.UNAVAILABLE
    assert line["outcome"] == "unavailable"


async def test_a_stream_that_was_asked_for_wrongly_is_one_envelope() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        refused = [piece async for piece in pipeline.stream(call("get", {"key": "colour"}))]

    assert [piece.status for piece in refused] == [Status.INVALID]


def in_process() -> Answers:
    """The real cache, without a Redis."""
    return Answers("team-a", Shared(None), local=LocalCache())
