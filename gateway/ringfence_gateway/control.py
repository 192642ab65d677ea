"""The way to the control process: mutual TLS to the one replica of the operator that serves, whichever it is."""

import asyncio
import random
import socket
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

CONNECT_SECONDS = 3.0
CHECK_SECONDS = 5.0
"""How often the files are looked at."""
KEEPALIVE_MILLISECONDS = 30_000
MOST_RECEIVED = 64 << 20
_FILES = ("ca.crt", "tls.crt", "tls.key")


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files that this side proves itself with and knows the other by."""

    directory: Path

    def state(self) -> tuple[int, ...]:
        """Return what changes when a file does."""
        return tuple(_changed(self.directory / name) for name in _FILES)

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what the files hold now. Raises OSError."""
        authority, certificate, key = ((self.directory / name).read_bytes() for name in _FILES)
        return grpc.ssl_channel_credentials(authority, key, certificate)


async def addresses_of(host: str, port: int) -> list[str]:
    """Return the targets behind a headless Service, in random order. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    targets = {_target(family, str(at[0]), int(at[1])) for family, *_, at in found}
    return random.sample(sorted(targets), len(targets))


def open_channel(target: str, name: str, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
    """Return a channel to one address, whose certificate must be for `name`."""
    options = (
        ("grpc.ssl_target_name_override", name),
        ("grpc.default_authority", name),
        ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", MOST_RECEIVED),
        ("grpc.enable_http_proxy", 0),
    )
    return grpc.aio.secure_channel(target, credentials, options=options)


async def is_connected(channel: grpc.aio.Channel, *, seconds: float = CONNECT_SECONDS) -> bool:
    """Connect; return False as soon as it is refused, so that the next address has its turn at once."""
    try:
        async with asyncio.timeout(seconds):
            state = channel.get_state(try_to_connect=True)
            while state is not grpc.ChannelConnectivity.READY:
                if state in {grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN}:
                    return False
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError:
        return False
    return True


async def until_changed(certificates: Certificates, known: tuple[int, ...]) -> None:
    """Return when the files are others than those of the state `known`."""
    while certificates.state() == known:  # noqa: ASYNC110 - nothing tells of a file that changes
        await asyncio.sleep(CHECK_SECONDS)


def _target(family: socket.AddressFamily, address: str, port: int) -> str:
    return f"ipv6:[{address}]:{port}" if family is socket.AF_INET6 else f"ipv4:{address}:{port}"


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
