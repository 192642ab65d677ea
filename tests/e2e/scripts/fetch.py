"""Try ways out one after the other; print what each came to.

Takes a list of tries, each a map whose `via` is one of these:

- `tls` opens TLS to `host` (a name or an address) on `port`, with the name `sni`
- `http` sends a plain request to `host:port` with `Host: name`
- `proxy` sends one for `url` in absolute form to the proxy of the environment, with `Host: name`
- `connect` opens a tunnel to `target`, and TLS with the name `sni` inside
- `dns` resolves `name`

Prints for each the server's answer, or `{"refused": why}`: a status, with its text as `body`; `closed`; an error.
"""

import json
import os
import socket
import ssl
import sys
from typing import Any
from urllib.parse import urlsplit

SECONDS = 5.0


def opened(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), SECONDS)


def proxy() -> socket.socket:
    found = urlsplit(os.environ["HTTP_PROXY"])
    return opened(str(found.hostname), int(found.port or 0))


def secured(raw: socket.socket, sni: str | None) -> ssl.SSLSocket:
    context = ssl.create_default_context()
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


def asked(stream: socket.socket, target: str, host: str) -> dict[str, Any]:
    stream.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return answer(until_closed(stream))


def attempt(how: dict[str, Any]) -> dict[str, Any]:
    match how["via"]:
        case "dns":
            return {"address": socket.gethostbyname(how["name"])}
        case "tls":
            sni = how["sni"]
            return asked(secured(opened(how["host"], how.get("port", 443)), sni), "/", how.get("name", sni or ""))
        case "http":
            return asked(opened(how["host"], how.get("port", 80)), "/", how["name"])
        case "proxy":
            return asked(proxy(), how["url"], how["name"])
        case "connect":
            stream = proxy()
            stream.sendall(f"CONNECT {how['target']} HTTP/1.1\r\nHost: {how['target']}\r\n\r\n".encode())
            said = stream.recv(65536)
            if b" 200 " not in said.split(b"\r\n")[0]:
                stream.shutdown(socket.SHUT_WR)
                return answer(said + until_closed(stream))
            return asked(secured(stream, how["sni"]), "/", how["sni"])
        case via:
            raise ValueError(via)


def result(how: dict[str, Any]) -> dict[str, Any]:
    try:
        return attempt(how)
    except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return {"refused": "closed"}
    except OSError as error:
        return {"refused": type(error).__name__}


json.dump([result(each) for each in json.loads(sys.argv[1])], sys.stdout)
