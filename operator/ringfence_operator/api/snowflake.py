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
from ringfence_operator.api.quantity import Held
from ringfence_operator.api.rule import Rule

Identifier = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Rule("self.matches('^[A-Za-z_][A-Za-z0-9_$]*$')", "write an unquoted identifier, such as ANALYTICS"),
]
_PLAIN = "[A-Za-z_][A-Za-z0-9_$]*"
_NAME = f'({_PLAIN}|"[^".*]+")'
_PART = f"({_NAME}|[*])"
_Name = Annotated[str, Field(min_length=1, max_length=767)]
Tables = Annotated[
    Items[_Name],
    Field(max_length=256),
    Rule(
        f"self.all(each, each.matches('^{_PART}[.]{_PART}[.]{_PART}$'))",
        "write database, schema and name, such as SALES.PUBLIC.ORDERS, with * for all of one part: SALES.PUBLIC.*",
    ),
]
Routines = Annotated[
    Items[_Name],
    Field(max_length=256),
    Rule(
        f"self.all(each, each.matches('^{_NAME}([.]{_NAME}[.]{_NAME})?$') && !each.upperAscii().startsWith('SYSTEM$'))",
        "write the whole name, such as SALES.PUBLIC.MARGIN, or one name of Snowflake's own; SYSTEM$ functions cannot be"
        " permitted",
    ),
]
AccountName = Annotated[
    str,
    Field(min_length=1, max_length=255),
    Rule("self.matches('^[A-Za-z0-9][-A-Za-z0-9_.]*$')", "write an account identifier, such as ACME-PROD"),
]


class Statement(StrEnum):
    """Kinds of statements that a call may hold, at any depth."""

    SELECT = "Select"
    INSERT = "Insert"
    UPDATE = "Update"
    DELETE = "Delete"
    MERGE = "Merge"
    TRUNCATE = "Truncate"
    CREATE_TABLE = "CreateTable"
    CREATE_VIEW = "CreateView"
    ALTER_TABLE = "AlterTable"
    DROP_TABLE = "DropTable"
    DROP_VIEW = "DropView"
    SHOW = "Show"
    DESCRIBE = "Describe"
    EXPLAIN = "Explain"
    CALL = "Call"


class SnowflakeEndpoint(Endpoint):
    """An account and a warehouse."""

    account: AccountName
    """Account identifier, such as ACME-PROD."""

    warehouse: Identifier
    """Warehouse that statements run on."""

    credits_per_hour: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Credits that an hour of the warehouse is billed, which its size says: 1 for X-Small, twice as many for each size
    above. Agents whose quota limits credits have no calls to an endpoint that does not say it."""


class SnowflakePermissions(Model):
    """What statements may do. What is not named is refused; the role in Snowflake is the outer wall all the same."""

    statements: Annotated[Items[Statement], Field(max_length=16)] = ()
    """Kinds of statements."""

    tables: Tables = ()
    """Tables and views that may be read."""

    writable_tables: Tables = ()
    """Tables that may be written to."""

    functions: Routines = ()
    """Functions besides the harmless ones that come with Snowflake."""

    procedures: Routines = ()
    """Procedures that may be called."""

    stages: Tables = ()
    """Stages that may be read."""


class SnowflakeLimits(Limits):
    """What a call may take."""

    concurrency: Concurrency = 8
    """How many calls an agent may have under way."""

    rows: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """The most rows that an answer may have; what is cut is told."""

    bytes: Held = "10Mi"
    """The most bytes that an answer may have, that of a batch as a whole; what is cut is told."""

    statement_timeout: Duration = 60
    """How long a statement may run in the warehouse."""

    batch: Annotated[int, Field(ge=1, le=100)] = 20
    """The most statements that a batch may have."""

    sample_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most rows that the analysis of a table looks at."""

    open_results: Annotated[int, Field(ge=1, le=64)] = 8
    """The most results that an agent may hold open to read page by page; each holds a session."""

    open_result_timeout: Duration = 300
    """How long a result stays open after its last page."""


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

    database: Identifier
    """Database that names without one are looked up in."""

    schema_: Identifier = Field("PUBLIC", alias="schema")
    """Schema that names without one are looked up in."""

    warehouse_usage: bool = False
    """Whether agents may ask what the warehouse used; the role needs SNOWFLAKE.USAGE_VIEWER for it."""

    permissions: SnowflakePermissions = SnowflakePermissions()
    """What statements may do."""

    limits: SnowflakeLimits = SnowflakeLimits()
    """What a call may take."""

    cache: Cache = Cache()
    """How long answers are kept."""

    health_check: HealthCheck = HealthCheck()
    """How each endpoint is looked at."""
