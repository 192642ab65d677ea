import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from ringfence import Span
from ringfence.trace import TraceContext, current

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def span(operation: str, lines: list[Mapping[str, Any]], *, parent: str = "", **fields: Any) -> Span:
    return Span(operation, fields, parent=parent, log=lines.append)


def test_a_line_says_what_it_was_how_long_it_took_and_which_ids_it_has() -> None:
    lines: list[Mapping[str, Any]] = []

    with span("summarise", lines, tickets=16) as made:
        made.set(words=120)

    (line,) = lines
    assert (line["level"], line["event"], line["fields"]) == ("info", "summarise", {"tickets": 16, "words": 120})
    assert re.fullmatch("[0-9a-f]{32}", line["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", line["spanId"])
    assert line["durationMs"] >= 0
    assert "error" not in line
    assert made.traceparent == f"00-{line['traceId']}-{line['spanId']}-01"


def test_an_inner_span_is_part_of_the_outer_one() -> None:
    lines: list[Mapping[str, Any]] = []

    with span("outer", lines) as outer, span("inner", lines):
        pass

    inner_line, outer_line = lines
    assert (inner_line["traceId"], inner_line["parentSpanId"]) == (outer.trace_id, outer.context.span_id)
    assert outer_line["parentSpanId"] == ""
    assert current() is None


def test_a_parent_that_somebody_sent_is_gone_on_from() -> None:
    lines: list[Mapping[str, Any]] = []

    with span("handle", lines, parent=PARENT) as made:
        pass

    assert (made.trace_id, lines[0]["parentSpanId"]) == (PARENT[3:35], PARENT[36:52])
    assert made.traceparent == f"{PARENT[:35]}-{made.context.span_id}-01"


@pytest.mark.parametrize("parent", ["", "rubbish", f"00-{'0' * 32}-b7ad6b7169203331-01", PARENT + "-more"])
def test_a_parent_that_is_none_begins_a_new_trace(parent: str) -> None:
    assert TraceContext.parse(parent) is None
    assert Span("handle", {}, parent=parent).trace_id != PARENT[3:35]


def test_a_failure_tells_its_type_and_not_its_text() -> None:
    lines: list[Mapping[str, Any]] = []

    with pytest.raises(ValueError, match="hunter2"), span("work", lines):
        raise ValueError("hunter2")

    assert (lines[0]["level"], lines[0]["error"]) == ("error", {"type": "ValueError"})


async def test_spans_of_tasks_that_run_at_once_do_not_mix() -> None:
    lines: list[Mapping[str, Any]] = []
    met = asyncio.Barrier(2)

    async def work(name: str) -> None:
        with span(name, lines):
            await met.wait()
            with span(f"{name}-inner", lines):
                await met.wait()

    await asyncio.wait_for(asyncio.gather(work("a"), work("b")), 10)

    trace = {line["event"]: line["traceId"] for line in lines}
    assert trace["a"] == trace["a-inner"] != trace["b"] == trace["b-inner"]


def test_unless_told_otherwise_lines_are_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Span("work", {"what": {1}}):
        pass

    assert json.loads(capsys.readouterr().err)["fields"] == {"what": "{1}"}
