"""The sidecars' and the starters' end of the control process.

`POST /v1/sidecar/poll` is answered when there is news, or after a while; `POST /v1/sidecar/standing` at once, with what
is used of the limits that others than the sidecar keep. `POST /v1/starter/poll` is a starter's, and let in as they are.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
import structlog

from ringfence_operator.control.admission import Admission, RefusedError
from ringfence_operator.control.allowance import REQUESTS_AT_ONCE, REQUESTS_PER_SECOND, Allowance, Bucket
from ringfence_operator.control.listener import Listener, Peer
from ringfence_operator.control.questions import Questions
from ringfence_operator.control.reports import BadPollError, Poll, Reports, poll_of
from ringfence_operator.control.request import BadRequestError, Request, answer, read_body, read_head, refusal
from ringfence_operator.control.roster import Roster
from ringfence_operator.control.server import Identity
from ringfence_operator.control.starters import PATH as STARTER_PATH
from ringfence_operator.control.starters import StarterReports, starter_poll_of

PATH = "/v1/sidecar/poll"
STANDING_PATH = "/v1/sidecar/standing"
HOLD_SECONDS = 25.0
"""How long a poll waits for news."""
STRANGER_SECONDS = 10.0
"""How long one waits for its pod to come into view: a sidecar may be quicker than the operator's watch."""
IDLE_SECONDS = 30.0
FIRST_SECONDS = 5.0
"""How long the first request may take to be there whole."""

log = structlog.get_logger(__name__)


