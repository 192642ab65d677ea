"""What an agent says about its sidecar."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import Label
from ringfence_operator.api.rule import ListMap

API_PORT, HEALTH_PORT = 8811, 8812
"""Ports of the sidecar: on the loopback address for the agent, and on the pod's for probes and metrics."""


class ConnectorRef(Model):
    """Names a Connector in the agent's namespace."""

    name: Annotated[Label, Field(max_length=40)]
    """Name of the Connector."""


ConnectorRefs = Annotated[Items[ConnectorRef], Field(max_length=16), ListMap(("name",))]


class SidecarUpdate(StrEnum):
    """When a pod gets a sidecar of another version, or with other Secrets."""

    ON_REPLACEMENT = "OnReplacement"
    IMMEDIATELY = "Immediately"


class Sidecar(Model):
    """The container beside the agent's that holds the credentials; there is one where the agent names connectors."""

    update: SidecarUpdate = SidecarUpdate.ON_REPLACEMENT
    """OnReplacement leaves a running pod alone, and the condition SidecarOutdated says what it lacks; Immediately
    replaces the pod for it."""
