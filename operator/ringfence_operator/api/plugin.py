"""A backend of a kind that a third-party package adds, as a Connector describes it."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from ringfence_operator.api.connector_auth import Auth
from ringfence_operator.api.connector_endpoint import ENDPOINTS, NAMED, Endpoint
from ringfence_operator.api.connector_limits import Cache, HealthCheck, Limits
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.rule import Rule

Settings = Annotated[
    dict[str, Any],
    Field(exclude_if=lambda value: not value),
    WithJsonSchema({"type": "object", "maxProperties": 64, "x-kubernetes-preserve-unknown-fields": True}),
]
"""JSON that the API server keeps as it is; the package's own schema judges it, in the sidecar."""


class PluginEndpoint(Endpoint):
    """One place where the backend can be had."""

    settings: Settings = Field(default_factory=dict)
    """What the kind wants to know of this endpoint; no secrets, for anybody who may read the connector reads it."""


class Plugin(Model):
    """A backend of a kind that a package in the sidecar's image adds."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.endpoints.all(each, has(each.service) || has(each.port))",
            "only the package knows the kind's usual port: write port beside host",
            ".endpoints",
        ),
    )

    kind: Annotated[
        str,
        Field(min_length=1, max_length=63),
        Rule(
            "self.matches('^[a-z][-a-z0-9]*$') && !(self in ['snowflake', 'rabbitmq'])",
            "write the name of the package's entry point in the group ringfence.connectors; "
            "snowflake and rabbitmq stand in place of plugin",
        ),
    ]
    """Name of the package's entry point in the group `ringfence.connectors`."""

    settings: Settings = Field(default_factory=dict)
    """The kind's own settings, which its JSON Schema judges in the sidecar; no secrets."""

    endpoints: Annotated[Items[PluginEndpoint], ENDPOINTS, NAMED]
    """Where the backend can be had, in the order of the priorities."""

    auth: Auth | None = None
    """How to log in; without it, the backend asks for nothing."""

    limits: Limits = Limits()
    """What a call may take."""

    cache: Cache = Cache()
    """How long answers are kept, where the kind says that they may be."""

    health_check: HealthCheck = HealthCheck()
    """How each endpoint is looked at."""
