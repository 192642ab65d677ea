"""What a Connector of kind `snowflake` is configured with, beyond what every kind has."""

from typing import Annotated

import msgspec

from ringfence_sidecar.configuration import Connector, Endpoint

Count = Annotated[int, msgspec.Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`settings`: what every session is pinned to, and names resolve against."""

    database: str
    schema: str = "PUBLIC"
    role: str = ""
    """The only role of the session: secondary roles are switched off. Empty means the user's default role."""
    warehouse_usage: bool = False
    """Whether `warehouse_usage` is offered; the role needs SNOWFLAKE.USAGE_VIEWER for it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`limits`: what a call may take at most."""

    rows: Count = 10_000
    """Rows of one statement's answer, over all its pages."""
    bytes: Count = 1_048_576
    """Bytes of one answer's rows, as JSON."""
    statement_timeout_seconds: Count = 60
    """Longest statement; Snowflake ends it."""
    open_results: Count = 8
    """Results held open for further pages, over all endpoints."""
    open_result_seconds: Count = 300
    """How long one is held open after its last page."""
    sample_rows: Count = 10_000
    """Rows that `analyze_table` looks at."""
    batch_statements: Count = 20
    """Statements in one `batch`."""


class Account(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An endpoint's `settings`: an account, and a warehouse in it."""

    account: str
    warehouse: str
    credits_per_hour: float = 0
    """What the warehouse is billed; 0 if nobody has said it."""


def settings_of(configuration: Connector) -> Settings:
    """Return the decoded `settings`. Raises msgspec.ValidationError."""
    return msgspec.convert(configuration.settings, Settings)


def limits_of(configuration: Connector) -> Limits:
    """Return the decoded `limits`. Raises msgspec.ValidationError."""
    return msgspec.convert(configuration.limits, Limits)


def account_of(endpoint: Endpoint) -> Account:
    """Return the endpoint's decoded `settings`. Raises msgspec.ValidationError."""
    return msgspec.convert(endpoint.settings, Account)
