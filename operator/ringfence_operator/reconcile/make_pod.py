"""How an agent comes to its pod: one is made for it, or it claims one that waits."""

from dataclasses import replace

from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.pool_ref import OnMiss
from ringfence_operator.errors import ForbiddenError, InvalidError
from ringfence_operator.reconcile.claim import create_claim
from ringfence_operator.reconcile.context import Context, build_context
from ringfence_operator.reconcile.create import TakenError
from ringfence_operator.reconcile.decide import Decision, Step, decide
from ringfence_operator.reconcile.given_files import config_maps_of, read_files
from ringfence_operator.reconcile.pod import create_pod
from ringfence_operator.reconcile.pool_claim import claim_pod, is_its_turn, missed
from ringfence_operator.reconcile.quota_admission import ask_for_place, wake_next
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.resize import resize_pod
from ringfence_operator.reconcile.tools import Tools
from ringfence_operator.resources.volumes import claim_name

RETRY_SECONDS = 15.0
"""How soon something that the API server refused is tried again."""


async def make_pod(context: Context, tools: Tools) -> tuple[Context, Decision]:
    """Make the agent's pod, or claim one, and before it everything that must be there first.

    A refusal becomes the decision.
    """
    agent, view = context.agent, tools.view
    waits = await ask_for_place(context, view, tools.kube)
    if waits is not None:
        view.pooling.leave(agent.key)
        return context, waits
    try:
        with view.places.held(agent.key):
            await tools.networks.prepare(context)
            if agent.spec.pool_ref is not None and not context.is_cold:
                if await _claim(context, tools):
                    return await _as_claimed(context, tools)
                if agent.spec.on_miss not in (None, OnMiss.WAIT):
                    view.pooling.leave(agent.key)
                decision = missed(context)
                if agent.spec.on_miss is OnMiss.COLD:
                    context = build_context(context.given, view, now=context.now, is_missed=True)
                    # Of a pod of its own other things are asked than of the pool's.
                    decision = replace(decide(context), look_again=RETRY_SECONDS)
                if decision.step is not Step.CREATE:
                    # Its place under quotas goes back when this is left: others have it, as long as there is no pod.
                    view.places.give_back(agent.key)
                    wake_next(agent.metadata.namespace, view)
                    return context, decision
            claim = claim_name(agent)
            if claim is None:
                await create_pod(context, view, tools.kube)
            else:
                await _create_with_claim(context, claim, tools)
    except (TakenError, ForbiddenError, InvalidError) as error:
        wake_next(agent.metadata.namespace, view)
        return context, _refusal(error)
    if agent.status.observed_generation < 0:
        # A new agent's status waits for what becomes of the pod: nothing of it is worth a look now.
        return context, decide(context)
    context = build_context(context.given, view, now=context.now)
    return context, decide(context)


async def _claim(context: Context, tools: Tools) -> bool:
    """Claim a warm pod for the agent; False if there is none for it, or it is to start cold instead.

    Its files by ConfigMaps are read before, but only when it is its turn, and are kept only if it has come to a pod:
    who waits keeps nothing. Raises TakenError where it cannot have its files, so that it takes no pod either.
    """
    agent, view = context.given, tools.view
    if not config_maps_of(agent):
        return await claim_pod(context, view, tools.kube)
    if not is_its_turn(context, view):
        return await claim_pod(context, view, tools.kube, may_take=False)
    found = await read_files(agent, tools.kube)
    if not isinstance(found, Refusal):
        is_claimed = await claim_pod(context, view, tools.kube)
        if is_claimed:
            view.pooling.given.keep(agent, found)
        return is_claimed
    view.pooling.leave(agent.key)
    if found.reason is Reason.NOT_GIVEN_WARM and agent.spec.on_miss is OnMiss.COLD:
        return False
    raise TakenError(found.reason, found.message)


async def _as_claimed(context: Context, tools: Tools) -> tuple[Context, Decision]:
    """Look at the agent with the pod that it has now, which quotas may leave less than its pool gave it."""
    context = build_context(context.given, tools.view, now=context.now)
    await resize_pod(context, tools.view, tools.kube)
    context = replace(context, refused_share=tools.view.refused_shares.get(context.agent.key))
    return context, replace(decide(context), is_claimed=True)


async def _create_with_claim(context: Context, claim: str, tools: Tools) -> None:
    agent = context.agent
    async with tools.claims.held((agent.metadata.namespace, claim)):
        # Another agent may have taken the claim while this one waited.
        context = build_context(context.given, tools.view, now=context.now, is_missed=context.is_cold)
        if decide(context).step is Step.CREATE:
            await create_claim(context, tools.view, tools.kube)
            await create_pod(context, tools.view, tools.kube)


def _refusal(error: TakenError | ForbiddenError | InvalidError) -> Decision:
    match error:
        case TakenError():
            return _refused(error.taken, str(error), is_stalled=False)
        case ForbiddenError():
            return _refused(why_forbidden(str(error)), str(error), is_stalled=False)
        case _:
            return _refused(Reason.POD_INVALID, str(error), is_stalled=True)


def _refused(reason: Reason, message: str, *, is_stalled: bool) -> Decision:
    return Decision(
        step=Step.KEEP,
        state=AgentState.PENDING,
        reason=reason,
        message=message[:2048],
        is_stalled=is_stalled,
        look_again=RETRY_SECONDS,
        is_refused=True,
    )


def why_forbidden(message: str) -> Reason:
    """Return which of two things the API server refuses a pod for."""
    return (
        Reason.QUOTA_EXCEEDED if "exceeded quota" in message or "failed quota" in message else Reason.ADMISSION_REFUSED
    )
