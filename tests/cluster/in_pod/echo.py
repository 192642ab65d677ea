"""Runs in a pod: echoes TCP and UDP of both IP families on the ports given as arguments."""

import asyncio
import socket
import sys
from typing import cast


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


def bound_datagram_socket(port: int, family: socket.AddressFamily) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.bind(("", port))
    return bound


async def main(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await asyncio.start_server(echo, None, port, backlog=256)
        for family in (socket.AF_INET, socket.AF_INET6):
            await loop.create_datagram_endpoint(Datagrams, sock=bound_datagram_socket(port, family))
    await asyncio.Event().wait()


asyncio.run(main([int(port) for port in sys.argv[1:]]))
