"""Logs as one JSON object a line on standard error; standard output is the audit's."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from ringfence_sidecar.passage import places


def configure_logging(level: str = "info", *, stream: TextIO | None = None) -> None:
    """Send all logs from `level` (debug, info, warning, error) up to `stream`, by default standard error.

    A traceback names what a failure handled, which may be a tenant's: only its places are logged, and no texts.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = stream or sys.stderr
    common: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _without_texts,
    ]
    render = structlog.processors.JSONRenderer(default=str)
    structlog.configure(
        processors=[*common, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)


def _without_texts(_: object, __: str, event: EventDict) -> EventDict:
    """Put an exception's type and places in for its traceback."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["places"] = places(error)
    return event
