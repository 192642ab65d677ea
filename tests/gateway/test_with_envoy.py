import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence_gateway.access_log import AccessLog, serve_access_log
from ringfence_gateway.admin import is_envoy_live
from ringfence_gateway.control import Certificates
from ringfence_gateway.limits import watch_limits
from ringfence_gateway.metering import Metering
from ringfence_gateway.record import Record
from ringfence_gateway.report import report_once
from ringfence_gateway.resolver import Resolver, ResolverServer
from ringfence_gateway.serving import Serving
from ringfence_gateway.subscription import (
    METER_PAST_TYPE,
    METER_TYPE,
    PORT_SET_TYPE,
    SETTINGS_TYPE,
    Kind,
    Subscription,
)
from ringfence_gateway.upstream import Resolvers
from ringfence_operator.control.gateway import Wiring
from ringfence_operator.control.process import ControlProcess, Place
from ringfence_operator.resources.port_set import PortSet
from tests.gateway.clients import addresses, ask
from tests.gateway.test_record import metrics
from tests.operator.control.authority import Authority
from tests.operator.control.envoy_process import envoy
from tests.operator.control.internet import internet
from tests.operator.control.operator_side import CONTROL_NAME, SECONDS, OperatorSide, operator_side
from tests.operator.control.port_sets import port_set
from tests.ports import free_block, free_port

REPLICA = "gateway-0"
NODE = f"{REPLICA}/dns"
NAMES = {"a.example": ["127.0.8.1"], "b.example": ["127.0.8.2"]}


@dataclass(slots=True)
class Gateway:
    """A gateway pod of the real Envoy and the real responder, and the control process."""

    operator: OperatorSide
    record: Record
    subscription: Subscription
    serving: Serving
    resolver: Resolver
    client: Any
    block: int
    admin: Path
    metering: Metering

    async def apply(self, *allowed: str, **more: Any) -> PortSet:
        said = port_set(self.block, *allowed, **more)
        self.operator.put(said)
        await self.operator.hear("inForce", block=said.block, version=said.version)
        return said

    async def reach(self, name: str) -> str:
        """Return who answers TLS for `name`, or `closed`."""
        async with asyncio.timeout(SECONDS):
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", 10_000 + 16 * self.block + 2, ssl=self.client, server_hostname=name
                )
            except OSError:
                return "closed"
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.transport.abort()
        return line.decode().partition(":")[0] or "closed"

    async def seen(self, *names: str) -> dict[tuple[str, int, str], int]:
        """Report until the operator has heard of all `names`; return the counts."""
        counts: dict[tuple[str, int, str], int] = {}
        async with asyncio.timeout(SECONDS):
            while not {name for name, _, _ in counts} >= set(names):
                await report_once(self.record, self.subscription.report, node=NODE)
                self.operator.heard.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        message = await self.operator.hear("seen", replica=REPLICA)
                        for each in message["names"]:
                            key = each["name"], each["port"], each["verdict"]
                            counts[key] = counts.get(key, 0) + each["count"]
        return counts


@asynccontextmanager
async def gateway(folder: Path, *, is_filtering: bool) -> AsyncIterator[Gateway]:
    """Start it all. Envoy's own refusal of private addresses is taken out, so that the resolver stands alone."""
    authority, control_port, record = Authority(), free_port(), Record()
    authority.write(folder / "tls", REPLICA)
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(internet(folder, NAMES))
        resolver = Resolver(Resolvers([f"127.0.0.1#{net.resolver[1]}"]), is_filtering=is_filtering)
        names = ResolverServer(resolver)
        wiring = Wiring(resolver=("127.0.0.1", await names.start(port=0)), closed=())
        stack.push_async_callback(names.stop)
        control = ControlProcess(Place(socket=folder / "c.sock", port=control_port, host="127.0.0.1"), wiring=wiring)
        await control.start()
        stack.push_async_callback(control.stop)
        operator = await stack.enter_async_context(operator_side(folder / "c.sock"))
        operator.identify(authority)
        operator.configure()
        operator.say("synced")
        serving = Serving(record)
        stack.callback(serving.close)
        log = await serve_access_log(AccessLog(record, serving.port_sets), folder / "als.sock")
        stack.push_async_callback(log.stop, 0)

        async def send(message: bytes) -> None:
            await subscription.metered(message)

        metering = Metering(REPLICA, folder / "run/meter.sock", send)
        kinds = {
            SETTINGS_TYPE: Kind(serving.put_settings, serving.remove_settings),
            PORT_SET_TYPE: Kind(serving.put_port_set, serving.remove_port_set),
            METER_TYPE: Kind(metering.put, metering.remove),
            METER_PAST_TYPE: Kind(metering.past.put, metering.past.remove),
        }
        certificates = Certificates(folder / "tls")
        subscription = Subscription(
            NODE, "127.0.0.1", control_port, certificates=certificates, kinds=kinds, server_name=CONTROL_NAME
        )
        subscription.on_connected = metering.connected
        await stack.enter_async_context(_running(subscription.run()))
        await stack.enter_async_context(_running(metering.run()))
        proxy = await stack.enter_async_context(envoy(folder, control=control_port, als=folder / "als.sock"))
        await operator.hear("joined", replica=REPLICA)
        client = net.client()
        yield Gateway(operator, record, subscription, serving, resolver, client, free_block(), proxy.admin, metering)


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_agents_reach_and_what_they_are_refused_is_seen_by_the_operator(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        said = await made.apply("a.example")
        answers = [await ask(name, 10_000 + 16 * made.block) for name in ("A.example", "b.example")]
        reached = [await made.reach(name) for name in ("a.example", "a.example", "b.example")]
        counts = await made.seen("a.example", "b.example")
        is_live = await is_envoy_live(made.admin)

    assert [addresses(answer) for answer in answers] == [[said.address], []]
    assert reached == ["127.0.8.1", "127.0.8.1", "closed"]
    assert counts["a.example", 443, "allowed"] == 2
    assert counts["b.example", 53, "denied"] == 1
    assert is_live


async def test_a_name_that_leads_to_a_private_address_is_stopped_by_the_resolver_alone(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=True) as made:
        await made.apply("a.example")
        reached = await made.reach("a.example")

    assert reached == "closed"


async def test_a_port_set_whose_port_is_taken_is_refused_and_the_next_one_is_in_force(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        taken = await asyncio.start_server(lambda *_: None, None, 10_000 + 16 * made.block)
        said = port_set(made.block, "a.example")
        made.operator.put(said)
        refused = await made.operator.hear("refused", block=said.block)
        taken.close()
        made.block = free_block()
        await made.apply("a.example")

    assert "in use" in json.dumps(refused)


async def test_connections_that_envoy_closes_beyond_a_limit_are_told_as_a_metric(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_filtering=False) as made:
        await made.apply("a.example", policy="team/web")
        watching = asyncio.create_task(watch_limits(made.record, made.admin, seconds=0.1))
        metric = 'ringfence_gateway_connections_limited_total{limit="new",policy="team/web"}'
        async with asyncio.timeout(SECONDS):
            while metric not in metrics(made.record):
                await flood(10_000 + 16 * made.block + 2)
        watching.cancel()


async def flood(port: int) -> None:
    """Open many connections at once, and end them."""
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(200)))
    for _, writer in opened:
        writer.transport.abort()
