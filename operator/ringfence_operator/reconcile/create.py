"""Making an agent's objects, each at most once, and never on top of somebody else's."""

from collections.abc import Callable

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import AlreadyExistsError
from ringfence_operator.reconcile.ports import Kube, Raw


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
