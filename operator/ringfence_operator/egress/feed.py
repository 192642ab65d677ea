"""The operator's end of the socket to its control process: what the gateway is to serve goes out, answers come in."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import orjson
import structlog

from ringfence_operator.egress.ledger import Ledger
from ringfence_operator.egress.meters import MeterBook
from ringfence_operator.egress.sidecars import AgentKey, ConnectorKey, SidecarBook
from ringfence_operator.egress.starters import StarterBook
from ringfence_operator.reconcile.gateway import Seen, Standing
from ringfence_operator.resources.port_set import PortSet

_RETRY_SECONDS = 0.5
_LONGEST_LINE = 16 * 1024 * 1024

log = structlog.get_logger()

Message = dict[str, Any]


class Feed:
    """A `reconcile.gateway.Gateway` over the Unix socket at `path`; run it while this replica leads.

    What was said before the control process is there, or comes back, is said to it then. `sidecars` is a
    `reconcile.sidecars.Sidecars` over the same socket, `starters` a `reconcile.starters.Starters`, `meters` a
    `reconcile.meters.Meters`; `review` is asked about sidecars' and starters' tokens (`egress.token_review`).
    """

    def __init__(
        self,
        path: str,
        *,
        on_change: Callable[[str], None],
        on_seen: Callable[[str], None],
        on_health: Callable[[ConnectorKey], None] = lambda _: None,
        on_inside: Callable[[AgentKey], None] = lambda _: None,
        on_fitness: Callable[[tuple[str, str]], None] = lambda _: None,
        on_use: Callable[[str], None] = lambda _: None,
        on_spent: Callable[[tuple[str, str]], None] = lambda _: None,
        review: Callable[[str], Awaitable[str | None]] | None = None,
    ) -> None:
        self.limit_standing: Callable[[AgentKey], Message | None] = lambda _: None
        """Says what is used of an agent's limits that no sidecar keeps (`reconcile.standing`)."""
        self._path = path
        self._ledger = Ledger(on_change=on_change, on_seen=on_seen)
        self.sidecars = SidecarBook(send=self._send, on_change=on_health, on_inside=on_inside, on_use=on_use)
        self.starters = StarterBook(send=self._send, on_heard=on_inside, on_fitness=on_fitness)
        self.meters = MeterBook(send=self._send, on_use=on_use, on_spent=on_spent)
        self._review = review
        self._reviews: set[asyncio.Task[None]] = set()
        self._issuer: Message | None = None
        self._identity: Message | None = None
        self._settings: Message | None = None
        self._complete = False
        self._is_serving = False
        self._writer: asyncio.StreamWriter | None = None

    def reset(self) -> None:
        """Begin anew, as a replica does that has come to lead."""
        self._ledger.reset()
        self.sidecars.reset()
        self.starters.reset()
        self.meters.reset()
        self._identity = self._settings = None
        self._complete = False

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=_LONGEST_LINE)
            except OSError as error:
                log.debug("feed.unreachable", path=self._path, error=str(error))
            else:
                try:
                    await self._serve(reader, writer)
                except (OSError, ValueError, KeyError, TypeError) as error:
                    log.warning("feed.interrupted", error=str(error))
                finally:
                    self._writer = None
                    for task in self._reviews:
                        task.cancel()
                    self._ledger.forget_replicas()
                    self.meters.disconnected()
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer, self._is_serving = writer, False
        log.info("feed.connected")
        for message in (self._identity, self._settings, self._issuer):
            self._send(message)
        for present in self._ledger.published.values():
            self._send({"kind": "portSet", **present.port_set.to_wire()})
        for block in self._ledger.withdrawn:
            self._send({"kind": "withdraw", "block": block})
        for message in (*self.sidecars.messages(), *self.starters.messages(), *self.meters.messages()):
            self._send(message)
        self._serve_once_whole()
        while line := await reader.readline():
            self._hear(orjson.loads(line))

    def _hear(self, message: Message) -> None:
        match message["kind"]:
            case "sidecarSeen":
                self.sidecars.hear(message)
            case "starterSeen":
                self.starters.hear(message)
            case "metered":
                self.meters.hear(message)
            case "review":
                task = asyncio.create_task(self._answer(message["id"], str(message["token"])))
                self._reviews.add(task)
                task.add_done_callback(self._reviews.discard)
            case "standingAsked":
                self._answer_standing(message["id"], str(message["uid"]))
            case kind:
                if kind == "left":
                    self.meters.left(str(message["replica"]))
                self._ledger.hear(message)

    async def _answer(self, number: int, token: str) -> None:
        uid = await self._review(token) if self._review is not None else None
        self._send({"kind": "reviewed", "id": number, "podUid": uid})

    def _answer_standing(self, number: int, uid: str) -> None:
        agent = self.sidecars.agent_of(uid)
        self._send({"kind": "standing", "id": number, "standing": self.limit_standing(agent) if agent else None})

    def _send(self, message: Message | None) -> None:
        if self._writer is not None and message is not None:
            self._writer.write(orjson.dumps(message) + b"\n")

    def identify(self, *, authority: str, certificate: str, key: str) -> None:
        """Say what the control process serves with; all are PEM."""
        message = {"kind": "identity", "authority": authority, "certificate": certificate, "key": key}
        if message != self._identity:
            self._identity = message
            self._send(message)
            self._serve_once_whole()

    def configure(self, settings: Message) -> None:
        """Say what holds for all port sets (docs/design/2026-11-24-egress-gateway.md)."""
        message = {"kind": "settings", **settings}
        if message != self._settings:
            self._settings = message
            self._send(message)
            self._serve_once_whole()

    def vouch(self, issuer: str | None) -> None:
        """Say who issues the cluster's tokens, if that is known: what another one issued is refused unasked."""
        message = {"kind": "issuer", "issuer": issuer}
        if message != self._issuer:
            self._issuer = message
            self._send(message)

    def complete(self) -> None:
        """Say that every policy has been published: from now on gateways may be served."""
        self._complete = True
        self._serve_once_whole()

    def _serve_once_whole(self) -> None:
        """Never before identity and settings are said: without the reserved addresses, too much would be open."""
        if self._complete and self._identity and self._settings and self._writer and not self._is_serving:
            self._is_serving = True
            self._send({"kind": "synced"})

    def publish(self, port_set: PortSet, *, generation: int) -> None:
        """Have the gateway serve `port_set`, which is what the policy says at `generation`."""
        if self._ledger.publish(port_set, generation=generation):
            self._send({"kind": "portSet", **port_set.to_wire()})

    def withdraw(self, block: int) -> None:
        """Have the gateway close the block."""
        if self._ledger.withdraw(block):
            self._send({"kind": "withdraw", "block": block})

    def is_published(self, policy: str) -> bool:
        """Return True if the policy (namespace, a slash, name) has been published."""
        return self._ledger.is_published(policy)

    def holder(self, block: int) -> str:
        """Return the policy (namespace, a slash, name) that has the block on the gateway, or nothing."""
        return self._ledger.holder(block)

    def is_released(self, block: int, replicas: Sequence[str]) -> bool:
        """Return True if none of `replicas` serves the block any more."""
        return self._ledger.is_released(block, replicas)

    def is_closing(self, block: int, replicas: Sequence[str]) -> bool:
        """Return True if the block was withdrawn and one of `replicas` may serve it still."""
        return self._ledger.is_closing(block, replicas)

    def former(self, block: int) -> PortSet | None:
        """Return what was published on a block that is withdrawn, if that is known."""
        return self._ledger.former(block)

    def standing(self, policy: str, replicas: Sequence[str]) -> Standing:
        """Return where the policy (namespace, a slash, name) stands on `replicas`."""
        return self._ledger.standing(policy, replicas)

    def seen(self, policy: str) -> Seen:
        """Return what agents under the policy asked for and was not told yet."""
        return self._ledger.seen(policy)

    def told(self, policy: str, seen: Seen) -> None:
        """Take `seen` as told: a status has it."""
        self._ledger.told(policy, seen)
