"""SecurityPolicies that the API server must refuse, one broken rule each."""

# A table reads best with a row to a line, however long.
# ruff: noqa: E501
# fmt: off

from tests.cluster.rows import Bad, Body

NOTHING_OPEN = "enabled: false closes the network: leave out allowedDomains, destinations, cidrs and ingress"
BLOCK = "write an address block, such as 10.1.0.0/16 or fd00::/64"
CANONICAL = "write the block's first address and its length in the shortest form"
INSIDE = "a block is not inside cidr"


def _network(**fields: object) -> Body:
    return {"network": fields}


def _destination(**fields: object) -> Body:
    return _network(destinations=[fields])


def _labels(labels: Body) -> Body:
    return _destination(podSelector={"matchLabels": labels})


def _expression(**fields: object) -> Body:
    return _destination(podSelector={"matchExpressions": [fields]})


def _ports(*ports: Body) -> Body:
    return _destination(podSelector={}, ports=list(ports))


def _cidr(cidr: str, *excepted: str) -> Body:
    return _network(cidrs=[{"cidr": cidr, **({"except": list(excepted)} if excepted else {})}])


def _source(**fields: object) -> Body:
    return _network(ingress=[{"from": [{key.rstrip("_"): value for key, value in fields.items()}]}])


def _domain(name: str, *ports: int) -> Body:
    return _network(allowedDomains=[{"name": name, **({"ports": list(ports)} if ports else {})}])


def _writable(path: str, **fields: object) -> Body:
    return {"fileSystem": {"writablePaths": [{"path": path, **fields}]}}


