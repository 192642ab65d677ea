"""Connectors as the API server would send them, with everything that a test does not care about filled in."""

from typing import Any

from ringfence_operator.api.connector import Connector
from ringfence_operator.api.model import format_timestamp
from tests.operator.resources.objects import NOW

Raw = dict[str, Any]
ACCOUNT: Raw = {"name": "main", "host": "acme.snowflakecomputing.com", "account": "ACME-PROD", "warehouse": "WH"}
BROKER: Raw = {"name": "main", "service": {"name": "rabbit", "namespace": "data", "port": 5671}}
KEY_PAIR: Raw = {"secretName": "snow", "keyPair": {"user": "AGENTS"}}
IDENTITY: Raw = {"workloadIdentity": {"user": "AGENTS"}}
PASSWORD: Raw = {"secretName": "rabbit", "password": {"user": "agents"}}


def snowflake(**fields: Any) -> Raw:
    """Return the spec of a Snowflake backend outside the cluster."""
    return {"snowflake": {"endpoints": [ACCOUNT], "auth": KEY_PAIR, "database": "SALES"} | fields}


def rabbitmq(**fields: Any) -> Raw:
    """Return the spec of a RabbitMQ backend inside the cluster."""
    return {"rabbitmq": {"endpoints": [BROKER], "auth": PASSWORD} | fields}


def plugin(**fields: Any) -> Raw:
    """Return the spec of a backend of a third party's kind."""
    endpoint = {"name": "main", "host": "api.acme.example", "port": 443}
    return {"plugin": {"kind": "echo", "endpoints": [endpoint]} | fields}


def connector_body(name: str = "c", spec: Raw | None = None, *, namespace: str = "team", **changes: Any) -> Raw:
    """Return a Connector; `changes` are `selector`, `status` and what goes into the metadata."""
    body: Raw = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{name}-uid",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": format_timestamp(NOW),
        },
        "spec": {"agentSelector": changes.pop("selector", {}), **(spec or rabbitmq())},
    }
    if status := changes.pop("status", None):
        body["status"] = status
    body["metadata"] |= changes
    return body


def make_connector(name: str = "c", spec: Raw | None = None, **changes: Any) -> Connector:
    return Connector.from_body(connector_body(name, spec, **changes))


def broker_service(name: str = "rabbit", *, namespace: str = "data", address: str = "10.96.0.9") -> Raw:
    """Return the Service that `BROKER` names."""
    port = {"name": "amqps", "port": 5671, "targetPort": 5671, "protocol": "TCP"}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{name}-uid", "resourceVersion": "1"},
        "spec": {"clusterIP": address, "selector": {"app": name}, "ports": [port]},
    }
