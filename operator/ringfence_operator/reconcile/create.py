"""Making an agent's objects, each at most once, and never on top of somebody else's."""

from collections.abc import Callable

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import AlreadyExistsError
from ringfence_operator.reconcile.ports import Kube, Raw
from ringfence_operator.resources.observed import Meta


class TakenError(Exception):
    """The name of an object that the agent needs is somebody else's; `taken` is the condition's reason."""

    def __init__(self, taken: Reason, message: str) -> None:
        super().__init__(message)
        self.taken = taken


async def create_own(
    agent: Agent, collection: str, body: Raw, kube: Kube, *, is_own: Callable[[Raw, Agent], bool]
) -> Raw | None:
    """Create `body` and return it as stored; None if another's object has its name.

    An object of our own that the caches do not show (a predecessor made it a moment ago, or somebody took its label
    away) is returned as it is.
    """
    try:
        return await kube.create(collection, body)
    except AlreadyExistsError:
        found = await kube.get(f"{collection}/{body['metadata']['name']}")
        return found if is_own(found, agent) else None


async def replace(collection: str, body: Raw, meta: Meta, kube: Kube) -> Raw:
    """Replace the object seen as `meta` by `body` and return it as stored.

    An apply would leave what somebody else put in, such as one more egress rule.
    """
    identity = {"uid": meta.uid, "resourceVersion": meta.resource_version}
    whole = body | {"metadata": body["metadata"] | identity}
    return await kube.replace(f"{collection}/{meta.name}", whole)


def is_owned(raw: Raw, agent: Agent) -> bool:
    """Return True if the object goes when `agent` goes."""
    return any(owner["uid"] == agent.metadata.uid for owner in raw["metadata"].get("ownerReferences", ()))
