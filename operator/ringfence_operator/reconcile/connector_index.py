"""By what connectors, and the agents that name them, are looked for."""

from collections.abc import Iterable

from ringfence_operator.api.connector import Connector
from ringfence_operator.resources.record import AgentRecord

BY_CONNECTOR = "connector"
BY_SECRET = "secret"  # noqa: S105 - the name of an index


def index_by_connector(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the Connectors that an agent names."""
    for name in agent.connectors:
        yield agent.namespace, name


def index_by_named_secret(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the Secrets that an agent names."""
    for name in agent.secrets:
        yield agent.namespace, name


def index_by_own_secret(connector: Connector) -> Iterable[tuple[str, str]]:
    """Yield the Secret that a connector uses."""
    if connector.secret:
        yield connector.metadata.namespace, connector.secret


def index_by_backend(connector: Connector) -> Iterable[tuple[str, str]]:
    """Yield the Services that a connector's endpoints name."""
    for each in connector.endpoints:
        if each.service:
            yield each.service.namespace or connector.metadata.namespace, each.service.name
