"""Ringfence from inside of an agent, `connect`, and from outside, `isolated_execution`; without `await` in `sync`."""

from ringfence import sync
from ringfence.agent import Agent
from ringfence.caching import cached
from ringfence.connection import Ringfence, connect
from ringfence.connector import Connector
from ringfence.consuming import Consumption
from ringfence.envelope import CacheInfo, Envelope, Metadata, Notice, Problem
from ringfence.errors import (
    AgentEndedError,
    BackendError,
    CallError,
    CancelledCallError,
    ClusterError,
    CommandError,
    ConflictError,
    DeadlineError,
    ExecutionError,
    InternalError,
    InvalidError,
    InvalidPayloadError,
    LeaseLostError,
    LimitedError,
    NotConfiguredError,
    NotFoundError,
    NotInAgentError,
    NotPublishedError,
    NotReadyError,
    QuotaError,
    RefusedError,
    RingfenceError,
    UnavailableError,
    UnreachableError,
    ValueNotFoundError,
)
from ringfence.execution import isolated_execution
from ringfence.message import Message
from ringfence.normalizing import normalize
from ringfence.rabbitmq import Outgoing, Published, RabbitMQ
from ringfence.result import CommandResult, Output
from ringfence.retry import Retry
from ringfence.snowflake import Batched, Column, Executed, Result, Snowflake
from ringfence.trace import Span, TraceContext, log_json
from ringfence.values import Cache

__version__ = "0.1.0"
__all__ = [
    "Agent",
    "AgentEndedError",
    "BackendError",
    "Batched",
    "Cache",
    "CacheInfo",
    "CallError",
    "CancelledCallError",
    "ClusterError",
    "Column",
    "CommandError",
    "CommandResult",
    "ConflictError",
    "Connector",
    "Consumption",
    "DeadlineError",
    "Envelope",
    "Executed",
    "ExecutionError",
    "InternalError",
    "InvalidError",
    "InvalidPayloadError",
    "LeaseLostError",
    "LimitedError",
    "Message",
    "Metadata",
    "NotConfiguredError",
    "NotFoundError",
    "NotInAgentError",
    "NotPublishedError",
    "NotReadyError",
    "Notice",
    "Outgoing",
    "Output",
    "Problem",
    "Published",
    "QuotaError",
    "RabbitMQ",
    "RefusedError",
    "Result",
    "Retry",
    "Ringfence",
    "RingfenceError",
    "Snowflake",
    "Span",
    "TraceContext",
    "UnavailableError",
    "UnreachableError",
    "ValueNotFoundError",
    "__version__",
    "cached",
    "connect",
    "isolated_execution",
    "log_json",
    "normalize",
    "sync",
]
