"""The ways out as `scripts/fetch.py` takes them."""

from typing import Any

Way = dict[str, Any]


def tls(host: str, *, port: int = 443, sni: str | None = "") -> Way:
    """TLS to a name or an address; `sni` is the same name unless given, and None sends no name."""
    return {"via": "tls", "host": host, "port": port, "sni": host if sni == "" else sni}


def http(host: str, *, name: str = "", port: int = 80, **headers: str) -> Way:
    """Plain HTTP, with another `Host` if `name` is given."""
    return {"via": "http", "host": host, "name": name or host, "port": port, "headers": headers}


def proxied(url: str, name: str) -> Way:
    """Plain HTTP through the proxy, in absolute form, with `Host: name`."""
    return {"via": "proxy", "url": url, "name": name}


def tunnel(target: str, *, sni: str | None = "", **headers: str) -> Way:
    """CONNECT, and TLS with the target's name, or `sni`, in it."""
    name = target.rpartition(":")[0] if sni == "" else sni
    return through(target, {"via": "tls", "sni": name}, **headers)


def through(target: str, inside: Way, **headers: str) -> Way:
    """CONNECT, and another way inside."""
    return {"via": "connect", "target": target, "inside": inside, "headers": headers}


def text(said: str, host: str = "", *, port: int = 443) -> Way:
    """Bytes that are no TLS."""
    return {"via": "bytes", "host": host, "port": port, "text": said}


def look_up(name: str) -> Way:
    """The program's own resolver."""
    return {"via": "dns", "name": name}
