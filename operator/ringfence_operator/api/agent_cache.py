"""What agents under a policy may keep in their sidecars' cache."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Model
from ringfence_operator.api.quantity import Bytes
from ringfence_operator.api.rule import Rule


class Eviction(StrEnum):
    """What goes first where the in-process layer is full."""

    LRU = "LRU"
    LFU = "LFU"
    TTL = "TTL"


class CachedValues(Model):
    """Values that agents keep for themselves, by the sidecar's cache operations."""

    enabled: bool = True
    """Whether they may."""

    shared_as: Annotated[
        str,
        Field(max_length=63),
        Rule(
            "self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$')",
            "write lower-case letters, digits and -, such as my-team",
        ),
    ] = ""
    """Agents of a namespace whose policies have the same name here share their values; without it, each agent has its
    own."""

    max_size: Bytes = "1Mi"
    """The largest value."""

    max_ttl: Duration = 86_400
    """The longest that a value may be kept."""


class AgentCache(Model):
    """The cache in the sidecars of agents under the policy."""

    eviction: Eviction = Eviction.LRU
    """What goes first where the in-process layer is full: what was used longest ago, least often, or expires next."""

    local_size: Bytes = "16Mi"
    """The most that the in-process layer of a sidecar holds."""

    values: CachedValues = CachedValues()
    """Values that agents keep for themselves, by the sidecar's cache operations."""
