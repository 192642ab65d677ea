"""The four ways out, and that all of them are judged by the same list."""

from typing import Any

import pytest

from tests.e2e.escape.ways import http, proxied, tls, tunnel
from tests.e2e.world import World

WEB = {"allowedDomains": [{"name": "api.test"}, {"name": "*.wild.test"}, {"name": "files.test", "ports": [443, 8443]}]}

WAYS = [
    ("TLS by SNI", tls("api.test"), "203.0.113.11"),
    ("TLS by SNI, below a wildcard", tls("a.wild.test"), "203.0.113.13"),
    ("TLS by SNI, deep below a wildcard", tls("c.b.a.wild.test"), "203.0.113.13"),
    ("TLS by SNI on another port", tls("files.test", port=8443), "203.0.113.12"),
    ("HTTP by Host", http("api.test"), "203.0.113.11"),
    ("HTTP through the proxy", proxied("http://api.test/", "api.test"), "203.0.113.11"),
    ("CONNECT", tunnel("api.test:443"), "203.0.113.11"),
    ("CONNECT on another port", tunnel("files.test:8443"), "203.0.113.12"),
]
REFUSED = [
    ("TLS with another SNI", tls("api.test", sni="web.example"), "closed"),
    ("TLS by a wildcard's own name", tls("api.test", sni="wild.test"), "closed"),
    ("TLS on a port of another name", tls("files.test", port=8443, sni="api.test"), "closed"),
    ("a name that is not allowed", tls("web.example"), "gaierror"),
    ("HTTP with another Host", http("api.test", name="web.example"), 403),
    ("HTTP through the proxy to another name", proxied("http://web.example/", "web.example"), 403),
    ("CONNECT to another name", tunnel("web.example:443"), 403),
    ("CONNECT to another port", tunnel("api.test:8443"), 403),
    ("another SNI inside CONNECT", tunnel("api.test:443", sni="web.example"), "closed"),
]


def test_every_way_out_leads_to_the_allowed_names(world: World) -> None:
    policy = world.policy(network=WEB)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    found = agent.pod.script("fetch", [how for _, how, _ in WAYS], seconds=60)

    reached = {title: answer.get("server", answer) for (title, _, _), answer in zip(WAYS, found, strict=True)}
    assert reached == {title: address for title, _, address in WAYS}


def test_no_way_out_leads_anywhere_else(world: World) -> None:
    policy = world.policy(network=WEB)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    found = agent.pod.script("fetch", [how for _, how, _ in REFUSED], seconds=60)

    refused = {title: answer.get("refused", answer) for (title, _, _), answer in zip(REFUSED, found, strict=True)}
    assert refused == {title: why for title, _, why in REFUSED}


@pytest.mark.parametrize(
    "how", [http("api.test", name="web.example"), tunnel("web.example:443")], ids=["Host", "CONNECT"]
)
def test_a_refusal_names_the_policy_the_name_and_what_to_write(world: World, how: dict[str, Any]) -> None:
    policy = world.policy(network=WEB)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    (found,) = agent.pod.script("fetch", [how])

    assert f"SecurityPolicy {world.namespace}/{policy}" in found["body"]
    assert "web.example" in found["body"]
    assert "spec.network.allowedDomains" in found["body"]
