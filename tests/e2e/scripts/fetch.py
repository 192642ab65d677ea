"""Try ways out, all at once; print what each came to.

Takes a list of tries, each a map whose `via` is one of these:

- `tls` opens TLS to `host` (a name or an address) on `port`, with the name `sni`
- `http` sends a plain request to `host:port` with `Host: name`, and `headers`
- `proxy` sends one for `url` in absolute form to the proxy of the environment, with `Host: name`
- `connect` opens a tunnel to `target`, with `headers`, and tries `inside`, a map as these, in it
- `bytes` sends `text` to `host:port`
- `dns` resolves `name`

Prints for each the server's answer, or `{"refused": why}`: a status, with its text as `body`; `closed`; an error.
With seconds as a second argument, goes on trying for so long, and prints of each what it came to: servers and refusals.
"""

import json
import os
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

SECONDS = 5.0
THREADS = 24


def opened(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), SECONDS)


def proxy() -> socket.socket:
    found = urlsplit(os.environ["HTTP_PROXY"])
    return opened(str(found.hostname), int(found.port or 0))


def secured(raw: socket.socket, sni: str | None) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(raw, server_hostname=sni)


def until_closed(stream: socket.socket) -> bytes:
    found = b""
    while chunk := stream.recv(65536):
        found += chunk
    return found


def answer(text: bytes) -> dict[str, Any]:
    head, _, body = text.partition(b"\r\n\r\n")
    if not head:
        return {"refused": "closed"}
    status = int(head.split()[1])
    if status != 200:
        return {"refused": status, "body": body.decode(errors="replace")}
    found: dict[str, Any] = json.loads(body)
    return found


def header_lines(how: dict[str, Any]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in how.get("headers", {}).items())


def asked(stream: socket.socket, target: str, host: str, more: str = "") -> dict[str, Any]:
    stream.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode())
    return answer(until_closed(stream))


def tunnelled(how: dict[str, Any], stream: socket.socket) -> dict[str, Any]:
    target = how["target"]
    stream.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{header_lines(how)}\r\n".encode())
    said = stream.recv(65536)
    if b" 200 " in said.split(b"\r\n")[0]:
        return attempt(how["inside"], stream)
    stream.shutdown(socket.SHUT_WR)
    return answer(said + until_closed(stream))


def attempt(how: dict[str, Any], stream: socket.socket | None = None) -> dict[str, Any]:
    """Try one, on `stream` if there is one already."""
    match how["via"]:
        case "dns":
            return {"address": socket.gethostbyname(how["name"])}
        case "tls":
            sni = how["sni"]
            return asked(secured(stream or opened(how["host"], how["port"]), sni), "/", how.get("name", sni or ""))
        case "http":
            return asked(stream or opened(how["host"], how["port"]), "/", how["name"], header_lines(how))
        case "proxy":
            return asked(stream or proxy(), how["url"], how["name"])
        case "connect":
            return tunnelled(how, stream or proxy())
        case "bytes":
            stream = stream or opened(how["host"], how["port"])
            stream.sendall(how["text"].encode("latin-1"))
            echoed = stream.recv(65536).decode("latin-1")
            return {"echoed": echoed} if echoed else {"refused": "closed"}
        case via:
            raise ValueError(via)


def result(how: dict[str, Any]) -> dict[str, Any]:
    try:
        return attempt(how)
    except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return {"refused": "closed"}
    except OSError as error:
        return {"refused": type(error).__name__}


def outcome(how: dict[str, Any]) -> str:
    found = result(how)
    return str(found.get("server") or found.get("address") or found.get("refused"))


def outcomes(pool: ThreadPoolExecutor, ways: list[dict[str, Any]], seconds: float) -> list[list[str]]:
    begun = time.monotonic()
    found: list[set[str]] = [set() for _ in ways]
    while True:
        for seen, came in zip(found, pool.map(outcome, ways), strict=True):
            seen.add(came)
        if time.monotonic() - begun > seconds:
            return [sorted(each) for each in found]


ways = json.loads(sys.argv[1])
with ThreadPoolExecutor(THREADS) as pool:
    came = outcomes(pool, ways, float(sys.argv[2])) if sys.argv[2:] else list(pool.map(result, ways))
json.dump(came, sys.stdout)
