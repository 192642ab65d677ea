"""What an agent can do with a broker, as far as its Connector permits."""

from collections.abc import Callable

from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.connectors.rabbitmq import arguments, results
from ringfence_sidecar.connectors.rabbitmq.permissions import Permissions, Verb

PUBLISH = Operation(
    name="publish",
    title="Publish messages",
    description=(
        "Publishes one or more messages and waits until the broker has confirmed each. Answers an outcome per message: "
        "routed (every queue that it went to has it), returned (no queue takes its routing key), nacked (the broker "
        "would not have it) or unknown (no answer came: it may be there). Give messageIds to have a call whose answer "
        "was lost tried again, elsewhere too; consumers can then drop second copies."
    ),
    effect=Effect.WRITE,
    arguments=arguments.Publish,
    result=results.PublishResult,
    takes_key=True,
)
RECEIVE = Operation(
    name="receive",
    title="Receive messages",
    description=(
        "Takes up to count messages from a queue and leases them to you: nobody else gets them until you ack or nack "
        "them, or leaseSeconds are over, after which they go back to the queue. Waits up to waitSeconds for the first "
        "one; answers an empty list if none came. A message that goes back counts as delivered once: a quorum queue "
        "with a delivery limit gives it up after so many times. As a stream, messages come until the call's deadline."
    ),
    effect=Effect.WRITE,
    arguments=arguments.Receive,
    result=results.ReceiveResult,
    streams=True,
    waits=True,
)
ACK = Operation(
    name="ack",
    title="Acknowledge messages",
    description=(
        "Tells the broker that leased messages are done with, and answers once it has taken note. lost: the lease was "
        "over, and the message comes again. A broker that dies in the next moment may hand a message out once more, as "
        "AMQP confirms no acknowledgement: do the work so that twice does no harm."
    ),
    effect=Effect.WRITE,
    arguments=arguments.Settle,
    result=results.SettleResult,
)
NACK = Operation(
    name="nack",
    title="Give messages back",
    description=(
        "Gives leased messages back to their queue (requeue, the default), or rejects them: they go to the queue's "
        "dead-letter exchange, and are dropped where it has none."
    ),
    effect=Effect.WRITE,
    destructive=True,
    arguments=arguments.Nack,
    result=results.SettleResult,
)
EXTEND = Operation(
    name="extend",
    title="Hold messages for longer",
    description="Has leases end leaseSeconds from now. No message can be held for longer than 25 minutes altogether.",
    effect=Effect.IDEMPOTENT,
    arguments=arguments.Extend,
    result=results.SettleResult,
)
SUBSCRIBE = Operation(
    name="subscribe",
    title="Subscribe to an exchange",
    description=(
        "Makes a queue of your own and fills it, from now on, with the messages of an exchange that fit a filter: a "
        "routing key (on a topic exchange a pattern: * is one word, # any number) or headers (on an exchange of type "
        "headers). Then receive from the queue that it answers. Two filters under one name add up. The queue goes when "
        "nobody has received from it for expiresSeconds; when it is full, the oldest messages go."
    ),
    effect=Effect.WRITE,
    arguments=arguments.Subscribe,
    result=results.SubscribeResult,
)
UNSUBSCRIBE = Operation(
    name="unsubscribe",
    title="End a subscription",
    description="Deletes a queue that subscribe has made for you, with what is in it.",
    effect=Effect.WRITE,
    destructive=True,
    arguments=arguments.Unsubscribe,
    result=results.DropResult,
)
DECLARE = Operation(
    name="declare",
    title="Declare a queue, an exchange or a binding",
    description=(
        "Sees to it that an exchange, a queue (durable and a quorum queue unless you say otherwise) and a binding are "
        "there. One that is there already is never changed: with other arguments than yours, the answer is a conflict "
        "that says what is there."
    ),
    effect=Effect.WRITE,
    arguments=arguments.Declare,
    result=results.DeclareResult,
)
INSPECT = Operation(
    name="inspect",
    title="Inspect a queue",
    description=(
        "Says how many messages are ready in a queue, how many consumers it has, and how many of its messages you "
        "hold. Takes no message. What others hold is not counted: AMQP does not tell."
    ),
    effect=Effect.READ,
    arguments=arguments.Inspect,
    result=results.InspectResult,
)
DEAD_LETTERS_COUNT = Operation(
    name="dead_letters_count",
    title="Count dead letters",
    description="Says how many messages are ready in a dead-letter queue. Takes none.",
    effect=Effect.READ,
    arguments=arguments.Inspect,
    result=results.InspectResult,
)
DEAD_LETTERS_LOOK = Operation(
    name="dead_letters_look",
    title="Look at dead letters",
    description=(
        "Leases dead letters to you, to be read, and then replayed or dropped by their handles, or left alone: they go "
        "back when their leases end. This is no peek, AMQP has none: each look counts as a delivery. A queue with a "
        "delivery limit is refused, because the last look would drop the message."
    ),
    effect=Effect.WRITE,
    arguments=arguments.LookAtDeadLetters,
    result=results.LookResult,
)
DEAD_LETTERS_REPLAY = Operation(
    name="dead_letters_replay",
    title="Replay dead letters",
    description=(
        "Sends dead letters back to the queue that each died in, or to an exchange of your choice; each leaves the "
        "dead-letter queue only when the broker has confirmed its copy. What could not be replayed is back there, "
        "which counts as a delivery: by its name, a queue with a delivery limit is refused."
    ),
    effect=Effect.WRITE,
    arguments=arguments.ReplayDeadLetters,
    result=results.ReplayResult,
)
DEAD_LETTERS_DROP = Operation(
    name="dead_letters_drop",
    title="Drop dead letters",
    description="Deletes dead letters for good: those of the handles, or (all: true) all that are ready in the queue.",
    effect=Effect.WRITE,
    destructive=True,
    arguments=arguments.DropDeadLetters,
    result=results.DropResult,
)


