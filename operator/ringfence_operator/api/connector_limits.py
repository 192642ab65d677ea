"""What connectors of every kind may be told about caching, health checks and calls."""

from typing import Annotated

from pydantic import Field

from ringfence_operator.api.duration import Duration, DurationOrZero
from ringfence_operator.api.model import Model
from ringfence_operator.api.quantity import Bytes

Concurrency = Annotated[int, Field(ge=1, le=256)]


class Cache(Model):
    """How long answers are kept, in each sidecar and in the namespace's shared cache."""

    ttl: DurationOrZero = 0
    """How long an answer is served from the cache; 0s keeps none."""

    stale_while_revalidate: DurationOrZero = 0
    """How much longer an answer is served while a fresh one is fetched."""

    stale_if_error: DurationOrZero = 0
    """How much longer an answer is served while the backend cannot be reached."""

    max_entry_size: Bytes = "1Mi"
    """The largest answer that is kept."""


class HealthCheck(Model):
    """How each endpoint is looked at."""

    interval: Duration = 10
    """How often."""

    timeout: Duration = 5
    """How long an endpoint may take to answer before it counts as unhealthy."""


class Limits(Model):
    """What a call may take, and how many an agent may have under way."""

    timeout: Duration = 60
    """The longest that a call may take; an agent may ask for less."""

    concurrency: Concurrency = 8
    """How many calls an agent may have under way."""