NETWORK = (
    Bad("closed network with a destination", _network(enabled=False, destinations=[{"podSelector": {}}]), "spec.network.enabled", NOTHING_OPEN),
    Bad("closed network with a block", _network(enabled=False, cidrs=[{"cidr": "10.0.0.0/8"}]), "spec.network.enabled", NOTHING_OPEN),
    Bad("closed network with a source", _network(enabled=False, ingress=[{"from": [{"podSelector": {}}]}]), "spec.network.enabled", NOTHING_OPEN),
    Bad("enabled is a string", _network(enabled="no"), "spec.network.enabled", "must be of type boolean"),
    Bad("destination without a selector", _destination(ports=[{"port": 80}]), "spec.network.destinations[0]", "write a service, or a namespaceSelector or a podSelector; an empty one, {}, selects all"),
    Bad("too many destinations", _network(destinations=[{"podSelector": {}}] * 33), "spec.network.destinations", "must have at most 32 items"),
    Bad("selector with a bad key", _labels({"a b": "x"}), "spec.network.destinations[0].podSelector.matchLabels", "write keys such as app or example.com/team"),
    Bad("selector with a bad value", _labels({"a": "x!"}), "spec.network.destinations[0].podSelector.matchLabels", "with a letter or digit at both ends"),
    Bad("In without values", _expression(key="a", operator="In"), "podSelector.matchExpressions[0]", "write at least one"),
    Bad("NotIn with no values", _expression(key="a", operator="NotIn", values=[]), "podSelector.matchExpressions[0]", "write at least one"),
    Bad("Exists with values", _expression(key="a", operator="Exists", values=["x"]), "podSelector.matchExpressions[0]", "leave values out"),
    Bad("unknown operator", _expression(key="a", operator="Gt", values=["1"]), "podSelector.matchExpressions[0].operator", 'supported values: "In", "NotIn"'),
    Bad("expression with a bad key", _expression(key="/a", operator="Exists"), "podSelector.matchExpressions[0].key", "write a key such as app or example.com/team"),
    Bad("expression with a bad value", _expression(key="a", operator="In", values=["-x"]), "podSelector.matchExpressions[0].values[0]", "should match"),
    Bad("port of zero", _ports({"port": 0}), "spec.network.destinations[0].ports[0].port", "should be greater than or equal to 1"),
    Bad("port by name", _ports({"port": "http"}), "spec.network.destinations[0].ports[0].port", "must be of type integer"),
    Bad("port without a number", _ports({"protocol": "UDP"}), "spec.network.destinations[0].ports[0].port", "Required value"),
    Bad("range that ends before it starts", _ports({"port": 90, "endPort": 80}), "spec.network.destinations[0].ports[0].endPort", "write an endPort that is at least port"),
    Bad("unknown protocol", _ports({"port": 1, "protocol": "ICMP"}), "spec.network.destinations[0].ports[0].protocol", 'supported values: "TCP", "UDP", "SCTP"'),
    Bad("no block at all", _network(cidrs=[{}]), "spec.network.cidrs[0].cidr", "Required value"),
    Bad("block that is none", _cidr("ten"), "spec.network.cidrs[0].cidr", BLOCK),
    Bad("address without a length", _cidr("10.0.0.1"), "spec.network.cidrs[0].cidr", BLOCK),
    Bad("length out of range", _cidr("10.0.0.0/33"), "spec.network.cidrs[0].cidr", BLOCK),
    Bad("leading zeros", _cidr("010.0.0.0/8"), "spec.network.cidrs[0].cidr", BLOCK),
    Bad("name in place of a block", _cidr("example.com"), "spec.network.cidrs[0].cidr", BLOCK),
    Bad("block with host bits", _cidr("10.0.0.1/8"), "spec.network.cidrs[0].cidr", CANONICAL),
    Bad("IPv6 block with host bits", _cidr("fd00::1/64"), "spec.network.cidrs[0].cidr", CANONICAL),
    Bad("IPv6 block in a longer form", _cidr("FD00:0::/64"), "spec.network.cidrs[0].cidr", CANONICAL),
    Bad("IPv4 in IPv6", _cidr("::ffff:10.0.0.0/104"), "spec.network.cidrs[0].cidr", BLOCK),
    Bad("exception outside the block", _cidr("10.0.0.0/8", "192.168.0.0/16"), "spec.network.cidrs[0].except", INSIDE),
    Bad("exception as large as the block", _cidr("10.0.0.0/8", "10.0.0.0/8"), "spec.network.cidrs[0].except", INSIDE),
    Bad("exception larger than the block", _cidr("10.0.0.0/16", "10.0.0.0/8"), "spec.network.cidrs[0].except", INSIDE),
    Bad("exception of the other family", _cidr("10.0.0.0/8", "fd00::/64"), "spec.network.cidrs[0].except", INSIDE),
    Bad("exception that is no block", _cidr("10.0.0.0/8", "10.1"), "spec.network.cidrs[0].except[0]", BLOCK),
    Bad("exception with host bits", _cidr("10.0.0.0/8", "10.1.1.1/16"), "spec.network.cidrs[0].except[0]", CANONICAL),
    Bad("ingress from nobody", _network(ingress=[{"from": []}]), "spec.network.ingress[0].from", "should have at least 1 items"),
    Bad("ingress without from", _network(ingress=[{"ports": [{"port": 80}]}]), "spec.network.ingress[0].from", "Required value"),
    Bad("source that says nothing", _source(), "spec.network.ingress[0].from[0]", "write either selectors or a cidr"),
    Bad("source that says both", _source(podSelector={}, cidr="10.0.0.0/8"), "spec.network.ingress[0].from[0]", "write either selectors or a cidr"),
    Bad("source with exceptions to a selector", _source(podSelector={}, except_=["10.0.0.0/8"]), "spec.network.ingress[0].from[0].except", "except takes blocks out of a cidr"),
    Bad("source with an exception outside", _source(cidr="10.0.0.0/8", except_=["11.0.0.0/16"]), "spec.network.ingress[0].from[0].except", INSIDE),
    Bad("source that is no block", _source(cidr="anywhere"), "spec.network.ingress[0].from[0].cidr", BLOCK),
)