def _can_publish(permissions: Permissions) -> bool:
    return permissions.has("exchange", Verb.PUBLISH) or permissions.has("queue", Verb.PUBLISH)


def _can_subscribe(permissions: Permissions) -> bool:
    return permissions.has("exchange", Verb.BIND)


def _can_receive(permissions: Permissions) -> bool:
    return permissions.has("queue", Verb.RECEIVE) or _can_subscribe(permissions)


def _can_hold(permissions: Permissions) -> bool:
    return _can_receive(permissions) or permissions.has("queue", Verb.DEAD_LETTERS)


def _can_declare(permissions: Permissions) -> bool:
    return permissions.has("exchange", Verb.DECLARE, Verb.BIND) or permissions.has("queue", Verb.DECLARE)


def _can_inspect(permissions: Permissions) -> bool:
    return permissions.has("queue", Verb.INSPECT) or _can_subscribe(permissions)


def _on_queues(verb: Verb) -> Callable[[Permissions], bool]:
    return lambda permissions: permissions.has("queue", verb)


_WHEN: tuple[tuple[Operation, Callable[[Permissions], bool]], ...] = (
    (PUBLISH, _can_publish),
    (RECEIVE, _can_receive),
    (ACK, _can_hold),
    (NACK, _can_hold),
    (EXTEND, _can_hold),
    (SUBSCRIBE, _can_subscribe),
    (UNSUBSCRIBE, _can_subscribe),
    (DECLARE, _can_declare),
    (INSPECT, _can_inspect),
    (DEAD_LETTERS_COUNT, _on_queues(Verb.DEAD_LETTERS)),
    (DEAD_LETTERS_LOOK, _on_queues(Verb.DEAD_LETTERS)),
    (DEAD_LETTERS_REPLAY, _on_queues(Verb.REPLAY)),
    (DEAD_LETTERS_DROP, _on_queues(Verb.DROP)),
)


def permitted(permissions: Permissions) -> tuple[Operation, ...]:
    """Return the operations that some permission lets be used."""
    return tuple(operation for operation, is_permitted in _WHEN if is_permitted(permissions))
