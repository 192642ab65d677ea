"""What stands for the Internet in tests: names, the addresses behind them, and the program that serves both."""

import json
from dataclasses import dataclass
from ipaddress import ip_network

from devcluster.binaries import binary
from devcluster.cluster import Cluster
from devcluster.file import write
from devcluster.outside_sites import write_git_repository, write_package_index
from devcluster.process import Process

# Addresses that are reserved for documentation (RFC 5737, RFC 3849), eleven of each.
PUBLIC = tuple(f"{network}{host}" for network in ("203.0.113.", "198.51.100.", "2001:db8::") for host in range(10, 21))
RESOLVERS = ("203.0.113.53", "2001:db8::53", "198.51.100.53")
# Addresses that no name of the Internet should lead to. Something answers there, or a test of that could not fail.
PRIVATE = ("169.254.169.254", "fd00:ec2::254", "10.66.0.1", "192.168.66.1", "100.64.66.1", "fd66::1")
ADDRESSES = (*PUBLIC, *RESOLVERS, *PRIVATE)

GULLIBLE = "198.51.100.13"
"""Where a server answers plain HTTP that takes for a request whatever some server could take for one."""
TCP_PORTS = (80, 443, 853, 8080, 8443)
UDP_PORTS = (443, 8080)
TTL = 60


@dataclass(frozen=True)
class Name:
    """The records of a name; of several answers, each query of a type gets the next."""

    answers: tuple[tuple[str, ...], ...] = ()
    alias: str = ""
    text: str = ""
    ttl: int = TTL

    def to_json(self) -> dict[str, object]:
        """Return what the server reads."""
        return {"answers": self.answers, "alias": self.alias, "text": self.text, "ttl": self.ttl}


def names(cluster: Cluster) -> dict[str, Name]:
    """Return every name there is; one that begins with `*.` stands for all below, at every depth."""
    return {**_public(), **_private(cluster), **_mixed()}


def outside_addresses() -> list[str]:
    """Return the addresses with the length of their prefix."""
    return [f"{address}/{128 if ':' in address else 32}" for address in ADDRESSES]


def outside(cluster: Cluster) -> Process:
    """Write what there is outside and return the process that serves it."""
    sites = {"git.test": cluster.state / "outside/git", "pypi.test": cluster.state / "outside/pypi"}
    write_git_repository(sites["git.test"] / "sample.git")
    write_package_index(sites["pypi.test"])
    said = {
        "names": {name: records.to_json() for name, records in names(cluster).items()},
        "addresses": ADDRESSES,
        "resolvers": RESOLVERS,
        "tcpPorts": TCP_PORTS,
        "udpPorts": UDP_PORTS,
        "gullible": [GULLIBLE],
        "sites": {host: str(directory) for host, directory in sites.items()},
        "certificate": str(cluster.outside_ca),
        "key": str(cluster.outside_ca.with_suffix(".key")),
        "queryLog": str(cluster.query_log),
        "connectionLog": str(cluster.connection_log),
    }
    config = cluster.state / "outside.json"
    write(config, json.dumps(said, indent=1))
    cluster.logs.mkdir(parents=True, exist_ok=True)
    argv = [str(binary("outside")), f"--config={config}"]
    return Process("outside", argv, cluster.outside_netns, files=(config,))


def _at(*addresses: str, ttl: int = TTL) -> Name:
    return Name((addresses,), ttl=ttl)


def _public() -> dict[str, Name]:
    return {
        "api.test": _at("203.0.113.11"),
        "files.test": _at("203.0.113.12"),
        "api.example": _at("198.51.100.11"),
        "web.example": _at("198.51.100.12"),
        "shop.cdn.test": _at("203.0.113.20"),
        "neighbour.cdn.test": _at("203.0.113.20"),
        "shop.odd.test": _at(GULLIBLE),
        "neighbour.odd.test": _at(GULLIBLE),
        "wild.test": _at("203.0.113.13"),
        "*.wild.test": _at("203.0.113.13"),
        "many.test": _at("203.0.113.14", "203.0.113.15", "198.51.100.14"),
        "dual.test": _at("203.0.113.16", "2001:db8::16"),
        "v6.test": _at("2001:db8::12"),
        "alias.test": Name(alias="api.test"),
        "short.test": _at("203.0.113.17", ttl=1),
        "moving.test": Name((("203.0.113.17",), ("203.0.113.18",)), ttl=1),
        "xn--bcher-kva.test": _at("198.51.100.16"),
        "xn--pi-6kc.test": _at("198.51.100.20"),
        "git.test": _at("198.51.100.17"),
        "pypi.test": _at("198.51.100.18"),
        "dns.test": _at("203.0.113.53", "2001:db8::53"),
        "doh.test": _at("198.51.100.19"),
        "tunnel.test": Name((("198.51.100.15",),), text="carried out"),
        "*.tunnel.test": Name((("198.51.100.15",),), text="carried out"),
        "down.test": _at("192.0.2.1"),
    }


def _private(cluster: Cluster) -> dict[str, Name]:
    at = cluster.addresses
    pods = [str(ip_network(network)[-6]) for network in at.pods]
    found = {
        "metadata": "169.254.169.254",
        "metadata6": "fd00:ec2::254",
        "loopback": "127.0.0.1",
        "loopback6": "::1",
        "zero": "0.0.0.0",
        "api-server": at.api_service,
        "dns-service": at.dns_service[0],
        "node": at.node[0],
        "node6": at.node[1],
        "pod": pods[0],
        "pod6": pods[1],
        "ten": "10.66.0.1",
        "home": "192.168.66.1",
        "shared": "100.64.66.1",
        "local6": "fd66::1",
        "link6": "fe80::1",
        "mapped": "::ffff:10.66.0.1",
        "mapped-loopback": "::ffff:127.0.0.1",
        "translated": "64:ff9b::a42:1",
    }
    return {
        **{f"{name}.inside.test": _at(address) for name, address in found.items()},
        "alias.inside.test": Name(alias="ten.inside.test"),
    }


def _mixed() -> dict[str, Name]:
    return {
        "public-first.mixed.test": _at("203.0.113.19", "10.66.0.1"),
        "private-first.mixed.test": _at("10.66.0.1", "203.0.113.19"),
        "public-first6.mixed.test": _at("2001:db8::19", "fd66::1"),
        "private-first6.mixed.test": _at("fd66::1", "2001:db8::19"),
        "families.mixed.test": _at("203.0.113.19", "fd66::1"),
        "*.flip.test": Name((("203.0.113.19",), ("10.66.0.1",)), ttl=0),
        "*.metadata.flip.test": Name((("203.0.113.19",), ("169.254.169.254",)), ttl=0),
        "*.flip6.test": Name((("2001:db8::19",), ("fd66::1",)), ttl=0),
    }
