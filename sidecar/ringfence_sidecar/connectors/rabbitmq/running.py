"""Runs what has been judged, on a session."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Outcome, Prepared
from ringfence_sidecar.connectors.rabbitmq import arguments, dead_letters, operations, receiving, results, topology
from ringfence_sidecar.connectors.rabbitmq.judge_dead_letters import Dropping, Replaying
from ringfence_sidecar.connectors.rabbitmq.judge_messages import Settling
from ringfence_sidecar.connectors.rabbitmq.leases import Lease, Leases
from ringfence_sidecar.connectors.rabbitmq.limits import Limits
from ringfence_sidecar.connectors.rabbitmq.message import Outgoing, received
from ringfence_sidecar.connectors.rabbitmq.permissions import Permissions
from ringfence_sidecar.connectors.rabbitmq.publishing import Publication, Publisher
from ringfence_sidecar.connectors.rabbitmq.receiving import Delivery, Wanted
from ringfence_sidecar.connectors.rabbitmq.results import HandleOutcome, PublishOutcome, ReplayOutcome
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.connectors.rabbitmq.settling import Settler, Verdict, check_one
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import LimitedError


@dataclass(slots=True)
class Open:
    """A session, and what publishes on it."""

    session: Session
    publisher: Publisher


class Runner:
    """What the calls of one Connector share; of the agent's own queues, those that this process has made."""

    def __init__(self, limits: Limits, permissions: Permissions, leases: Leases, settler: Settler) -> None:
        self.limits = limits
        self.permissions = permissions
        self.leases = leases
        self.settler = settler
        self.subscriptions: set[str] = set()
        self._runs: dict[str, Callable[[Open, Any, Context], Awaitable[Outcome]]] = {
            operations.PUBLISH.name: self._publish,
            operations.RECEIVE.name: self._receive,
            operations.ACK.name: self._settle,
            operations.NACK.name: self._settle,
            operations.EXTEND.name: self._settle,
            operations.SUBSCRIBE.name: self._subscribe,
            operations.UNSUBSCRIBE.name: self._unsubscribe,
            operations.DECLARE.name: self._declare,
            operations.INSPECT.name: self._inspect,
            operations.DEAD_LETTERS_COUNT.name: self._inspect,
            operations.DEAD_LETTERS_LOOK.name: self._look,
            operations.DEAD_LETTERS_REPLAY.name: self._replay,
            operations.DEAD_LETTERS_DROP.name: self._drop,
        }

    def go_on_from(self, before: "Runner") -> None:
        """Take over the leases of a Connector before, and the agent's own queues."""
        self.leases, self.settler, self.subscriptions = before.leases, before.settler, before.subscriptions
        self.leases.most = self.limits.leases

    async def run(self, on: Open, prepared: Prepared, context: Context) -> Outcome:
        """Do it. Raises what went wrong."""
        return await self._runs[prepared.operation.name](on, prepared.payload, context)

    async def stream(self, on: Open, wanted: Wanted, context: Context) -> AsyncIterator[Outcome]:
        """Yield messages as they come, until the call's deadline."""
        pieces = receiving.stream(on.session, self.leases, wanted, context, self.limits.together)
        try:
            async for deliveries in pieces:
                yield self._received(deliveries)
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]

    async def _publish(self, on: Open, publication: Publication, context: Context) -> Outcome:
        for at in publication.unsettled:
            publication.messages[at].mark(context.trace)
        await on.publisher.publish(publication, context.deadline)
        outcomes = publication.results()
        counts = {outcome: sum(each.outcome is outcome for each in outcomes) for outcome in PublishOutcome}
        routed = counts[PublishOutcome.ROUTED]
        data = results.PublishResult(results=outcomes, **{outcome.value: number for outcome, number in counts.items()})
        return Outcome(
            data=data,
            message=f"{routed} of {len(outcomes)} messages are routed",
            partial=routed < len(outcomes),
            used={
                "messagesPublished": routed + counts[PublishOutcome.UNKNOWN],
                "messageBytes": sum(
                    len(message.body)
                    for message, each in zip(publication.messages, outcomes, strict=True)
                    if each.outcome in {PublishOutcome.ROUTED, PublishOutcome.UNKNOWN}
                ),
            },
        )

    async def _receive(self, on: Open, wanted: Wanted, context: Context) -> Outcome:
        mine = wanted.within(context.grants)
        deliveries = await receiving.receive(on.session, self.leases, mine, context.deadline)
        is_cut = mine.count < wanted.count and len(deliveries) >= mine.count
        return self._received(deliveries, _cuts(context) if is_cut else ())

    def _received(self, deliveries: list[Delivery], cuts: tuple[Notice, ...] = ()) -> Outcome:
        messages = self._shown(deliveries)
        return Outcome(
            data=results.ReceiveResult(messages=messages, count=len(messages)),
            warnings=(*_warnings(messages), *cuts),
            partial=bool(cuts),
            used=_used(messages),
            cacheable=False,
        )

    def _shown(self, deliveries: list[Delivery]) -> tuple[results.ReceivedMessage, ...]:
        return tuple(
            received(each.lease, each.message, each.seconds, most_bytes=self.limits.message_bytes)
            for each in deliveries
        )

    async def _settle(self, on: Open, wanted: Settling, context: Context) -> Outcome:  # noqa: ARG002 - a lease has its own channel
        if wanted.verdict is not None:
            settled = await self.settler.settle(self.leases, wanted.found, wanted.verdict)
        else:
            settled = self._extend(wanted)
        check_one(settled)
        done = sum(each.outcome is HandleOutcome.DONE for each in settled)
        return Outcome(data=results.SettleResult(results=settled, done=done), partial=done < len(settled))

    def _extend(self, wanted: Settling) -> tuple[results.Settled, ...]:
        settled = []
        for handle, held in wanted.found:
            outcome = HandleOutcome.LOST
            if isinstance(held, Lease) and self.leases.is_held(handle):
                self.leases.extend(held, wanted.seconds)
                outcome = HandleOutcome.DONE
            settled.append(results.Settled(handle=handle, outcome=outcome))
        return tuple(settled)

    async def _subscribe(self, on: Open, wanted: arguments.Subscribe, context: Context) -> Outcome:
        prefix = self.permissions.of(context.agent).prefix
        queue = topology.own_queue(wanted, prefix)
        if queue not in self.subscriptions and len(self.subscriptions) >= self.limits.subscriptions:
            raise LimitedError(
                f"{len(self.subscriptions)} subscriptions are there, which is the limit: unsubscribe one first",
                code="TooManySubscriptions",
                retryable=False,
            )
        made = await topology.subscribe(on.session, wanted, prefix)
        self.subscriptions.add(queue)
        return Outcome(data=made, message=f"receive from {made.queue}")

    async def _unsubscribe(self, on: Open, wanted: arguments.Unsubscribe, context: Context) -> Outcome:  # noqa: ARG002
        dropped = await topology.delete(on.session, wanted.queue)
        self.subscriptions.discard(wanted.queue)
        return Outcome(data=results.DropResult(dropped=dropped))

    async def _declare(self, on: Open, wanted: arguments.Declare, context: Context) -> Outcome:  # noqa: ARG002
        return Outcome(data=results.DeclareResult(declared=await topology.declare(on.session, wanted)))

    async def _inspect(self, on: Open, wanted: arguments.Inspect, context: Context) -> Outcome:  # noqa: ARG002
        ready, consumers = await topology.count(on.session, wanted.queue)
        held = self.leases.held_of(wanted.queue)
        return Outcome(
            data=results.InspectResult(queue=wanted.queue, ready=ready, consumers=consumers, held=held),
            cacheable=False,
        )

    async def _look(self, on: Open, wanted: Wanted, context: Context) -> Outcome:
        await dead_letters.refuse_limited(on.session, wanted.queue)
        mine = wanted.within(context.grants)
        messages = self._shown(await receiving.receive(on.session, self.leases, mine, context.deadline))
        cuts = _cuts(context) if len(messages) >= mine.count < wanted.count else ()
        cost = (
            f"{len(messages)} deliveries: each of these messages counts as delivered once more when it goes back, and "
            f"is out of the queue for {wanted.lease_seconds:g} seconds, or until it is settled. The queue has no "
            "delivery limit; a policy's limit cannot be seen from here"
        )
        return Outcome(
            data=results.LookResult(messages=messages, count=len(messages), cost=cost),
            warnings=(*_warnings(messages), *cuts, Notice("LookCountsAsDelivery", cost)),
            partial=bool(cuts),
            used=_used(messages),
            cacheable=False,
        )

    async def _replay(self, on: Open, wanted: Replaying, context: Context) -> Outcome:
        held = wanted.held
        if wanted.next is not None:
            await dead_letters.refuse_limited(on.session, wanted.next.queue)
            held = tuple(
                each.lease for each in await receiving.receive(on.session, self.leases, wanted.next, context.deadline)
            )
        dead = [
            dead_letters.plan(lease, lease.message, wanted.target, wanted.permissions)
            for lease in held
            if lease.message is not None and self.leases.is_held(lease.handle)
        ]
        replayed = await dead_letters.replay(on.publisher, self.settler, self.leases, dead, context.deadline)
        done = sum(each.outcome is ReplayOutcome.REPLAYED for each in replayed)
        sent = {ReplayOutcome.REPLAYED, ReplayOutcome.UNKNOWN}
        unknown = sum(each.outcome is ReplayOutcome.UNKNOWN for each in replayed)
        size = sum(
            len(each.plan.body)
            for each, result in zip(dead, replayed, strict=True)
            if result.outcome in sent and isinstance(each.plan, Outgoing)
        )
        return Outcome(
            data=results.ReplayResult(results=replayed, replayed=done),
            message=f"{done} of {len(replayed)} dead letters are replayed",
            partial=done < max(len(replayed), len(wanted.held)),
            used={"messagesPublished": done + unknown, "messageBytes": size},
        )

    async def _drop(self, on: Open, wanted: Dropping, context: Context) -> Outcome:  # noqa: ARG002
        if wanted.queue:
            return Outcome(data=results.DropResult(dropped=await topology.purge(on.session, wanted.queue)))
        settled = await self.settler.settle(self.leases, wanted.found, Verdict.ACKNOWLEDGE)
        check_one(settled)
        dropped = sum(each.outcome is HandleOutcome.DONE for each in settled)
        return Outcome(data=results.DropResult(dropped=dropped), partial=dropped < len(settled))


def _used(messages: tuple[results.ReceivedMessage, ...]) -> dict[str, float]:
    number = len(messages)
    size = sum(message.size for message in messages)
    return {"messagesReceived": number, "messageBytes": size, "unackedLeases": number}


def _cuts(context: Context) -> tuple[Notice, ...]:
    """Return the warnings of what was granted less of than was asked for."""
    short = [each for each in ("messagesReceived", "unackedLeases") if context.grants.is_short(each)]
    return tuple(context.grants.notice(each) for each in short)


def _warnings(messages: tuple[results.ReceivedMessage, ...]) -> tuple[Notice, ...]:
    large = sum(message.too_large for message in messages)
    if not large:
        return ()
    return (Notice("BodyLeftOut", f"{large} messages are larger than the Connector lets through"),)