ALLOWED = "spec.network.allowedDomains"
DOMAINS = (
    Bad("closed network with a domain", _network(enabled=False, allowedDomains=[{"name": "a.example"}]), "spec.network.enabled", NOTHING_OPEN),
    Bad("closed network in audit", _network(enabled=False, mode="Audit"), "spec.network.mode", "mode: Audit opens it: write one of them"),
    Bad("unknown mode", _network(mode="Off"), "spec.network.mode", 'supported values: "Enforce", "Audit"'),
    Bad("domain as a string", _network(allowedDomains=["example.com"]), f"{ALLOWED}[0]", "must be of type object"),
    Bad("domain without a name", _network(allowedDomains=[{"ports": [443]}]), f"{ALLOWED}[0].name", "Required value"),
    Bad("domain in capitals", _domain("API.Example.com"), f"{ALLOWED}[0].name", "write it in lower case: api.example.com"),
    Bad("domain with a final dot", _domain("api.example.com."), f"{ALLOWED}[0].name", "write it without the dot at its end: api.example.com"),
    Bad("IPv4 address as a domain", _domain("203.0.113.10"), f"{ALLOWED}[0].name", "an address has no name to check: write it under network.cidrs"),
    Bad("IPv6 address as a domain", _domain("2001:db8::1"), f"{ALLOWED}[0].name", "write it under network.cidrs"),
    Bad("decimal address as a domain", _domain("3405803786"), f"{ALLOWED}[0].name", "write it under network.cidrs"),
    Bad("hexadecimal address as a domain", _domain("0xcb.0x0.0x71.0xa"), f"{ALLOWED}[0].name", "write letters a-z"),
    Bad("wildcard in the middle", _domain("api.*.example.com"), f"{ALLOWED}[0].name", "write *.example.com"),
    Bad("wildcard in a label", _domain("*api.example.com"), f"{ALLOWED}[0].name", "a wildcard stands first and for whole labels"),
    Bad("wildcard at the end", _domain("example.*"), f"{ALLOWED}[0].name", "a wildcard stands first"),
    Bad("two wildcards", _domain("*.*.example.com"), f"{ALLOWED}[0].name", "a wildcard stands first"),
    Bad("wildcard alone", _domain("*"), f"{ALLOWED}[0].name", "to learn which names are asked for, write mode: Audit"),
    Bad("URL as a domain", _domain("https://example.com/x"), f"{ALLOWED}[0].name", "write the name alone, without scheme and path"),
    Bad("port in the name", _domain("example.com:8443"), f"{ALLOWED}[0].name", "write the port under ports"),
    Bad("single label", _domain("localhost"), f"{ALLOWED}[0].name", "write the whole name"),
    Bad("name of the cluster", _domain("db.data.svc.cluster.local"), f"{ALLOWED}[0].name", "write network.destinations with service"),
    Bad("short name of the cluster", _domain("db.data.svc"), f"{ALLOWED}[0].name", "write network.destinations with service"),
    Bad("wildcard over the cluster", _domain("*.cluster.local"), f"{ALLOWED}[0].name", "write network.destinations with service"),
    Bad("name with an underscore", _domain("a_b.example.com"), f"{ALLOWED}[0].name", "write letters a-z"),
    Bad("name in other letters", _domain("b\u00fccher.example"), f"{ALLOWED}[0].name", "other letters in their xn-- form"),
    Bad("empty label", _domain("a..example.com"), f"{ALLOWED}[0].name", "write letters a-z"),
    Bad("label too long", _domain("a" * 64 + ".example.com"), f"{ALLOWED}[0].name", "write letters a-z"),
    Bad("domain too long", _domain("a." * 126 + "example"), f"{ALLOWED}[0].name", "may not be more than 253"),
    Bad("empty domain", _domain(""), f"{ALLOWED}[0].name", "should be at least 1 chars long"),
    Bad("top-level domain of digits", _domain("example.123"), f"{ALLOWED}[0].name", "write letters a-z"),
    Bad("domain twice", _network(allowedDomains=[{"name": "a.example"}, {"name": "a.example"}]), f"{ALLOWED}[1]", "Duplicate value"),
    Bad("too many domains", _network(allowedDomains=[{"name": f"n{n}.example"} for n in range(513)]), ALLOWED, "must have at most 512 items"),
    Bad("port that says no name", _domain("git.example.com", 22), f"{ALLOWED}[0].ports", "nothing says the name, so it cannot be checked"),
    Bad("port of SMTP that begins without TLS", _domain("mail.example.com", 465, 587), f"{ALLOWED}[0].ports", "cannot be checked"),
    Bad("port of MySQL", _domain("db.example.com", 3306), f"{ALLOWED}[0].ports", "cannot be checked"),
    Bad("port of XMPP", _domain("chat.example.com", 5222), f"{ALLOWED}[0].ports", "cannot be checked"),
    Bad("DNS as a port", _domain("dns.example.com", 443, 53), f"{ALLOWED}[0].ports", "cannot be checked"),
    Bad("port of a domain out of range", _domain("a.example.com", 65536), f"{ALLOWED}[0].ports[0]", "should be less than or equal to 65535"),
    Bad("too many ports of a domain", _domain("a.example.com", *range(9000, 9009)), f"{ALLOWED}[0].ports", "must have at most 8 items"),
    Bad("block in capitals", _network(blockedDomains=[{"name": "A.example"}]), "spec.network.blockedDomains[0].name", "write it in lower case: a.example"),
    Bad("block of an address", _network(blockedDomains=[{"name": "10.0.0.1"}]), "spec.network.blockedDomains[0].name", "write it under network.cidrs"),
    Bad("too many blocks", _network(blockedDomains=[{"name": f"n{n}.example"} for n in range(513)]), "spec.network.blockedDomains", "must have at most 512 items"),
    Bad("service with a selector", _destination(service={"name": "db"}, podSelector={}), "spec.network.destinations[0]", "a service says which pods and ports"),
    Bad("service with ports", _destination(service={"name": "db"}, ports=[{"port": 80}]), "spec.network.destinations[0]", "a service says which pods and ports"),
    Bad("service without a name", _destination(service={"namespace": "data"}), "spec.network.destinations[0].service.name", "Required value"),
    Bad("service by its whole name", _destination(service={"name": "db.data.svc"}), "spec.network.destinations[0].service.name", "write lower-case letters, digits and -"),
)

