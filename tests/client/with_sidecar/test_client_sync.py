"""The same without an event loop, against a real sidecar."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ringfence
from ringfence import Outgoing, cached, sync
from ringfence.local import LOCAL
from tests.client.with_sidecar.sidecar import Sidecar

pytestmark = pytest.mark.backend


@pytest.fixture
def rf(sidecar: Sidecar, lines: list[Mapping[str, Any]]) -> Iterator[sync.Ringfence]:
    with sync.connect(sidecar.url, log=lines.append) as connection:
        yield connection


@pytest.fixture
def events(rf: sync.Ringfence, name: str) -> sync.RabbitMQ:
    """The broker, with a queue of the test's own name that has the messages 1, 2 and 3."""
    found = rf.rabbitmq("events")
    found.call("declare", {"queue": {"name": name}})
    found.publish_all([Outgoing(number, name) for number in (1, 2, 3)])
    return found


def test_a_warehouse_is_asked_and_read_page_by_page(rf: sync.Ringfence, name: str) -> None:
    sales = rf.snowflake("sales")
    sales.execute(f"CREATE TABLE {name} (id INT)")
    sales.batch([(f"INSERT INTO {name} VALUES (?)", [number]) for number in range(3)])

    whole = sales.query(f"SELECT id FROM {name} ORDER BY id")
    pages = [page.rows for page in sales.pages(f"SELECT id FROM {name} ORDER BY id", limit=2)]

    assert whole.rows == [[0], [1], [2]]
    assert pages == [[[0], [1]], [[2]]]


def test_errors_are_the_same(rf: sync.Ringfence) -> None:
    with pytest.raises(ringfence.RefusedError):
        rf.snowflake("sales").query("SELECT * FROM elsewhere.public.t")


def test_a_queue_is_consumed_and_each_message_acknowledged(events: sync.RabbitMQ, name: str) -> None:
    with events.consume(name, until_empty=True) as messages:
        seen = [message.payload for message in messages]

    left = events.call("inspect", {"queue": name}).data
    assert (seen, left["ready"], left["held"]) == ([1, 2, 3], 0, 0)


def test_a_lease_is_extended_while_the_body_blocks(events: sync.RabbitMQ, name: str) -> None:
    with events.consume(name, prefetch=3, lease_seconds=0.9) as messages:
        for _ in messages:
            threading.Event().wait(2.5)  # as work does that lets nobody else run
            others = events.receive(name)
            break

    assert others == []


def test_a_body_that_raises_gives_its_message_back(events: sync.RabbitMQ, name: str) -> None:
    with pytest.raises(ZeroDivisionError), events.consume(name) as messages:
        assert [1 / 0 for _ in messages]

    with events.consume(name, wait_seconds=5) as messages:
        again = [message.payload for _, message in zip(range(3), messages, strict=False)]

    assert sorted(again) == [1, 2, 3]


def test_calls_are_part_of_the_span_around_them(rf: sync.Ringfence, lines: list[Mapping[str, Any]]) -> None:
    with rf.trace("ask") as span:
        answer = rf.snowflake("sales").query("SELECT 1 AS one")

    assert answer.envelope.metadata.trace_id == span.trace_id
    assert lines[0]["calls"] == 1


def test_many_threads_use_one_connection_each_in_its_own_trace(rf: sync.Ringfence) -> None:
    sales = rf.snowflake("sales")

    def work(number: int) -> tuple[list[list[int]], bool]:
        with rf.trace("ask") as span:
            answer = sales.query(f"SELECT {number} AS n")
        return answer.rows, answer.envelope.metadata.trace_id == span.trace_id

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(20))) == [([[number]], True) for number in range(20)]


def test_what_a_function_answered_outlives_the_process_in_the_sidecar(rf: sync.Ringfence, name: str) -> None:
    asked = []

    @cached(ttl=60, tags=[name])
    def ask(what: str) -> int:
        asked.append(what)
        return len(asked)

    first = ask(name)
    LOCAL.clear()  # as another process would begin
    second = ask(name)
    rf.cache.invalidate_tag(name)

    assert (first, second, ask(name)) == (1, 1, 2)


def test_a_connection_leaves_no_thread_behind(sidecar: Sidecar) -> None:
    before = threading.active_count()

    with sync.connect(sidecar.url) as connection:
        connection.cache.get("a")
        within = threading.active_count()

    assert (within, threading.active_count()) == (before + 1, before)


def test_a_connection_that_is_not_open_says_how_to_open_it(sidecar: Sidecar) -> None:
    connection = sync.connect(sidecar.url)

    with pytest.raises(RuntimeError, match="use it within"):
        connection.cache.get("a")
    with connection:
        connection.cache.get("a")
    with pytest.raises(RuntimeError, match="use it within"):
        connection.cache.get("a")


def test_pages_that_are_not_read_to_their_end_leave_nothing_behind(sidecar: Sidecar, name: str) -> None:
    with sync.connect(sidecar.url) as rf:
        sales = rf.snowflake("sales")
        sales.execute(f"CREATE TABLE {name} (id INT)")
        sales.batch([(f"INSERT INTO {name} VALUES (?)", [number]) for number in range(3)])
        pages = sales.pages(f"SELECT id FROM {name} ORDER BY id", limit=1)

        assert next(pages).rows == [[0]]
