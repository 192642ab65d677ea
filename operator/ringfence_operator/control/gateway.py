"""What holds for all port sets: the operator's settings for gateways, and where the gateway's own parts listen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

from ringfence_operator.resources.public import NOT_PUBLIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy that everything goes out through. `credentials` are what the URL holds: user, colon, password."""

    host: str
    port: int
    is_tls: bool
    credentials: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where the parts of the gateway's pod find each other, and what is closed to all of them."""

    resolver: tuple[str, int] = ("127.0.0.1", 5355)
    """The responder, which resolves for Envoy."""
    closed: tuple[str, ...] = NOT_PUBLIC
    """CIDRs that no connection goes to, besides those that the settings reserve."""
    is_checking: bool = True
    """False for tests only: Envoy connects wherever a name leads, so that what stands behind it can be tested alone."""

    def closed_by(self, settings: "GatewaySettings") -> tuple[str, ...] | None:
        """Return the CIDRs that no connection goes to, None where none is checked."""
        return (*self.closed, *settings.reserved) if self.is_checking else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The operator's settings, as far as gateways need them."""

    reserved: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    proxy: Proxy | None = None
    proxy_authority: str | None = None
    cluster_domain: str = "cluster.local"
    wire: dict[str, Any] = field(default_factory=dict)
    """As the operator sent them: the responder takes them as they are."""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> "GatewaySettings":
        """Return the settings that the operator sent. Raises KeyError, TypeError or ValueError."""
        url = wire.get("upstreamProxy")
        return cls(
            reserved=tuple(str(ip_network(each)) for each in wire["reserved"]),
            resolvers=tuple(wire["resolvers"]),
            proxy=proxy_of(url) if url else None,
            proxy_authority=wire.get("upstreamProxyAuthority"),
            cluster_domain=wire.get("clusterDomain") or "cluster.local",
            wire={key: value for key, value in wire.items() if key != "kind"},
        )


def proxy_of(url: str) -> Proxy:
    """Return the proxy of a URL such as `http://user:password@proxy.example:3128`. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"upstreamProxy: {parts.scheme}://{parts.hostname} is no http:// or https:// address")
    is_tls = parts.scheme == "https"
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    port = parts.port or (443 if is_tls else 80)
    return Proxy(host=parts.hostname, port=port, is_tls=is_tls, credentials=credentials)


def collapsed(cidrs: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """Return the fewest networks that hold what `cidrs` hold, in order."""
    networks = [ip_network(each) for each in cidrs]
    four = collapse_addresses(each for each in networks if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in networks if isinstance(each, IPv6Network))
    return [*four, *six]