HOST = (
    Bad("writable path that is relative", _writable("tmp"), "spec.fileSystem.writablePaths[0].path", "write an absolute path"),
    Bad("writable root", _writable("/"), "spec.fileSystem.writablePaths[0].path", "belong to the container"),
    Bad("writable path in /sys", _writable("/sys/kernel"), "spec.fileSystem.writablePaths[0].path", "belong to the container"),
    Bad("writable path with ..", _writable("/tmp/../proc"), "spec.fileSystem.writablePaths[0].path", "write a plain absolute path"),
    Bad("writable path without end", _writable("/tmp", size="0"), "spec.fileSystem.writablePaths[0].size", "write a quantity above zero"),
    Bad("writable path of a size that is none", _writable("/tmp", size="much"), "spec.fileSystem.writablePaths[0].size", "write a quantity above zero"),
    Bad("writable path twice", {"fileSystem": {"writablePaths": [{"path": "/a"}, {"path": "/a"}]}}, "spec.fileSystem.writablePaths[1]", "Duplicate value"),
    Bad("too many writable paths", {"fileSystem": {"writablePaths": [{"path": f"/p{n}"} for n in range(17)]}}, "spec.fileSystem.writablePaths", "must have at most 16 items"),
    Bad("deadline of zero", {"maxExecutionTime": "0h"}, "spec.maxExecutionTime", "write a duration above zero"),
    Bad("deadline that is empty", {"maxExecutionTime": ""}, "spec.maxExecutionTime", "should be at least 2 chars long"),
    Bad("runtime class in capitals", {"runtimeClassName": "gVisor"}, "spec.runtimeClassName", "write the object's name"),
    Bad("no seccomp at all", {"seccompProfile": {"type": "Unconfined"}}, "spec.seccompProfile.type", 'supported values: "RuntimeDefault", "Localhost"'),
    Bad("profile of the node without a path", {"seccompProfile": {"type": "Localhost"}}, "spec.seccompProfile", "write localhostProfile with type Localhost, and only then"),
    Bad("runtime's profile with a path", {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "a.json"}}, "spec.seccompProfile", "and only then"),
    Bad("profile with an absolute path", {"seccompProfile": {"type": "Localhost", "localhostProfile": "/etc/passwd"}}, "spec.seccompProfile.localhostProfile", "write a path below the kubelet's seccomp directory"),
    Bad("profile path with ..", {"seccompProfile": {"type": "Localhost", "localhostProfile": "../a.json"}}, "spec.seccompProfile.localhostProfile", "write a path below"),
    Bad("values shared under no name", {"cache": {"values": {"sharedAs": "My Crew"}}}, "spec.cache.values.sharedAs", "write lower-case letters, digits and -, such as my-team"),
    Bad("unknown eviction", {"cache": {"eviction": "FIFO"}}, "spec.cache.eviction", 'supported values: "LRU", "LFU", "TTL"'),
    Bad("name with a dot", {}, "SecurityPolicy", "pods carry the name as a label: write metadata.name", name="a.b"),
    Bad("name too long", {}, "SecurityPolicy", "pods carry the name as a label: write metadata.name", name="a" * 64),
)

BAD_POLICIES = (*NETWORK, *DOMAINS, *HOST)
