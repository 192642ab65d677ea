"""The node's network namespace, the outside behind it, and the one link to the host."""

from collections.abc import Iterable
from pathlib import Path

from devcluster.cluster import Cluster
from devcluster.command import run

# Duplicate address detection would hold every new address back for a second.
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
}


def ensure_network(cluster: Cluster, outside_addresses: Iterable[str]) -> None:
    """Make the two namespaces and their links, and give the outside its addresses; leave alone what is there."""
    at = cluster.addresses
    node, outside = cluster.netns, cluster.outside_netns
    if not namespace_exists(node):
        run(["ip", "netns", "add", node])
    if not namespace_exists(outside):
        run(["ip", "netns", "add", outside])
    for namespace in (node, outside):
        _settle(namespace)
    _link_to_host(cluster)
    if not _has_link(outside, "eth0"):
        _ip(node, f"link add out0 type veth peer name eth0 netns {outside}")
    _addresses(node, "out0", (f"{at.exit[0]}/30", f"{at.exit[1]}/64"))
    _addresses(outside, "eth0", (f"{at.outside[0]}/30", f"{at.outside[1]}/64"))
    _addresses(outside, "lo", outside_addresses)
    for via, back, *inside in zip(at.outside, at.exit, at.pods, at.node, strict=True):
        _ip(node, f"route replace default via {via}")
        for network in inside:
            _ip(outside, f"route replace {network} via {back}")
        # Whatever else is called gets its answer at once, and does not go in circles.
        family = "-6 " if ":" in via else ""
        _ip(outside, f"{family}route replace unreachable default metric 1024")


def namespace_exists(name: str) -> bool:
    """True if there is a network namespace of that name."""
    return Path(f"/run/netns/{name}").exists()


def pids_in(namespace: str) -> list[int]:
    """Return the processes in the network namespace; none if it does not exist."""
    if not namespace_exists(namespace):
        return []
    return [int(pid) for pid in run(["ip", "netns", "pids", namespace], check=False).split() if pid.isdigit()]


def remove_network(cluster: Cluster) -> None:
    """Delete the namespaces; their links, routes and rules go with them."""
    # The kernel takes a namespace apart some time after its name is gone; the host's end should go now.
    run(["ip", "link", "delete", host_link(cluster)], check=False)
    for namespace in (cluster.netns, cluster.outside_netns):
        if namespace_exists(namespace):
            run(["ip", "netns", "delete", namespace])


def host_link(cluster: Cluster) -> str:
    """Return the name of the host's end of the link."""
    return f"rf-{cluster.name}"


def _link_to_host(cluster: Cluster) -> None:
    at = cluster.addresses
    if not _has_link(cluster.netns, "eth0"):
        run(["ip", "link", "add", host_link(cluster), "type", "veth", "peer", "name", "eth0", "netns", cluster.netns])
    _addresses(cluster.netns, "eth0", (f"{at.node[0]}/30", f"{at.node[1]}/64"))
    for address in (f"{at.host[0]}/30", f"{at.host[1]}/64"):
        nodad = ["nodad"] if ":" in address else []
        run(["ip", "address", "replace", address, "dev", host_link(cluster), *nodad])
    run(["ip", "link", "set", host_link(cluster), "up"])
    for network in (at.pods, at.services):
        for subnet, via in zip(network, at.node, strict=True):
            run(["ip", "route", "replace", subnet, "via", via, "dev", host_link(cluster)])


def _settle(namespace: str) -> None:
    _ip(namespace, "link set lo up")
    lines = "; ".join(f"echo {value} > /proc/sys/{key}" for key, value in SYSCTLS.items())
    run(["nsenter", f"--net=/run/netns/{namespace}", "--", "sh", "-ec", lines])


def _addresses(namespace: str, link: str, addresses: Iterable[str]) -> None:
    _ip(namespace, f"link set {link} up")
    for address in addresses:
        _ip(namespace, f"address replace {address} dev {link}" + (" nodad" if ":" in address else ""))


def _has_link(namespace: str, link: str) -> bool:
    return f": {link}@" in run(["ip", "-netns", namespace, "-oneline", "link"])


def _ip(namespace: str, command: str) -> None:
    run(["ip", "-netns", namespace, *command.split()])
