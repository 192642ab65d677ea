"""A Snowflake backend, as a Connector describes it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ringfence_operator.api.connector_auth import SnowflakeAuth
from ringfence_operator.api.connector_endpoint import ENDPOINTS, NAMED, Endpoint
from ringfence_operator.api.connector_limits import Cache, Concurrency, HealthCheck, Limits
from ringfence_operator.api.domain import DomainName
from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.quantity import Bytes
from ringfence_operator.api.rule import Rule

Identifier = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Rule("self.matches('^[A-Za-z_][A-Za-z0-9_$]*$')", "write an unquoted identifier, such as ANALYTICS"),
]
_NAME = "([A-Za-z_][A-Za-z0-9_$]*|[*])"
Pattern = Annotated[str, Field(min_length=1, max_length=767)]
_PARTS = Rule(
    f"self.all(each, each.matches('^{_NAME}([.]{_NAME}){{0,2}}$'))",
    "write names of up to three parts such as SALES.PUBLIC.ORDERS, with * for all of one part",
)
Patterns = Annotated[Items[Pattern], Field(max_length=256), _PARTS]


class Statement(StrEnum):
    """Kinds of statements that a call may hold."""

    SELECT = "Select"
    SHOW = "Show"
    DESCRIBE = "Describe"
    INSERT = "Insert"
    UPDATE = "Update"
    DELETE = "Delete"
    MERGE = "Merge"
    TRUNCATE = "Truncate"
    CREATE = "Create"
    ALTER = "Alter"
    DROP = "Drop"
    CALL = "Call"


class SnowflakeEndpoint(Endpoint):
    """An account and a warehouse."""

    account: Identifier
    """Account identifier, such as ACME-PROD."""

    warehouse: Identifier | None = None
    """Warehouse that statements run on; without it, the user's default."""


class SnowflakePermissions(Model):
    """What statements may do. What is not named is refused; the role in Snowflake is the outer wall all the same."""

    statements: Annotated[Items[Statement], Field(max_length=16)] = ()
    """Kinds of statements."""

    tables: Patterns = ()
    """Tables and views that may be read."""

    writable_tables: Patterns = ()
    """Tables that may be written to."""

    functions: Patterns = ()
    """Functions besides the harmless ones that come with Snowflake."""

    procedures: Patterns = ()
    """Procedures that may be called."""

    stages: Patterns = ()
    """Stages that may be read."""


class SnowflakeLimits(Limits):
    """What a call may take."""

    concurrency: Concurrency = 8
    """How many calls an agent may have under way."""

    rows: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """The most rows that an answer may have; what is cut is told."""

    bytes: Bytes = "10Mi"
    """The most bytes that an answer may have; what is cut is told."""

    statement_timeout: Duration = 60
    """How long a statement may run in the warehouse."""


class Snowflake(Model):
    """A Snowflake backend."""

    endpoints: Annotated[Items[SnowflakeEndpoint], ENDPOINTS, NAMED]
    """Accounts and warehouses, in the order of their priorities."""

    storage_hosts: Annotated[Items[DomainName], Field(max_length=32)] = ()
    """Storage hosts that large results come from, as SYSTEM$ALLOWLIST() tells them; opened to the sidecars only."""

    auth: SnowflakeAuth
    """How to log in."""

    role: Identifier | None = None
    """Role that statements run under; without it, the user's default."""

    database: Identifier | None = None
    """Database that names without one are looked up in."""

    schema_: Identifier | None = Field(None, alias="schema")
    """Schema that names without one are looked up in."""

    permissions: SnowflakePermissions = SnowflakePermissions()
    """What statements may do."""

    limits: SnowflakeLimits = SnowflakeLimits()
    """What a call may take."""

    cache: Cache = Cache()
    """How long answers are kept."""

    health_check: HealthCheck = HealthCheck()
    """How each endpoint is looked at."""
