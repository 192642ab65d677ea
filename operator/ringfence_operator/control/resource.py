"""What gateways are served: named resources, each with a version that tells one content from another."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from ringfence_operator.resources.port_set import block_name

PREFIX = "type.googleapis.com/"
CLUSTER = f"{PREFIX}envoy.config.cluster.v3.Cluster"
LISTENER = f"{PREFIX}envoy.config.listener.v3.Listener"
ROUTES = f"{PREFIX}envoy.config.route.v3.RouteConfiguration"
PORT_SET = f"{PREFIX}ringfence.gateway.v1.PortSet"
SETTINGS = f"{PREFIX}ringfence.gateway.v1.Settings"
METER = f"{PREFIX}ringfence.gateway.v1.Meter"
METER_PAST = f"{PREFIX}ringfence.gateway.v1.MeterPast"

ENVOY_TYPES = (CLUSTER, LISTENER, ROUTES)
"""In the order in which they are sent: what is named comes before what names it."""
DNS_TYPES = (SETTINGS, PORT_SET, METER, METER_PAST)

Key = tuple[str, str]
"""A resource's type and name."""

_NAME = len(block_name(0))


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it is served. `block` is None for what all policies share."""

    type_url: str
    name: str
    version: str
    body: bytes
    block: int | None

    @property
    def key(self) -> Key:
        """Its type and name."""
        return self.type_url, self.name


def resource_of(type_url: str, name: str, body: bytes) -> Resource:
    """Return the resource, with a version made of its content: the same content is never sent twice."""
    return Resource(type_url, name, blake2b(body, digest_size=8).hexdigest(), body, block_of(name))


def message_resource(type_url: str, name: str, message: Any) -> Resource:
    """Return the resource that holds the protobuf message."""
    return resource_of(type_url, name, message.SerializeToString(deterministic=True))


def block_of(name: str) -> int | None:
    """Return the block that a resource of that name belongs to, or None if it belongs to all."""
    digits = name[2:_NAME]
    is_of_block = name.startswith("p-") and len(digits) == _NAME - 2 and digits.isdecimal() and digits.isascii()
    return int(digits) if is_of_block else None
