"""Logs as one JSON object a line; those of libraries (kopf, aiohttp) take the same form."""

import logging
import sys
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.typing import Processor


def configure_logging(level: str = "info", *, stream: BinaryIO | None = None) -> None:
    """Send all logs from `level` (debug, info, warning, error) up to `stream`, by default standard output."""
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = stream or sys.stdout.buffer
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*common, structlog.processors.JSONRenderer(serializer=_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Lines(stream))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)


class _Lines:
    """Text for a binary stream, flushed with every record, so that both kinds of loggers share it in order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(text.encode())

    def flush(self) -> None:
        self._stream.flush()


def _dumps(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _render(_: Any, __: str, event: Any) -> str:
    return _dumps(event).decode()


def _plain(value: Any) -> str:
    """Return what a log line shows of a value that JSON has no form for; keys read as namespace/name."""
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return str(value)
