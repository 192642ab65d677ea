"""The pipeline's first steps: what is asked for is bound, is permitted, and is asked for rightly."""

from ringfence_sidecar.arguments import check_key, converted
from ringfence_sidecar.cached import tags_of
from ringfence_sidecar.call import Call, Context, Deadline
from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.connectors.base import Prepared
from ringfence_sidecar.errors import NotConfiguredError, NotOfferedError
from ringfence_sidecar.passage import Passage
from ringfence_sidecar.preparation import Preparation
from ringfence_sidecar.routing.bound import Bound
from ringfence_sidecar.routing.registry import Registry

_NAME = 63
"""Characters of a stranger's name that are repeated."""


def identified(passage: Passage, registry: Registry, agent: Agent | None) -> tuple[Agent, Bound]:
    """Return whose call it is, and the connector that it asks. Raises NotConfiguredError, or as `Registry.get`."""
    if agent is None:
        raise NotConfiguredError(
            "the sidecar has never had its configuration from the operator: it refuses every call until it has",
            retry_after=1.0,
        )
    call = passage.call
    if registry.has(call.connector):
        passage.connector = call.connector
    bound = registry.get(call.connector)
    if call.operation not in bound.operations:
        permitted = ", ".join(bound.operations) or "none"
        raise NotOfferedError(
            f"connector {call.connector} has no operation {call.operation[:_NAME]!r} for this agent;"
            f" it has: {permitted}"
        )
    passage.operation = call.operation
    return agent, bound


def context_of(call: Call, agent: Agent, longest_seconds: float) -> Context:
    """Return what the connector knows of the call; it ends when the caller wants, or after the longest that it may."""
    seconds = longest_seconds if call.timeout_seconds is None else min(call.timeout_seconds, longest_seconds)
    return Context(
        agent=agent,
        request_id=call.request_id,
        trace=call.trace,
        deadline=Deadline.after(seconds),
        idempotency_key=call.idempotency_key,
    )


async def judged(
    passage: Passage, registry: Registry, bound: Bound, context: Context, preparation: Preparation
) -> Prepared:
    """Return the call as policy lets it through. Raises InvalidArgumentsError, RefusedError or DeadlineError."""
    operation = bound.operations[passage.operation]
    check_key(operation, context.idempotency_key)
    arguments = converted(operation, passage.call.arguments)
    prepared = await preparation.prepared(bound.connector, operation, arguments, context)
    passage.prepared = prepared
    passage.decision, passage.rule = "allowed", prepared.rule
    if prepared.invalidates:
        passage.invalidates = tags_of(bound, prepared.invalidates)
        passage.related = registry.of_kind(bound.configuration.kind)
    return prepared
