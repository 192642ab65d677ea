"""Publishing: every message is confirmed, and every message's outcome is told."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aio_pika.exceptions import ChannelInvalidStateError, DeliveryError
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.connectors.rabbitmq.broker_errors import DRIVER_ERRORS, call_error, is_cancelled, translated
from ringfence_sidecar.connectors.rabbitmq.link import Link
from ringfence_sidecar.connectors.rabbitmq.message import Outgoing
from ringfence_sidecar.connectors.rabbitmq.results import Published, PublishOutcome
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.errors import BackendLostError

_MOST_LINES = 32
_MARGIN_SECONDS = 0.05
"""Kept of a call's deadline to tell what has become of its messages."""
_BLOCKED_SECONDS = 1.0
"""How long a broker that takes no messages is waited for."""
_LARGE_BYTES = 16_384
"""A body above this waits until the socket has taken it: what waits there is copied once more."""


@dataclass(slots=True, eq=False)
class _Line:
    """The channel to one exchange: what the broker closes it for concerns messages to that exchange only."""

    link: Link
    channel: Channel
    under_way: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    """By message id: a returned message says no more of itself, so no two of one id are under way at once."""


@dataclass(slots=True)
class Publication:
    """The messages of one call, and what is known of them so far: a second attempt sends what is not settled."""

    messages: Sequence[Outgoing]
    is_idempotent: bool
    outcomes: dict[int, Published] = field(default_factory=dict)
    is_sent: bool = False

    @property
    def unsettled(self) -> list[int]:
        """Those that the broker has not answered for."""
        return [at for at in range(len(self.messages)) if at not in self.outcomes]

    def results(self) -> tuple[Published, ...]:
        """Return an outcome for each."""
        return tuple(
            self.outcomes.get(at) or _published(message, PublishOutcome.UNKNOWN, "the broker's answer never came")
            for at, message in enumerate(self.messages)
        )


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A message without an answer."""

    error: BaseException | None
    was_sent: bool


class Publisher:
    """Publishes on one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._opening = asyncio.Lock()

    @property
    def under_way(self) -> int:
        """How many messages wait for their confirmation."""
        return sum(len(line.under_way) for line in self._lines.values())

    async def publish(self, publication: Publication, deadline: Deadline) -> None:
        """Send what is not settled, all at once, and wait for the broker's answers, within the deadline.

        Raises UnknownError for an exchange that is not there, before anything is sent; BackendLostError if the
        connection was lost and another endpoint may try, `outcome_unknown` if something had been sent.
        """
        indices = publication.unsettled
        link = await self._session.publishing()
        await link.check_taking(min(_BLOCKED_SECONDS, deadline.remaining))
        lines = await self._open(link, dict.fromkeys(publication.messages[at].exchange for at in indices))
        answers = await self._send_all(publication, lines, max(0.0, deadline.remaining - _MARGIN_SECONDS))
        lost = _settle(publication, answers)
        are_waiting = len(answers) < len(indices)
        publication.is_sent |= bool(publication.outcomes) or are_waiting or any(each.was_sent for each in lost)
        if not publication.is_sent:
            raise link.lost_error()
        if publication.unsettled and publication.is_idempotent and not link.is_usable:
            raise BackendLostError(
                f"endpoint {link.endpoint.name}: the connection to the broker broke when it had answered for "
                f"{len(publication.outcomes)} of {len(publication.messages)} messages: publish the call again with the "
                "same messageIds",
                outcome_unknown=True,
            )
        if lost and not publication.outcomes:
            _raise_refusal(lost)

    async def _send_all(
        self, publication: Publication, lines: dict[str, _Line], seconds: float
    ) -> dict[int, Published | _Unsettled]:
        """Return the answers that came in time."""
        indices = publication.unsettled
        sending = [self._send(lines[publication.messages[at].exchange], publication.messages[at]) for at in indices]
        if len(sending) == 1:
            try:
                async with asyncio.timeout(seconds):
                    return {indices[0]: await sending[0]}
            except TimeoutError:
                return {}
        tasks = [asyncio.create_task(each) for each in sending]
        try:
            await asyncio.wait(tasks, timeout=seconds)
            return {at: task.result() for at, task in zip(indices, tasks, strict=True) if task.done()}
        finally:
            for task in tasks:
                task.cancel()

    async def _open(self, link: Link, exchanges: Collection[str]) -> dict[str, _Line]:
        found = {exchange: line for exchange in exchanges if (line := self._line(link, exchange)) is not None}
        missing = [exchange for exchange in exchanges if exchange not in found]
        if missing:
            async with self._opening:
                for exchange in missing:
                    found[exchange] = self._line(link, exchange) or await self._open_line(link, exchange)
        return found

    def _line(self, link: Link, exchange: str) -> _Line | None:
        line = self._lines.get(exchange)
        if line is None or line.link is not link or line.channel.is_closed:
            return None
        self._lines.move_to_end(exchange)
        return line

    async def _open_line(self, link: Link, exchange: str) -> _Line:
        channel = await link.channel(confirms=True)
        if exchange:
            with translated(f"exchange {exchange!r}"):
                await channel.exchange_declare(exchange, passive=True)
        line = self._lines[exchange] = _Line(link, channel)
        for name, old in tuple(self._lines.items()):
            if len(self._lines) <= _MOST_LINES:
                break
            if not old.under_way and old is not line:
                del self._lines[name]
                link.background(link.close_channel(old.channel))
        return line

    async def _send(self, line: _Line, message: Outgoing) -> Published | _Unsettled:
        while (earlier := line.under_way.get(message.message_id)) is not None:
            await asyncio.wait([earlier])
        over = line.under_way[message.message_id] = asyncio.get_running_loop().create_future()
        try:
            answer = await line.channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=message.properties,
                mandatory=True,
                wait=len(message.body) > _LARGE_BYTES,
            )
        except DeliveryError:
            return _published(message, PublishOutcome.NACKED, "the broker would not have it: is the queue full?")
        except DRIVER_ERRORS as error:
            return _Unsettled(error, was_sent=not isinstance(error, ChannelInvalidStateError))
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return _Unsettled(None, was_sent=True)
        finally:
            over.set_result(None)
            del line.under_way[message.message_id]
        if isinstance(answer, DeliveredMessage):
            return _published(message, PublishOutcome.RETURNED, "no queue takes messages of this routing key")
        return _published(message, PublishOutcome.ROUTED, "")


def _settle(publication: Publication, answers: dict[int, Published | _Unsettled]) -> list[_Unsettled]:
    """Note the broker's answers; return what it has not answered for."""
    lost: list[_Unsettled] = []
    for at, answer in sorted(answers.items()):
        if isinstance(answer, Published):
            publication.outcomes[at] = answer
        else:
            lost.append(answer)
    return lost


def _raise_refusal(lost: Sequence[_Unsettled]) -> None:
    """The broker has closed the channel, and has answered for no message: say why."""
    error = next((each.error for each in lost if isinstance(each.error, ChannelAccessRefused)), None)
    if error is not None:
        refusal = call_error(error, "publish")
        refusal.outcome_unknown = True
        raise refusal


def _published(message: Outgoing, outcome: PublishOutcome, reason: str) -> Published:
    return Published(message_id=message.message_id, outcome=outcome, reason=reason)
