"""The policy of a call: what it may do, before anything reaches the broker."""

from collections.abc import Callable
from typing import Any

from ringfence_sidecar.connectors.base import Prepared
from ringfence_sidecar.connectors.rabbitmq import judge_dead_letters, judge_messages, judge_topology, operations
from ringfence_sidecar.connectors.rabbitmq.asked import Asked, check_names

_JUDGES: dict[str, Callable[[Any, Asked], Prepared]] = {
    operations.PUBLISH.name: judge_messages.publish,
    operations.RECEIVE.name: judge_messages.receive,
    operations.ACK.name: judge_messages.ack,
    operations.NACK.name: judge_messages.nack,
    operations.EXTEND.name: judge_messages.extend,
    operations.SUBSCRIBE.name: judge_topology.subscribe,
    operations.UNSUBSCRIBE.name: judge_topology.unsubscribe,
    operations.DECLARE.name: judge_topology.declare,
    operations.INSPECT.name: judge_topology.inspect,
    operations.DEAD_LETTERS_COUNT.name: judge_dead_letters.count,
    operations.DEAD_LETTERS_LOOK.name: judge_dead_letters.look,
    operations.DEAD_LETTERS_REPLAY.name: judge_dead_letters.replay,
    operations.DEAD_LETTERS_DROP.name: judge_dead_letters.drop,
}


def judge(given: Any, asked: Asked) -> Prepared:
    """Return the call, ready to run. Raises RefusedError, InvalidArgumentsError; LeaseLostError, UnknownError."""
    check_names(given)
    return _JUDGES[asked.operation.name](given, asked)
