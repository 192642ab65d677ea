"""An agent's Service, as its ports say."""

from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.create import create_own, is_owned, replace
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed import service_digest
from ringfence_operator.resources.service import build_service


async def apply_service(context: Context, view: View, kube: Kube) -> bool:
    """Have the agent's Service as its ports say, and none without ports. Returns False if its name is taken."""
    agent = context.agent
    namespace, name = agent.key
    present = view.services.get(namespace, name)
    is_ours = present is not None and present.owner_uid == agent.metadata.uid
    desired = build_service(agent)
    if desired is None:
        if present is not None and is_ours:
            await _delete(path(CORE, namespace, "services", name), present.meta.uid, kube)
        return True
    if present is None:
        answer = await create_own(agent, path(CORE, namespace, "services"), desired, kube, is_own=is_owned)
        if answer is None:
            return False
        view.services.store(answer)
    elif is_ours and present.digest != service_digest(desired["spec"]):
        view.services.store(await replace(path(CORE, namespace, "services"), desired, present.meta, kube))
    return present is None or is_ours


async def _delete(target: str, uid: str, kube: Kube) -> None:
    try:
        await kube.delete(target, uid=uid)
    except NotFoundError:
        return
