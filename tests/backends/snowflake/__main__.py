"""Serve the stand-in for Snowflake: `PYTHONPATH=<fakesnow>:. python -m tests.backends.snowflake --port 8080`.

It says `ready` on its standard output when it listens.
"""

import argparse
import asyncio
import socket
import warnings


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m tests.backends.snowflake")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", help="PEM with the certificate and its chain: TLS, then")
    parser.add_argument("--key", help="PEM with its private key")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    import uvicorn  # noqa: PLC0415 - after the arguments are known to be good
    from fakesnow.server import app  # noqa: PLC0415

    from tests.backends.snowflake.stand_in import StandIn  # noqa: PLC0415

    config = uvicorn.Config(
        StandIn(app),
        log_level="error",
        lifespan="off",
        ssl_certfile=arguments.certificate,
        ssl_keyfile=arguments.key,
        timeout_graceful_shutdown=1,
    )
    listener = socket.create_server((arguments.host, arguments.port))
    # Connections inherit it; asyncio sets it only where the listener's protocol is spelt out. Without it, 40 ms each.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("ready", flush=True)  # noqa: T201 - who started it waits for this line
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    main()
