"""An agent gets a pod only where its quotas leave a place for it."""

from datetime import datetime
from urllib.parse import urlencode

import structlog

from ringfence_operator import labels
from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.decide import Decision, Step
from ringfence_operator.reconcile.pod_index import BY_POD_QUOTA, is_live, quotas_on
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.quota_places import Key, agent_limit, most_agents, refuses
from ringfence_operator.reconcile.quotas import agents_of, quotas_of
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod

WAIT_SECONDS = 60.0
"""Who waits is woken when its turn comes; this is for what nobody foresaw."""
_PAGE = 500

log = structlog.get_logger()


def holders(quota: Quota, view: View) -> set[Key]:
    """Return the pods that count for a quota: those that carry its name, and those that will as soon as it is written.

    Of an agent that is gone, its pod still runs, and counts until it does not.
    """
    found = set(view.pods.keys_by(BY_POD_QUOTA, (*quota.key, True)))
    version = (quota.metadata.uid, quota.metadata.generation)
    if view.places.settled.get(quota.key) != version:
        pods = {key: view.pods.get(*key) for key in agents_of(quota, view) - found}
        unlabelled = {key for key, pod in pods.items() if pod is not None and is_live(pod)}
        if not unlabelled:
            view.places.settled[quota.key] = version
        found |= unlabelled
    return found


def running(quota: Quota, view: View) -> int:
    """Return how many agents run under a quota, those included whose pod is being made."""
    return view.places.used(quota, holders(quota, view))


async def ask_for_place(context: Context, view: View, kube: Kube) -> Decision | None:
    """Have the agent take a place under each of its quotas; where one is full, return that it waits."""
    agent = context.agent
    quotas = [each for each in context.quotas if refuses(each)]
    if not quotas:
        return None
    await catch_up(agent.metadata.namespace, view, kube)
    # From here to the place being taken, nothing waits: no other worker comes in between.
    view.places.give_back(agent.key)
    full = view.places.ask(agent, quotas, lambda namespace, name: _free(namespace, name, view))
    if full is None:
        return None
    if context.agent.status.state is not AgentState.PENDING or not _said_so(context):
        limit = agent_limit(full)
        if limit is not None:
            view.places.refused(full, limit, agent, context.now)
    message = (
        f"Quota {full.metadata.name}: agents {running(full, view)}/{most_agents(full)} run at once; this one gets a "
        "place when another ends, the oldest first: suspend or delete one, or raise the limit"
    )
    return Decision(
        step=Step.KEEP,
        state=AgentState.PENDING,
        reason=Reason.QUOTA_EXCEEDED,
        message=message,
        look_again=WAIT_SECONDS,
        is_refused=True,
    )


def _said_so(context: Context) -> bool:
    return any(each.reason == Reason.QUOTA_EXCEEDED for each in context.agent.status.conditions)


def leave_line(key: Key, view: View) -> None:
    """Have an agent wait no more that does not want a pod, and those behind it looked at."""
    if view.places.leave(key):
        wake_next(key[0], view)


def wake_next(namespace: str, view: View) -> None:
    """Have those looked at for whom there is a place now."""
    if not view.places.is_empty:
        for key in view.places.next_in_line(namespace, lambda where, name: _free(where, name, view)):
            view.places.wake(key)


def agent_gone(key: Key, uid: str, view: View) -> None:
    """Forget an agent that is deleted."""
    leave_line(key, view)
    view.refused_shares.pop(key, None)
    view.pooling.gone(key, uid)
    view.lags.forget(key)


def counted_otherwise(old: Pod | None, new: Pod | None, view: View, *, now: datetime) -> set[Key]:
    """A pod has changed: let those have its place who waited for it, and return the quotas with another count."""
    pod = new or old
    if pod is None:
        return set()
    if old is not None and (new is None or new.meta.uid != old.meta.uid):
        view.run_times.pod_gone(old, now)
    before, after = (quotas_on(each) if each and is_live(each) else set() for each in (old, new))
    if before - after:
        wake_next(pod.meta.namespace, view)
    return {(pod.meta.namespace, name) for name in before ^ after}


def begin(view: View) -> None:
    """Forget what was under way, and have those wait who waited under the last leader: none of them is overtaken."""
    view.places.begin()
    view.pooling.begin()
    view.run_times.begin()
    for record in view.agents.cache.values():
        if record.waits:
            try:
                agent = record.parse()
            except InvalidSpecError:
                continue  # it has a pass of its own, which says so
            quotas = [each for each in quotas_of(agent, view) if refuses(each)]
            if quotas:
                view.places.wait(agent, quotas)


def _free(namespace: str, name: str, view: View) -> int | None:
    quota = view.quotas.get(namespace, name)
    if quota is None or quota.metadata.deletion_timestamp is not None or agent_limit(quota) is None:
        return None
    return most_agents(quota) - running(quota, view)


async def catch_up(namespace: str, view: View, kube: Kube) -> None:
    """See what a predecessor made: a watch may be behind, and then an agent too many would run."""
    async with view.places.locks.held(namespace):
        if namespace in view.places.caught_up:
            return
        token, collection = "", path(CORE, namespace, "pods")
        while True:
            query = {"labelSelector": labels.AGENT, "limit": _PAGE} | ({"continue": token} if token else {})
            page = await kube.get(f"{collection}?{urlencode(query)}")
            for raw in page.get("items") or ():
                view.pods.store(raw)
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                break
        view.places.caught_up.add(namespace)
        log.info("quota.caught_up", namespace=namespace)
