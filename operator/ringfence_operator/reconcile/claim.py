"""An agent's workspace claim: made once, kept or deleted with the agent as its reclaim policy says."""

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.create import TakenError, create_own
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.pod import owner_reference
from ringfence_operator.resources.workspace import build_claim


async def create_claim(context: Context, view: View, kube: Kube) -> None:
    """Make the agent's claim if it has none. Raises TakenError if its name is somebody else's."""
    agent = context.agent
    desired = build_claim(agent)
    if desired is None or context.claim is not None:
        return
    collection = path(CORE, agent.metadata.namespace, "persistentvolumeclaims")
    answer = await create_own(agent, collection, desired, kube, is_own=_is_labelled)
    if answer is None:
        name = desired["metadata"]["name"]
        message = f"claim {name} exists and is not this agent's: write workspace.claimName: {name} to adopt it"
        raise TakenError(Reason.WORKSPACE_EXISTS, message)
    view.claims.store(answer)


def _is_labelled(raw: Raw, agent: Agent) -> bool:
    return bool(raw["metadata"].get("labels", {}).get(labels.AGENT_UID) == agent.metadata.uid)


async def apply_reclaim_policy(context: Context, view: View, kube: Kube) -> None:
    """Have the claim owned by its agent, so that it goes with it, or by nobody, so that it stays."""
    agent, claim = context.agent, context.claim
    workspace = agent.spec.workspace
    if workspace is None or claim is None or claim.agent_uid != agent.metadata.uid or claim.is_deleting:
        return
    wanted = [owner_reference(agent)] if workspace.reclaim_policy == "Delete" else []
    if claim.owner_uid == (agent.metadata.uid if wanted else ""):
        return
    target = path(CORE, claim.meta.namespace, "persistentvolumeclaims", claim.meta.name)
    patch: Raw = {"metadata": {"uid": claim.meta.uid, "ownerReferences": wanted}}
    view.claims.store(await kube.merge_patch(target, patch))
