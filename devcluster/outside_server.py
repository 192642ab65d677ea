"""The servers of the outside: what is no HTTP request comes back as it was sent."""

import asyncio
import sys

PORTS = (80, 443, 8080)
METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ")
CHUNK = 65536


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one HTTP request with the caller's address, or echo until the end."""
    try:
        chunk = await reader.read(CHUNK)
        if chunk.startswith(METHODS):
            body = f"outside: you are {writer.get_extra_info('peername')[0]}\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
            return
        while chunk:
            writer.write(chunk)
            await writer.drain()
            chunk = await reader.read(CHUNK)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve on every port, both families."""
    servers = [await asyncio.start_server(serve, host, port) for port in PORTS for host in ("0.0.0.0", "::")]
    print("serving on ports", *PORTS, file=sys.stderr, flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
