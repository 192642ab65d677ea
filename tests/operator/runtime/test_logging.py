import io
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import pytest
import structlog

from ringfence_operator.runtime.logging import configure_logging


class Key(NamedTuple):
    namespace: str
    name: str


@pytest.fixture
def stream() -> Iterator[io.BytesIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.BytesIO()
    configure_logging("info", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_is_one_json_object_with_the_fields_of_its_pass(stream: io.BytesIO) -> None:
    with structlog.contextvars.bound_contextvars(key=Key("team-a", "crawler"), pass_id="1f"):
        structlog.get_logger().info("pod.created", pod="crawler")

    (line,) = lines(stream)
    time = line.pop("time")
    assert time.endswith("Z")
    assert line == {
        "event": "pod.created",
        "level": "info",
        "pod": "crawler",
        "key": "team-a/crawler",
        "pass_id": "1f",
    }


def test_what_is_below_the_level_is_not_written(stream: io.BytesIO) -> None:
    structlog.get_logger().debug("pass.done")
    logging.getLogger("kopf").debug("tick")

    assert lines(stream) == []


def test_logs_of_libraries_take_the_same_form(stream: io.BytesIO) -> None:
    logging.getLogger("kopf.activities").warning("Activity %r failed", "login")

    (line,) = lines(stream)
    assert line["event"] == "Activity 'login' failed"
    assert line["level"] == "warning"
    assert line["logger"] == "kopf.activities"


def test_an_exception_stays_on_its_line(stream: io.BytesIO) -> None:
    try:
        raise ValueError("no such thing")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("reconcile.crashed")

    (line,) = lines(stream)
    assert "ValueError: no such thing" in line["exception"]
