"""The operator from inside: does it lead, keep up, and get through to the API server."""

from tools.dashboards.expressions import (
    CONTROLLER,
    LEADS,
    OPERATOR,
    OURS,
    QUEUE,
    largest,
    quantile,
    quantiles,
    rate,
    ratio,
    top,
    total,
)
from tools.dashboards.panel import Colour, Dashboard, Row, Unit, figure, graph
from tools.dashboards.places import OPERATOR as UID

_PASSES = "controller_runtime_reconcile"
_REQUESTS = "rest_client_requests_total"
_PROCESS = ("pod", "container")
_PROCESS_NAME = "{{pod}} {{container}}"
_WAITED = "workqueue_queue_duration_seconds"


def _failed_share() -> str:
    return ratio(total(rate(f"{_PASSES}_errors_total", CONTROLLER)), total(rate(f"{_PASSES}_total", CONTROLLER)))


_NOW = (
    figure(
        "Leaders",
        "Replicas that write. It is to be 1.",
        Unit.COUNT,
        total(LEADS),
        base=Colour.ACT,
        steps=((1, Colour.FINE), (2, Colour.ACT)),
    ),
    figure(
        "Passes that fail", "The share.", Unit.SHARE, _failed_share(), steps=((0.01, Colour.LOOK), (0.1, Colour.ACT))
    ),
    figure(
        "Ready keys",
        "Objects that wait for a pass.",
        Unit.COUNT,
        largest(f"workqueue_depth{{{QUEUE}}}"),
        steps=((1000, Colour.LOOK),),
    ),
    figure(
        "Wait for a pass",
        "99th percentile.",
        Unit.SECONDS,
        quantile(0.99, _WAITED, QUEUE),
        steps=((1, Colour.LOOK), (10, Colour.ACT)),
    ),
    figure(
        "Oldest pass",
        "How long the pass that is longest under way has been.",
        Unit.SECONDS,
        largest(f"workqueue_longest_running_processor_seconds{{{QUEUE}}}"),
        steps=((30, Colour.LOOK), (120, Colour.ACT)),
    ),
    figure(
        "Youngest process",
        "Time since a process of ours was last started.",
        Unit.SECONDS,
        f"time() - {largest(f'process_start_time_seconds{{{OURS}}}')}",
    ),
)

_QUEUE = (
    graph(
        "Passes",
        "By result. A settled fleet has a few in a second, all of them success or requeue_after.",
        Unit.PER_SECOND,
        (total(rate(f"{_PASSES}_total", CONTROLLER), "result"), "{{result}}"),
        is_stacked=True,
    ),
    graph(
        "How long passes take",
        "Writes to the API server included.",
        Unit.SECONDS,
        *quantiles(f"{_PASSES}_time_seconds", CONTROLLER),
        steps=((1, Colour.LOOK),),
    ),
    graph(
        "How long keys wait",
        "From when a key is ready to its pass.",
        Unit.SECONDS,
        *quantiles(_WAITED, QUEUE),
        steps=((1, Colour.LOOK),),
    ),
    graph(
        "Keys",
        "Put into the queue, and come back after a failure.",
        Unit.PER_SECOND,
        (total(rate("workqueue_adds_total", QUEUE)), "added"),
        (total(rate("workqueue_retries_total", QUEUE)), "retried"),
    ),
    graph(
        "Work under way",
        "The ages of all passes under way, added up.",
        Unit.SECONDS,
        (total(f"workqueue_unfinished_work_seconds{{{QUEUE}}}"), "under way"),
        steps=((60, Colour.LOOK),),
    ),
    graph(
        "Time in workers",
        "From taking a key to putting it away.",
        Unit.SECONDS,
        *quantiles("workqueue_work_duration_seconds", QUEUE),
    ),
)

_API_SERVER = (
    graph(
        "Requests by method",
        "A settled fleet is watched, and nothing is written.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_REQUESTS, OPERATOR), "method"), "{{method}}"),
        is_stacked=True,
    ),
    graph(
        "Answers by code",
        "<error> is a request that got no answer.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate(_REQUESTS, OPERATOR), "code"), "{{code}}"),
    ),
    graph(
        "How long requests take",
        "99th percentile, watches aside.",
        Unit.SECONDS,
        (quantile(0.99, "rest_client_request_duration_seconds", OPERATOR, "verb"), "{{verb}}"),
        steps=((1, Colour.LOOK),),
    ),
)

_CONTROL = (
    graph(
        "Sidecars connected",
        "Connections that wait for news.",
        Unit.COUNT,
        (total("ringfence_control_sidecar_connections"), "connections"),
    ),
    graph(
        "Answers to sidecars",
        "By HTTP code; 0 is a connection that was refused, 401 and 403 a token that is not believed.",
        Unit.REQUESTS_PER_SECOND,
        (total(rate("ringfence_control_sidecar_answers_total"), "code"), "{{code}}"),
    ),
    graph(
        "Configuration sent to gateways",
        "In a second.",
        Unit.BYTES_PER_SECOND,
        (total(rate("ringfence_control_sent_bytes_total")), "sent"),
    ),
)

_PROCESSES = (
    graph(
        "CPU",
        "Of operator, control and names processes.",
        Unit.CORES,
        (top(total(rate("process_cpu_seconds_total", OURS), *_PROCESS)), _PROCESS_NAME),
    ),
    graph(
        "Memory",
        "Resident. The chart's limit is 512 MiB.",
        Unit.BYTES,
        (top(total(f"process_resident_memory_bytes{{{OURS}}}", *_PROCESS)), _PROCESS_NAME),
        steps=((400e6, Colour.LOOK), (512 * 1024**2, Colour.ACT)),
    ),
    graph(
        "File descriptors",
        "The share of those that are allowed.",
        Unit.SHARE,
        (
            top(
                ratio(
                    total(f"process_open_fds{{{OURS}}}", *_PROCESS),
                    total(f"process_max_fds{{{OURS}}}", *_PROCESS),
                )
            ),
            _PROCESS_NAME,
        ),
        steps=((0.8, Colour.ACT),),
    ),
    graph(
        "Garbage collections",
        "By generation; full ones of a large fleet take a while.",
        Unit.PER_SECOND,
        (total(rate("python_gc_collections_total", OURS), "generation"), "{{generation}}"),
    ),
)

DASHBOARD = Dashboard(
    uid=UID,
    title="Ringfence / Operator",
    about="Leader, queue, requests to the API server, the control channel, and the processes themselves.",
    rows=(
        Row("Now", _NOW),
        Row("Queue", _QUEUE),
        Row("API server", _API_SERVER),
        Row("Control channel", _CONTROL),
        Row("Processes", _PROCESSES),
    ),
)
