"""Judges what makes and inspects queues, exchanges and bindings."""

from ringfence_sidecar.connectors.base import Prepared
from ringfence_sidecar.connectors.rabbitmq import arguments
from ringfence_sidecar.connectors.rabbitmq.asked import (
    Asked,
    check_headers,
    prepared,
)
from ringfence_sidecar.connectors.rabbitmq.judge_messages import SUBSCRIBE_ADVICE
from ringfence_sidecar.connectors.rabbitmq.permissions import Permissions, Verb
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError


def subscribe(given: arguments.Subscribe, asked: Asked) -> Prepared:
    """Judge a subscription."""
    if given.queue is not None:
        raise InvalidArgumentsError(SUBSCRIBE_ADVICE, field="arguments.queue")
    if (given.routing_key is None) == (given.headers is None):
        raise InvalidArgumentsError(
            "give either routingKey, a pattern (# is everything), or headers", field="arguments.routingKey"
        )
    check_headers(given.headers)
    rule = asked.permissions.judge_exchange(Verb.BIND, given.exchange)
    return prepared(asked, given, rule, f"subscribe to {given.exchange}")


def unsubscribe(given: arguments.Unsubscribe, asked: Asked) -> Prepared:
    """Judge the end of a subscription."""
    if not asked.permissions.is_own(given.queue):
        raise RefusedError(
            f"{given.queue!r} is no queue that subscribe has made for this agent: write one that it has answered",
            rule="default-deny",
        )
    return prepared(asked, given, "queues:own", f"unsubscribe {given.queue}")


def declare(given: arguments.Declare, asked: Asked) -> Prepared:
    """Judge a declaration, part by part."""
    rules = [
        *(_exchange_rules(given.exchange, asked.permissions) if given.exchange else ()),
        *(_queue_rules(given.queue, asked.permissions) if given.queue else ()),
        *(_binding_rules(given.binding, asked.permissions) if given.binding else ()),
    ]
    if not rules:
        raise InvalidArgumentsError("give an exchange, a queue or a binding", field="arguments")
    names = [part.name for part in (given.exchange, given.queue) if part is not None]
    return prepared(asked, given, ", ".join(rules), f"declare {', '.join(names) or 'a binding'}")


def _exchange_rules(wanted: arguments.ExchangeDeclaration, permissions: Permissions) -> list[str]:
    if wanted.name.startswith("amq."):
        raise InvalidArgumentsError("names that begin with amq. are the broker's", field="arguments.exchange.name")
    rules = [permissions.judge_exchange(Verb.DECLARE, wanted.name)]
    if wanted.alternate_exchange is not None:
        rules.append(permissions.judge_exchange(Verb.PUBLISH, wanted.alternate_exchange))
    return rules


def _queue_rules(wanted: arguments.QueueDeclaration, permissions: Permissions) -> list[str]:
    """Whoever makes a queue with a dead-letter exchange publishes there by way of it."""
    if wanted.name.startswith("amq."):
        raise InvalidArgumentsError("names that begin with amq. are the broker's", field="arguments.queue.name")
    if wanted.type == "quorum" and not wanted.durable:
        raise InvalidArgumentsError(
            "a quorum queue is durable: leave durable out, or write type: classic", field="arguments.queue.durable"
        )
    if wanted.type == "classic" and wanted.delivery_limit is not None:
        raise InvalidArgumentsError(
            "only quorum queues have a delivery limit: leave type out", field="arguments.queue.deliveryLimit"
        )
    if wanted.delivery_limit == 0:
        # Whoever means no limit would lose each message that comes back.
        raise InvalidArgumentsError(
            "write -1 for no delivery limit, or 1 and more", field="arguments.queue.deliveryLimit"
        )
    rules = [permissions.judge_queue(Verb.DECLARE, wanted.name)]
    if wanted.dead_letter_exchange is None:
        if wanted.dead_letter_routing_key is not None:
            raise InvalidArgumentsError(
                "a dead-letter routing key needs an exchange: give deadLetterExchange, empty for the default one",
                field="arguments.queue.deadLetterExchange",
            )
    elif not wanted.dead_letter_exchange and not wanted.dead_letter_routing_key:
        raise InvalidArgumentsError(
            "the default exchange routes by the name of a queue: write it as deadLetterRoutingKey",
            field="arguments.queue.deadLetterRoutingKey",
        )
    else:
        rules.append(permissions.judge_target(wanted.dead_letter_exchange, wanted.dead_letter_routing_key or ""))
    return rules


def _binding_rules(wanted: arguments.BindingDeclaration, permissions: Permissions) -> list[str]:
    if (wanted.queue is None) == (wanted.exchange is None):
        raise InvalidArgumentsError("a binding leads to either a queue or an exchange", field="arguments.binding")
    check_headers(wanted.headers)
    source = permissions.judge_exchange(Verb.BIND, wanted.source)
    if wanted.queue is not None:
        return [source, permissions.judge_queue(Verb.BIND, wanted.queue)]
    return [source, permissions.judge_exchange(Verb.BIND, wanted.exchange or "")]


def inspect(given: arguments.Inspect, asked: Asked) -> Prepared:
    """Judge an inspection."""
    rule = asked.permissions.judge_queue(Verb.INSPECT, given.queue)
    return prepared(asked, given, rule, f"inspect {given.queue}")
