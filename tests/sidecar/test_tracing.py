import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ringfence_sidecar.tracing import Tracer, accept, child, parse, start, to_collector
from tests.sidecar.audit.collector import collector
from tests.sidecar.plugin.bed import call, connector, endpoint, serving
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def test_a_header_that_is_valid_is_the_callers_span() -> None:
    trace = parse(f"00-{TRACE}-{SPAN}-01", "vendor=a:1,other@x=2")

    assert trace is not None
    assert (trace.trace_id, trace.span_id, trace.sampled, trace.state) == (TRACE, SPAN, True, "vendor=a:1,other@x=2")
    assert trace.traceparent == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\r\nx: y",
    ],
)
def test_a_header_that_is_not_valid_begins_a_new_trace(header: str | None) -> None:
    trace = accept(header)

    assert trace.trace_id != TRACE
    assert trace.parent_id == ""


def test_a_later_version_may_say_more() -> None:
    trace = parse(f"01-{TRACE}-{SPAN}-00-more")

    assert trace is not None
    assert not trace.sampled


@pytest.mark.parametrize(
    "state",
    ["no equals", "a=1,a=2", ",".join(f"k{number}=1" for number in range(33)), "k=" + "x" * 600, "K=1", "k=1\r\nx: y"],
)
def test_a_state_that_is_not_valid_is_dropped_and_the_trace_kept(state: str) -> None:
    trace = parse(f"00-{TRACE}-{SPAN}-01", state)

    assert trace is not None
    assert trace.state == ""


def test_a_call_is_a_span_of_its_own_under_the_callers() -> None:
    mine = accept(f"00-{TRACE}-{SPAN}-00", "v=1", sampled=True)

    assert (mine.trace_id, mine.parent_id, mine.state) == (TRACE, SPAN, "v=1")
    assert mine.span_id != SPAN
    assert not mine.sampled


def test_children_keep_trace_and_sampling() -> None:
    root = start(sampled=True)

    under = child(root)

    assert (under.trace_id, under.parent_id, under.sampled) == (root.trace_id, root.span_id, True)


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    program = (
        "import sys, ringfence_sidecar.pipeline as p, ringfence_sidecar.tracing as t;"
        "t.Tracer().record(t.start(sampled=True), 'x', 0.1);"
        "heavy = ('opentelemetry', 'aio_pika', 'redis', 'snowflake', 'sqlglot', 'jsonschema_rs');"
        "print([m for m in heavy if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        timeout=60,
        check=True,
    )

    assert done.stdout == "[]\n"


async def test_a_collector_gets_the_call_and_its_attempt_at_the_backend_as_one_trace() -> None:
    server = Server()
    asked = call("get", {"key": "colour"}, trace=accept(f"00-{TRACE}-{SPAN}-01", "v=1"))

    with collector() as (url, taken):
        tracer = to_collector(url, {"k8s.pod.name": "alice-0"})
        tracer.apply("t", {"k8s.namespace.name": "team-a"})
        async with running(server), serving(connector(endpoint(server)), tracer=tracer) as (pipeline, _):
            await pipeline.run(asked)
            await pipeline.run(call("get", {"key": "colour"}, trace=start(sampled=False)))
        tracer.close()

    request = ExportTraceServiceRequest.FromString(b"".join(body for _, _, body in taken.taken))
    spans = {span.name: span for group in request.resource_spans for span in group.scope_spans[0].spans}
    whole, attempt = spans["store get"], spans["get"]
    resource = {each.key: each.value.string_value for each in request.resource_spans[0].resource.attributes}
    assert len(spans) == 2
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert (whole.parent_span_id.hex(), whole.span_id.hex()) == (SPAN, asked.trace.span_id)
    assert attempt.parent_span_id == whole.span_id
    assert server.parents[0].split("-")[2] == attempt.span_id.hex()
    assert attempt.trace_state == "v=1"
    assert (resource["k8s.namespace.name"], resource["k8s.pod.name"]) == ("team-a", "alice-0")
    assert {headers["Authorization"] for _, headers, _ in taken.taken} == {"Bearer t"}


def test_a_tracer_without_a_collector_samples_nothing_of_its_own() -> None:
    assert not Tracer().is_exporting
