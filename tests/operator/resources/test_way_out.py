from typing import Any

import pytest

from ringfence_operator.resources.container import build_container
from ringfence_operator.resources.pod import build_pod
from ringfence_operator.resources.way_out import WayOut, way_out
from ringfence_operator.settings import Settings
from tests.operator.resources.objects import effective_of, make_agent, make_policy

Raw = dict[str, Any]
ADDRESS = "10.96.0.9"
OUT = WayOut(ADDRESS, ("localhost", ".svc"))


def direct(**network: Any) -> tuple[str, ...]:
    return way_out(make_policy(network=network), ADDRESS, cluster_domain="cluster.local").direct


def test_programs_find_the_proxy_in_both_spellings() -> None:
    found = {each["name"]: each["value"] for each in OUT.environment()}

    assert found == {
        "HTTP_PROXY": "http://10.96.0.9:3128",
        "HTTPS_PROXY": "http://10.96.0.9:3128",
        "NO_PROXY": "localhost,.svc",
        "http_proxy": "http://10.96.0.9:3128",
        "https_proxy": "http://10.96.0.9:3128",
        "no_proxy": "localhost,.svc",
    }


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert WayOut("fd00::9", ()).environment()[0]["value"] == "http://[fd00::9]:3128"


def test_the_pods_own_and_the_clusters_names_go_direct() -> None:
    found = direct()

    assert {"localhost", "127.0.0.1", "::1", ".svc", ".cluster.local", "10.0.0.0/8"} <= set(found)


def test_what_the_policy_opens_besides_names_goes_direct() -> None:
    services = [{"service": {"name": "db"}}, {"service": {"name": "mq", "namespace": "data"}}]

    found = direct(destinations=services, cidrs=[{"cidr": "8.8.8.0/24"}])

    assert {"db", "db.team", "mq.data", "8.8.8.0/24"} <= set(found)
    assert "mq" not in found


def variables(way: WayOut | None, **spec: Any) -> dict[str, Any]:
    agent = make_agent(**spec)
    settings = Settings(minimum_isolation="None") if spec.get("isolation") == "None" else Settings()
    env = build_container(agent, effective_of(agent, settings=settings), way)["env"]
    assert len(env) == len({each["name"] for each in env})
    return {each["name"]: each.get("value") for each in env}


def test_a_variable_of_the_users_own_wins() -> None:
    found = variables(OUT, env=[{"name": "HTTP_PROXY", "value": "mine"}])

    assert found["HTTP_PROXY"] == "mine"
    assert found["HTTPS_PROXY"] == "http://10.96.0.9:3128"


@pytest.mark.parametrize(("way", "spec"), [(None, {}), (OUT, {"isolation": "None"})])
def test_without_a_way_out_or_isolation_nothing_is_set(way: WayOut | None, spec: Raw) -> None:
    assert "HTTP_PROXY" not in variables(way, **spec)


@pytest.mark.parametrize(("way", "server"), [(OUT, ADDRESS), (None, "127.0.0.1")])
def test_the_port_set_is_the_only_name_server(way: WayOut | None, server: str) -> None:
    agent = make_agent()

    pod = build_pod(agent, make_policy(), effective_of(agent), way_out=way)

    assert pod["spec"]["dnsPolicy"] == "None"
    assert pod["spec"]["dnsConfig"] == {"nameservers": [server]}
    assert pod["metadata"]["annotations"].get("ringfence.dev/gateway-address") == (ADDRESS if way else None)
