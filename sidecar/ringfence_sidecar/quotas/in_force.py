"""The buckets of the limits in force, and what is worked out of them once, since every call wants it."""

from collections.abc import Mapping, Sequence
from typing import Final

from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.quotas.buckets import Asked, Bucket
from ringfence_sidecar.quotas.standing import policy_of

_MOST_KEPT: Final = 64


class InForce:
    """Limits as they hold for the agent with this UID; another object for each change of them."""

    def __init__(self, limits: Sequence[Limit], agent: str) -> None:
        self.by_resource: dict[str, tuple[Bucket, ...]] = {}
        for limit in limits:
            before = self.by_resource.get(limit.resource, ())
            self.by_resource[limit.resource] = (*before, Bucket.of(limit, agent))
        self.every = tuple(bucket for buckets in self.by_resource.values() for bucket in buckets)
        self.policies = tuple(policy_of(bucket) for bucket in self.every)
        """What of them stays as it is."""
        self._asked: dict[tuple[object, ...], tuple[Asked, ...]] = {}

    def asked(self, amounts: Mapping[str, float], least: Mapping[str, float]) -> tuple[Asked, ...]:
        """Return what is asked of each bucket: for the same amounts the same object, since most calls ask for those."""
        key = (*amounts.items(), None, *least.items())
        found = self._asked.get(key)
        if found is None:
            if len(self._asked) >= _MOST_KEPT:
                self._asked.clear()
            found = self._asked[key] = tuple(
                Asked(bucket, amount, least.get(resource, 0.0))
                for resource, amount in amounts.items()
                for bucket in self.by_resource.get(resource, ())
            )
        return found
