"""A RabbitMQ in the network namespace that plays the outside: DIRECTORY ADDRESS PORT NAME.

Says `ready`, and ends with its input.

The broker itself listens on loopback; what comes to ADDRESS:PORT is handed on to its TLS port.
"""

import asyncio
import sys
from pathlib import Path

from tests.backends.certificates import issue
from tests.backends.rabbitmq_server import RabbitMQServer


async def serve(server: RabbitMQServer, address: str, port: int) -> None:
    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server.tls_port)
        await asyncio.gather(_pump(reader, back), _pump(there, writer), return_exceptions=True)

    async with await asyncio.start_server(hand_on, address, port):
        print("ready", flush=True)  # noqa: T201 - who started it waits for this line
        await asyncio.to_thread(sys.stdin.read)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def main() -> None:
    directory, address, port, name = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    server = RabbitMQServer(directory, tls=issue(directory / "tls", address, name))
    try:
        server.start()
        asyncio.run(serve(server, address, port))
    finally:
        server.close()


if __name__ == "__main__":
    main()
