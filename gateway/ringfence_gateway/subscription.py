"""Port sets and settings from the control process, by delta xDS; what is here stays while nobody serves it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import structlog
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from ringfence_gateway.control import Certificates, addresses_of, is_connected, open_channel, until_changed

PORT_SET_TYPE = "type.googleapis.com/ringfence.gateway.v1.PortSet"
SETTINGS_TYPE = "type.googleapis.com/ringfence.gateway.v1.Settings"
LEAST_WAIT, MOST_WAIT = 0.1, 2.0
METER_TYPE = "type.googleapis.com/ringfence.gateway.v1.Meter"
METER_PAST_TYPE = "type.googleapis.com/ringfence.gateway.v1.MeterPast"
REPORT_METHOD = "/ringfence.gateway.v1.Gateway/Report"
METERED_METHOD = "/ringfence.gateway.v1.Gateway/Metered"
REPORT_SECONDS = 5.0
INVALID_ARGUMENT = 3

_log = structlog.get_logger()


class NotConnectedError(Exception):
    """No control process serves at the moment."""


class RefusedError(Exception):
    """The control process does not understand what it was sent; sending it again would not help."""


@dataclass(slots=True)
class Kind:
    """One type of resources: who takes them, and which versions were taken."""

    put: Callable[[str, bytes], None]
    """Gets name and value. Raises ValueError or OSError to refuse it."""
    remove: Callable[[str], None]
    versions: dict[str, str] = field(default_factory=dict)

    def take(self, response: Any) -> str:
        """Take what a response brings; return what was refused, a line for each resource."""
        refused = []
        for name in response.removed_resources:
            self.remove(name)
            self.versions.pop(name, None)
        for each in response.resources:
            try:
                self.put(each.name, each.resource.value)
            except (ValueError, OSError) as error:
                # Its earlier version stays in `versions`, since it goes on being served.
                refused.append(f"{each.name}: {error}")
            else:
                self.versions[each.name] = each.version
        return "\n".join(refused)


class Subscription:
    """Follows the control process at `host`:`port`, one address after the other, forever."""

    def __init__(
        self,
        node: str,
        host: str,
        port: int,
        *,
        certificates: Certificates,
        kinds: Mapping[str, Kind],
        server_name: str = "",
    ) -> None:
        self._node = {"id": node, "cluster": "ringfence-gateway"}
        self._host, self._port, self._server_name = host, port, server_name or host
        self._certificates = certificates
        self._kinds = kinds
        self._channel: grpc.aio.Channel | None = None
        self.on_connected: Callable[[], None] = lambda: None
        """Called each time that a control process is there that may know nothing."""

    async def run(self) -> None:
        """Follow until cancelled."""
        wait = LEAST_WAIT
        while True:
            if await self._try_all():
                wait = LEAST_WAIT
            await asyncio.sleep(wait)
            wait = min(2 * wait, MOST_WAIT)

    async def report(self, message: bytes) -> None:
        """Send a report. Raises NotConnectedError if it did not arrive, RefusedError if it is wrong."""
        await self._say(REPORT_METHOD, message)

    async def metered(self, message: bytes) -> None:
        """Send what a meter has counted. Raises NotConnectedError if it did not arrive, RefusedError if it is wrong."""
        await self._say(METERED_METHOD, message)

    async def _say(self, method: str, message: bytes) -> None:
        if self._channel is None:
            raise NotConnectedError("no control process serves")
        call = self._channel.unary_unary(method)
        try:
            await call(message, timeout=REPORT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise RefusedError(str(error.details())) from error
            raise NotConnectedError(str(error.details())) from error
        except asyncio.CancelledError as error:
            # That of a channel that is closed under a call looks like that of the task, and would end whoever reports.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise NotConnectedError("the connection was closed meanwhile") from error

    async def _try_all(self) -> bool:
        """Follow each address as long as it serves; return True if one did."""
        try:
            targets = await addresses_of(self._host, self._port)
        except OSError as error:
            _log.warning("control process not found", host=self._host, reason=str(error))
            return False
        served = [await self._follow(target) for target in targets]
        return any(served)

    async def _follow(self, target: str) -> bool:
        """Follow one address until it ends, or until there are new certificates; return True if it served.

        One that ends at once has not: it would be asked again and again without a pause.
        """
        known = self._certificates.state()
        try:
            credentials = self._certificates.credentials()
        except OSError as error:
            _log.warning("certificates not readable", reason=str(error))
            return False
        channel = open_channel(target, self._server_name, credentials)
        try:
            if not await is_connected(channel):
                _log.debug("control process does not serve", address=target)
                return False
            loop = asyncio.get_running_loop()
            begun = loop.time()
            stream = asyncio.create_task(self._stream(channel, target))
            renewed = asyncio.create_task(until_changed(self._certificates, known))
            try:
                await asyncio.wait({stream, renewed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (stream, renewed):
                    task.cancel()
                outcomes = await asyncio.gather(stream, renewed, return_exceptions=True)
            _raise_bug(outcomes[0])
            return loop.time() - begun > MOST_WAIT
        finally:
            self._channel = None
            await channel.close()

    async def _stream(self, channel: grpc.aio.Channel, target: str) -> None:
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        try:
            for type_url, kind in self._kinds.items():
                first = discovery_pb2.DeltaDiscoveryRequest(
                    node=self._node, type_url=type_url, initial_resource_versions=kind.versions
                )
                await call.write(first)
            self._channel = channel
            self.on_connected()
            _log.info("control process followed", address=target)
            while (response := await call.read()) is not grpc.aio.EOF:
                await call.write(self._judge(response))
            _log.info("control process lost", address=target, reason="it ended the stream")
        except grpc.aio.AioRpcError as error:
            _log.info("control process lost", address=target, reason=error.details())
        except asyncio.InvalidStateError:
            _log.info("control process lost", address=target, reason="it ended the stream meanwhile")
        finally:
            call.cancel()

    def _judge(self, response: Any) -> Any:
        """Take what `response` brings; return its acknowledgement, or what is refused."""
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        kind = self._kinds.get(response.type_url)
        refused = f"{response.type_url} was not asked for" if kind is None else kind.take(response)
        if refused:
            _log.warning("resource refused", reason=refused)
            request.error_detail.code = INVALID_ARGUMENT
            request.error_detail.message = refused
        return request


def _raise_bug(outcome: object) -> None:
    """Raise what a task ended with, unless it is that it was told to."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
        raise outcome
