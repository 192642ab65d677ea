"""An agent's way out by name: the port set of its policy, as its pod is told of it."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.domains import uses_names
from ringfence_operator.resources.port_set import PROXY_PORT
from ringfence_operator.resources.reserved import PRIVATE

_ALWAYS_DIRECT = ("localhost", "127.0.0.1", "::1", ".svc")


@dataclass(frozen=True, slots=True)
class WayOut:
    """The port set's address, and what is reached without it; or a name server's alone, where others judge names."""

    address: str
    direct: tuple[str, ...] = ()
    has_proxy: bool = True
    searches: tuple[str, ...] = ()
    """Domains in which short names are looked for; the port set knows short names by itself."""

    def dns_config(self) -> dict[str, Any]:
        """Return the pod's dnsConfig."""
        searches = {"searches": list(self.searches)} if self.searches else {}
        return {"nameservers": [self.address], **searches}

    @property
    def proxy(self) -> str:
        """Address and port of the proxy."""
        host = f"[{self.address}]" if ip_address(self.address).version == 6 else self.address  # noqa: PLR2004
        return f"{host}:{PROXY_PORT}"

    def environment(self) -> list[dict[str, Any]]:
        """Return the variables that programs look for a proxy in, in both spellings."""
        if not self.has_proxy:
            return []
        proxy, direct = f"http://{self.proxy}", ",".join(self.direct)
        values = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": direct}
        spelt = values | {name.lower(): value for name, value in values.items()}
        return [{"name": name, "value": value} for name, value in spelt.items()]


def way_out(policy: SecurityPolicy, address: str, *, cluster_domain: str) -> WayOut:
    """Return the way out of agents under `policy`, whose port set has this address.

    Where the policy uses no names yet there is no proxy: it would only be asked for addresses, by programs that know no
    CIDR in NO_PROXY. Names that come later are found by DNS.
    """
    network = policy.spec.network
    direct = [*_ALWAYS_DIRECT, f".{cluster_domain}", *PRIVATE]
    for each in network.destinations:
        if each.service:
            namespace = each.service.namespace or policy.metadata.namespace
            direct += [f"{each.service.name}.{namespace}"]
            direct += [each.service.name] if namespace == policy.metadata.namespace else []
    direct += [each.cidr for each in network.cidrs]
    return WayOut(address, tuple(direct), has_proxy=uses_names(policy))


def cluster_dns(namespace: str, address: str, *, cluster_domain: str) -> WayOut:
    """Return the way out of agents in `namespace` that ask the cluster's DNS and then connect by themselves.

    ndots stays 1, so that a name with a dot is asked for as it is first: a refusal ends the search in some libraries.
    """
    searches = (f"{namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain)
    return WayOut(address, has_proxy=False, searches=searches)
