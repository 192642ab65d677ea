"""Connector: one backend, and which agents may use it."""

from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.agent_status import Conditions, Count, Short
from ringfence_operator.api.connector_auth import Auth, RabbitMQAuth, SnowflakeAuth
from ringfence_operator.api.connector_endpoint import CONNECTOR_NAME, Endpoint
from ringfence_operator.api.custom_resource import Column, CustomResource
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.network import LabelSelector
from ringfence_operator.api.plugin import Plugin
from ringfence_operator.api.rabbitmq import RabbitMQ
from ringfence_operator.api.rule import ListMap, Rule
from ringfence_operator.api.security_policy import GatewayStatus
from ringfence_operator.api.snowflake import Snowflake

Backend = Snowflake | RabbitMQ | Plugin


class ConnectorSpec(Model):
    """One backend, and which agents may use it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.snowflake) ? 1 : 0) + (has(self.rabbitmq) ? 1 : 0) + (has(self.plugin) ? 1 : 0) == 1",
            "write exactly one of snowflake, rabbitmq and plugin",
        ),
    )

    agent_selector: LabelSelector
    """Labels of the Agents of this namespace that may name the connector; an empty selector, {}, means all of them."""

    snowflake: Snowflake | None = None
    """A Snowflake backend."""

    rabbitmq: RabbitMQ | None = None
    """A RabbitMQ backend."""

    plugin: Plugin | None = None
    """A backend of a kind that a package in the sidecar's image adds."""


class EndpointStatus(Model):
    """An endpoint, as the sidecars see it."""

    name: Short
    """Name of the endpoint."""

    healthy: Count = 0
    """How many sidecars reach it."""

    unhealthy: Count = 0
    """How many sidecars do not reach it."""

    latency_ms: Count = 0
    """Milliseconds that its health check takes, the median of the sidecars that reach it; not brought up to date for
    small changes."""

    reason: Short = ""
    """Why it is not reached, in one word: what most of the sidecars that do not reach it say."""

    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it is not reached, in a sentence."""


class WorkloadIdentityStatus(Model):
    """The identity that the sidecars log in with."""

    issuer: Annotated[str, Field(max_length=1024)]
    """Who issues the tokens: the cluster, as its discovery document says."""

    subject: Annotated[str, Field(max_length=512)]
    """Whom the tokens are about: the service account of the namespace's agents."""

    audience: Short
    """Whom the tokens are for."""

    create_user: Annotated[str, Field(max_length=4096)]
    """The statement that makes the user in Snowflake."""


class ConnectorStatus(Model):
    """What the operator saw when it last looked at the connector."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """Generation of the spec that this status is about; -1 before the operator has looked."""

    conditions: Conditions = ()
    """What holds and what does not, in the form that kubectl wait, Argo CD and Flux read."""

    kind: Short = ""
    """What the backend is: snowflake, rabbitmq, or the kind that a package adds."""

    agents: Count = 0
    """How many agents name the connector and may use it."""

    endpoints: Annotated[Items[EndpointStatus], Field(max_length=16), ListMap(("name",))] = ()
    """The endpoints, as the sidecars see them."""

    healthy_endpoints: Short = ""
    """How many of the endpoints every sidecar that reports reaches, of how many, such as 1/2."""

    gateway: GatewayStatus | None = None
    """The connector's port set on the egress gateway, where an endpoint lies outside the cluster."""

    workload_identity: WorkloadIdentityStatus | None = None
    """The identity that the sidecars log in with, where auth says workloadIdentity."""


class Connector(CustomResource):
    """One backend that agents reach through their sidecars: where it is, how to log in, and what is permitted."""

    kind: ClassVar[str] = "Connector"
    plural: ClassVar[str] = "connectors"
    short_name: ClassVar[str] = "rfconn"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Kind", ".status.kind", "What the backend is."),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", "Whether the sidecars reach it."),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why it is or is not ready."),
        Column("Healthy", ".status.healthyEndpoints", "How many endpoints the sidecars reach, of how many."),
        Column("Agents", ".status.agents", "How many agents use it.", type="integer"),
        Column("Age", ".metadata.creationTimestamp", "Time since the connector was created.", type="date"),
        Column("Message", ".status.conditions[?(@.type=='Ready')].message", "The reason as a sentence.", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = (CONNECTOR_NAME,)

    spec: ConnectorSpec
    """One backend, and which agents may use it."""

    status: ConnectorStatus = ConnectorStatus()
    """What the operator saw."""

    @property
    def backend(self) -> Backend:
        """What the connector is of: the API server sees to it that it is exactly one."""
        found = self.spec.snowflake or self.spec.rabbitmq or self.spec.plugin
        if found is None:
            raise AssertionError("a connector without a backend passed the API server")
        return found

    @property
    def backend_kind(self) -> str:
        """The backend's kind, by the name of its entry point."""
        backend = self.backend
        if isinstance(backend, Plugin):
            return backend.kind
        return "snowflake" if isinstance(backend, Snowflake) else "rabbitmq"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The backend's endpoints."""
        return self.backend.endpoints

    @property
    def auth(self) -> Auth | RabbitMQAuth | SnowflakeAuth | None:
        """How to log in."""
        return self.backend.auth

    @property
    def secret(self) -> str:
        """Name of the Secret that the connector uses, or nothing."""
        return (self.auth.secret_name if self.auth else None) or ""