class Sidecars:
    """Serves each sidecar what the operator says is its; `tell` takes to the operator what they report.

    `observe` hears the HTTP code of each answer, and 0 for each connection that was refused.
    """

    def __init__(
        self,
        *,
        tell: Callable[[dict[str, Any]], None],
        observe: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        hold_seconds: float = HOLD_SECONDS,
        stranger_seconds: float = STRANGER_SECONDS,
    ) -> None:
        self._roster: Final = Roster()
        self._reviews: Final = Questions(tell=tell)
        # Of its own: agents that look at their quotas take no token's place.
        self._standings: Final = Questions(tell=tell)
        self._reports: Final = Reports(tell)
        self._starters: Final = StarterReports(tell)
        self._admission: Final = Admission(self._roster, self._reviews)
        self._allowance: Final = Allowance(clock=clock, is_known=self._roster.has_address)
        self._listener: Final = Listener(self._allowance, self._converse, on_refused=lambda: observe(0))
        self._observe: Final = observe
        self._clock: Final = clock
        self._hold: Final = hold_seconds
        self._stranger: Final = stranger_seconds

    def identify(self, identity: Identity) -> None:
        """Serve new connections with this identity."""
        self._listener.identify(identity)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take what the operator says of sidecars. Raises KeyError, TypeError or ValueError."""
        match message["kind"]:
            case "sidecar":
                self._put(self._roster.put, message)
            case "starter":
                self._put(self._roster.put_starter, message)
            case "sidecarGone":
                self._roster.drop(str(message["uid"]), is_starter=False)
                self._reports.forget(str(message["uid"]))
            case "starterGone":
                self._roster.drop(str(message["uid"]), is_starter=True)
                self._starters.forget(str(message["uid"]))
            case "reviewed":
                self._reviews.hear(message)
            case "standing":
                self._standings.hear(message)
            case "issuer":
                self._admission.issuer = message["issuer"]

    def _put(self, put: Callable[[Mapping[str, Any]], None], message: Mapping[str, Any]) -> None:
        try:
            put(message)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # One pod's must not keep the others' from being served; the error's text may hold a secret.
            log.error("sidecar.not_understood", uid=message.get("uid"), error=type(error).__name__)  # noqa: TRY400

    async def start(self, port: int, *, host: str = "::") -> int:
        """Listen; return the port."""
        bound = await self._listener.start(port, host=host)
        log.info("sidecars.serving", port=bound)
        return bound

    async def stop(self) -> None:
        """Close the port and all connections."""
        self._reports.stop()
        await self._listener.stop()

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._allowance.connections

    # --- one connection ---

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        own: Bucket | None = None
        while True:
            try:
                status, body = await self._exchange(reader, peer, own)
            except (RefusedError, BadRequestError) as error:
                self._observe(error.status)
                writer.write(refusal(error.status, str(error)))
                with suppress(OSError, TimeoutError):
                    await asyncio.wait_for(writer.drain(), FIRST_SECONDS)
                return
            self._observe(status)
            writer.write(answer(status, body))
            await asyncio.wait_for(writer.drain(), IDLE_SECONDS)
            # Who was let in does not share what is allowed with others at its address, such as the agent.
            own = own or Bucket(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE, REQUESTS_AT_ONCE, self._clock())

    async def _exchange(self, reader: asyncio.StreamReader, peer: Peer, own: Bucket | None) -> tuple[int, bytes]:
        async with asyncio.timeout(IDLE_SECONDS if own else FIRST_SECONDS):
            request = await read_head(reader)
            if own is not None:
                # Changes that follow each other quickly are told more slowly, and not by a connection that is lost.
                await asyncio.sleep(own.borrow(self._clock()))
            elif not self._allowance.request(peer.address):
                raise RefusedError(429, "too many requests: a sidecar polls, and waits for its answer")
            _check_place(request)
            token = request.token
            claims = self._admission.claims(token)
            body = await read_body(reader, request)
        poll = self._poll(request.path, body)
        if poll is None or not poll.holds_order:
            # Who holds an order was in view. If it is not any more, it may carry the order out while it waits.
            await self._in_view(claims.pod_uid, reader)
        await self._admission.admit(token, claims, peer.address)
        peer.is_admitted = True
        if poll is None:
            return await self._standing(claims.pod_uid)
        is_starter = request.path == STARTER_PATH
        self._take(claims.pod_uid, poll, is_starter=is_starter)
        return await self._news(claims.pod_uid, peer.address, poll, reader, is_starter=is_starter)

    def _take(self, uid: str, poll: Poll, *, is_starter: bool) -> None:
        has_other = self._roster.get(uid, is_starter=not is_starter) is not None
        if has_other and self._roster.get(uid, is_starter=is_starter) is None:
            # Not for good: a pod may have both, and one of them has come into view first, or has been withdrawn.
            raise RefusedError(503, "what is known of this pod is asked for at another path: try again")
        reports = self._starters if is_starter else self._reports
        reports.take(uid, poll.report)

    def _poll(self, path: str, body: bytes) -> Poll | None:
        if path == STANDING_PATH:
            return None
        read = starter_poll_of if path == STARTER_PATH else poll_of
        try:
            return read(orjson.loads(body), longest=self._hold)
        except (BadPollError, orjson.JSONDecodeError) as error:
            raise BadRequestError(400, f"the body is no poll: {error}") from error

    async def _in_view(self, uid: str, reader: asyncio.StreamReader) -> None:
        with self._roster.watch(uid) as changed:
            if self._roster.either(uid) is None:
                await _wait(changed, reader, self._stranger)

    async def _standing(self, uid: str) -> tuple[int, bytes]:
        found = await self._standings.standing(uid)
        if found is None:
            raise RefusedError(503, "the operator cannot say now what is used: try again")
        return 200, orjson.dumps(found)

    async def _news(
        self, uid: str, address: str, poll: Poll, reader: asyncio.StreamReader, *, is_starter: bool
    ) -> tuple[int, bytes]:
        """Return what is to be answered, as soon as there is news, or once the poll has waited long enough."""
        loop = asyncio.get_running_loop()
        end = loop.time() + poll.wait_seconds
        while True:
            with self._roster.watch(uid) as changed:
                sidecar = self._roster.get(uid, is_starter=is_starter)
                if sidecar is None:
                    raise RefusedError(
                        503, "the pod is not in view any more, or has neither sidecar nor starter: try again"
                    )
                if sidecar.address != address:
                    raise RefusedError(403, "the token is another pod's than the one that this comes from")
                if sidecar.is_news_to(poll):
                    return 200, sidecar.body
                left = end - loop.time()
                if left <= 0:
                    return 204, b""
                await _wait(changed, reader, left)


def _check_place(request: Request) -> None:
    if request.path not in (PATH, STANDING_PATH, STARTER_PATH):
        raise BadRequestError(404, f"there is nothing here but {PATH}, {STANDING_PATH} and {STARTER_PATH}")
    if request.method != "POST":
        raise BadRequestError(405, f"{request.path} takes POST")


async def _wait(changed: asyncio.Event, reader: asyncio.StreamReader, seconds: float) -> None:
    """Return once the event is set, or after that long. Raises ConnectionError if the client goes, or talks on."""
    waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(reader.read(1))]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if waits[1].done():
            raise ConnectionResetError("the client did not wait for its answer")
    finally:
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
