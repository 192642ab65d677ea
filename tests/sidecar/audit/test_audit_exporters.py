import asyncio
import os

import msgspec
import pytest

from ringfence_sidecar.audit.given import Given
from ringfence_sidecar.audit.otlp import OtlpLogs, OtlpRefusedError
from ringfence_sidecar.audit.setup import from_env
from ringfence_sidecar.audit.stdout import Stdout
from ringfence_sidecar.configuration import Configuration
from tests.ports import free_port
from tests.sidecar.audit.collector import collector
from tests.sidecar.audit.records import lines
from tests.sidecar.plugin.bed import AGENT


async def test_a_collector_gets_each_line_as_a_log_record() -> None:
    made = lines(2)

    with collector() as (url, taken):
        await OtlpLogs(url, headers={"Authorization": "Bearer t"}).export(made)

    [(path, headers, body)] = taken.taken
    [resource] = msgspec.json.decode(body)["resourceLogs"]
    records = resource["scopeLogs"][0]["logRecords"]
    assert path == "/v1/logs"
    assert headers["Authorization"] == "Bearer t"
    assert [each["body"]["stringValue"].encode() for each in records] == made


async def test_lines_wait_for_the_token_that_the_operator_gives_for_the_collector() -> None:
    given, environment = Given(), {"RINGFENCE_SIDECAR_AUDIT": "otlp"}

    with collector() as (url, taken):
        (exporter,) = from_env({**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": url}, given)
        exporting = asyncio.create_task(exporter.export(lines(1)))
        await asyncio.sleep(0)
        given.apply(Configuration(version="1", agent=AGENT, collector_token="first"))
        await exporting
        given.apply(Configuration(version="2", agent=AGENT, collector_token="second"))
        await exporter.export(lines(1))

    assert [headers["Authorization"] for _, headers, _ in taken.taken] == ["Bearer first", "Bearer second"]


async def test_lines_that_a_collector_refuses_are_not_taken_for_kept() -> None:
    with collector(503) as (url, _), pytest.raises(OtlpRefusedError, match="503"):
        await OtlpLogs(url).export(lines(1))


async def test_lines_that_a_collector_takes_in_part_are_not_taken_for_kept() -> None:
    answer = b'{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too large"}}'

    with collector(answer=answer) as (url, _), pytest.raises(OtlpRefusedError, match="rejected"):
        await OtlpLogs(url).export(lines(1))


async def test_a_collector_that_is_away_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        await OtlpLogs(f"http://127.0.0.1:{free_port()}").export(lines(1))


async def test_standard_output_gets_each_line_whole_even_if_its_reader_is_slow() -> None:
    reader, writer = os.pipe()
    made = lines(2000)
    exporting = asyncio.create_task(Stdout(writer).export(made))
    turns = 0
    while turns < 100:
        # The pipe is full: the event loop goes on.
        await asyncio.sleep(0)
        turns += 1
    waited = not exporting.done()

    read = await asyncio.to_thread(read_all, reader, sum(len(line) + 1 for line in made))
    await exporting

    os.close(reader)
    os.close(writer)
    assert waited
    assert read.splitlines() == made


def read_all(descriptor: int, size: int) -> bytes:
    parts = []
    while size:
        parts.append(os.read(descriptor, size))
        size -= len(parts[-1])
    return b"".join(parts)


async def test_standard_output_that_does_not_block_is_written_to_as_it_takes_it() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    made = lines(500)

    exporting = asyncio.create_task(Stdout(writer).export(made))
    read = await asyncio.to_thread(read_all, reader, sum(len(line) + 1 for line in made))
    await exporting

    os.close(reader)
    os.close(writer)
    assert read.splitlines() == made


async def test_standard_output_that_nobody_reads_any_longer_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with pytest.raises(BrokenPipeError):
        await Stdout(writer).export(lines(1))

    os.close(writer)


def test_lines_go_to_standard_output_unless_something_else_is_set() -> None:
    assert [exporter.name for exporter in from_env({}, Given())] == ["stdout"]


def test_several_exporters_may_be_set() -> None:
    environment = {
        "RINGFENCE_SIDECAR_AUDIT": "stdout, otlp,stream",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer t,x-team=a",
    }

    assert [exporter.name for exporter in from_env(environment, Given())] == ["stdout", "otlp", "stream"]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"RINGFENCE_SIDECAR_AUDIT": "syslog"}, "set stdout, otlp or stream"),
        ({"RINGFENCE_SIDECAR_AUDIT": ""}, "set stdout, otlp or stream"),
        ({"RINGFENCE_SIDECAR_AUDIT": "otlp"}, "needs OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"RINGFENCE_SIDECAR_AUDIT": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "write http://"),
    ],
)
def test_a_wrong_setting_says_what_to_set_instead(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_env(environment, Given())
