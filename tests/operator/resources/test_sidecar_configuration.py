"""What the operator hands over, read by the sidecar's own decoder."""

from typing import Any

import msgspec
import orjson
import pytest

from ringfence_operator.resources.observed import observe_service
from ringfence_operator.resources.sidecar_configuration import Bound, Proxy, Way, build_sidecar_configuration
from ringfence_sidecar.configuration import Configuration, Connector, decode
from ringfence_sidecar.connectors.rabbitmq.limits import Limits as BrokerLimits
from ringfence_sidecar.connectors.snowflake.settings import Limits as WarehouseLimits
from ringfence_sidecar.connectors.snowflake.settings import Settings, account_of
from tests.operator.resources.connectors import (
    ACCOUNT,
    IDENTITY,
    broker_service,
    make_connector,
    plugin,
    rabbitmq,
    snowflake,
)
from tests.operator.resources.objects import make_agent, make_policy

Raw = dict[str, Any]
PROXY = Proxy(host="10.96.1.1", port=3129, username="team/c", password="secret")
WAY = Way(block=7, service="p-00007", address="10.96.1.1", proxy=PROXY)
SERVICES = {("data", "rabbit"): observe_service(broker_service())}


def decoded(*bound: Bound, **more: Any) -> Configuration:
    return decode(orjson.dumps(build_sidecar_configuration(make_agent(), bound, **more)))


def only(spec: Raw, *, way: Way | None = WAY) -> Connector:
    (found,) = decoded(Bound(connector=make_connector(spec=spec), services=SERVICES, way=way)).connectors
    return found


def test_the_agent_and_its_connectors_are_told_in_the_order_of_their_names() -> None:
    found = decoded(Bound(connector=make_connector("b")), Bound(connector=make_connector("a")))

    assert (found.agent.namespace, found.agent.name, found.agent.uid) == ("team", "a", "agent-uid")
    assert found.agent.generation == make_agent().metadata.generation > 0
    assert [each.name for each in found.connectors] == ["a", "b"]
    assert found.redis is None


def test_a_warehouse_outside_is_reached_through_the_proxy_of_the_connectors_own() -> None:
    found = only(snowflake(role="READER"))

    (endpoint,) = found.endpoints
    assert (endpoint.host, endpoint.port, endpoint.address) == ("acme.snowflakecomputing.com", 443, "")
    assert endpoint.settings == {"account": "ACME-PROD", "warehouse": "WH"}
    assert found.settings == {"role": "READER", "database": "SALES", "schema": "PUBLIC", "warehouseUsage": False}
    assert found.proxy is not None
    assert (found.proxy.host, found.proxy.port, found.proxy.password) == ("10.96.1.1", 3129, "secret")


@pytest.mark.parametrize(("said", "rate"), [({"creditsPerHour": 4}, 4.0), ({}, 0.0)])
def test_what_a_warehouse_costs_is_handed_over_where_it_is_said(said: Raw, rate: float) -> None:
    (endpoint,) = only(snowflake(endpoints=[{**ACCOUNT, **said}])).endpoints

    assert account_of(endpoint).credits_per_hour == rate


def test_a_broker_inside_is_reached_at_its_services_address() -> None:
    (endpoint,) = only(rabbitmq(), way=None).endpoints

    assert (endpoint.host, endpoint.port, endpoint.address) == ("rabbit.data.svc", 5671, "10.96.0.9")
    assert endpoint.settings == {"virtualHost": "/"}


def test_a_broker_outside_is_reached_through_a_listener_of_its_own() -> None:
    outside = {"name": "east", "host": "mq.example.com", "priority": 2, "weight": 5, "virtualHost": "agents"}
    way = Way(block=7, service="p-00007", address="10.96.1.1", listeners={"east": ("10.96.1.1", 5673)})

    (endpoint,) = only(rabbitmq(endpoints=[outside]), way=way).endpoints

    assert (endpoint.host, endpoint.port, endpoint.address, endpoint.address_port) == (
        "mq.example.com",
        5671,
        "10.96.1.1",
        5673,
    )
    assert (endpoint.priority, endpoint.weight, endpoint.tls) == (2, 5, True)


@pytest.mark.parametrize(
    "spec",
    [snowflake(), rabbitmq(endpoints=[{"name": "x", "service": {"name": "gone", "port": 5672}}])],
    ids=["outside", "service"],
)
def test_an_endpoint_that_cannot_be_reached_is_left_out(spec: Raw) -> None:
    assert only(spec, way=None).endpoints == ()


@pytest.mark.parametrize(
    ("auth", "method", "files", "settings"),
    [
        (
            {"secretName": "s", "keyPair": {"user": "U", "passphrase": "pass"}},
            "keyPair",
            {"privateKey": "private-key.p8", "passphrase": "pass"},
            {"user": "U"},
        ),
        ({"secretName": "s", "password": {"user": "U"}}, "password", {"password": "password"}, {"user": "U"}),
        (
            {"secretName": "s", "programmaticAccessToken": {"user": "U", "token": "pat"}},
            "programmaticAccessToken",
            {"token": "pat"},
            {"user": "U"},
        ),
        (
            {
                "secretName": "s",
                "oauthClientCredentials": {
                    "clientId": "id",
                    "tokenUrl": "https://login.example.com/token",
                    "scopes": ["a", "b"],
                },
            },
            "oauthClientCredentials",
            {"clientSecret": "client-secret"},
            {"clientId": "id", "tokenUrl": "https://login.example.com/token", "scope": "a b"},
        ),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_method_names_the_files_of_the_secret(auth: Raw, method: str, files: Raw, settings: Raw) -> None:
    found = only(snowflake(auth=auth)).auth

    assert (found.method, found.files, found.settings) == (method, files, settings)
    assert found.directory == "/var/run/ringfence/connectors/c"


def test_a_workload_identity_names_the_token_and_no_secret() -> None:
    found = only(snowflake(auth=IDENTITY)).auth

    assert (found.method, found.directory, found.files) == (
        "workloadIdentity",
        "/var/run/ringfence/identity/c",
        {"token": "token"},
    )
    assert found.settings == {"user": "AGENTS", "audience": "snowflakecomputing.com"}


def test_what_snowflake_may_do_and_how_much_of_it_is_told_in_plain_numbers() -> None:
    permissions = {"statements": ["Select"], "tables": ["SALES.*.*"]}
    limits = {"rows": 10, "bytes": "1Mi", "statementTimeout": "90s", "timeout": "2m", "concurrency": 3}
    limits |= {"openResults": 2, "openResultTimeout": "1m"}

    found = only(snowflake(permissions=permissions, limits=limits, cache={"ttl": "1m", "staleIfError": "1h"}))

    assert found.permissions == {**permissions, "writableTables": []}, "without the list, what is read may be written"
    assert found.limits == {
        "rows": 10,
        "bytes": 1 << 20,
        "statementTimeoutSeconds": 90,
        "batchStatements": 20,
        "sampleRows": 10_000,
        "openResults": 2,
        "openResultSeconds": 60,
        "timeoutSeconds": 120,
        "concurrency": 3,
    }
    assert (found.cache.ttl_seconds, found.cache.stale_if_error_seconds, found.cache.max_entry_bytes) == (
        60,
        3600,
        1 << 20,
    )


def test_what_rabbitmq_may_do_and_how_much_of_it_is_told_in_plain_numbers() -> None:
    permissions = {"queues": [{"pattern": "orders.*", "verbs": ["Receive", "DeadLetters"]}]}

    found = only(rabbitmq(permissions=permissions, limits={"lease": "30s"}, healthCheck={"interval": "3s"}))

    assert found.permissions == permissions
    assert found.limits == {
        "timeoutSeconds": 60,
        "concurrency": 32,
        "prefetch": 32,
        "messageBytes": 1 << 20,
        "leaseSeconds": 30,
        "maxLeaseSeconds": 600,
        "leases": 256,
        "batch": 100,
        "subscriptions": 16,
    }
    assert (found.health_check.interval_seconds, found.health_check.timeout_seconds) == (3, 5)


def test_the_sidecar_reads_no_setting_that_nobody_tells_it() -> None:
    warehouse, broker = only(snowflake(role="READER")), only(rabbitmq(), way=None)

    for kind, told in (
        (Settings, warehouse.settings),
        (WarehouseLimits, warehouse.limits),
        (BrokerLimits, broker.limits),
    ):
        assert {field.encode_name for field in msgspec.structs.fields(kind)} <= told.keys()


def test_a_brokers_own_authority_is_a_file_of_the_secret() -> None:
    auth = {"secretName": "s", "password": {"user": "U"}, "authority": "ca.crt"}

    found = only(rabbitmq(auth=auth)).auth

    assert found.files == {"password": "password", "authority": "ca.crt"}
    assert found.settings == {"user": "U"}


def test_a_third_partys_kind_gets_its_settings_as_they_were_written() -> None:
    found = only(plugin(settings={"deep": {"er": [1, None]}}))

    assert found.kind == "echo"
    assert found.settings == {"deep": {"er": [1, None]}}
    assert found.auth.method == "none"


def test_the_policy_says_what_agents_may_keep() -> None:
    cache = {"eviction": "LFU", "localSize": "1Mi", "values": {"sharedAs": "crew", "maxTtl": "1h"}}

    found = decoded(policy=make_policy(cache=cache))

    assert (found.local_cache.eviction, found.local_cache.max_bytes) == ("LFU", 1 << 20)
    assert (found.values.shared_as, found.values.max_ttl_seconds, found.values.max_bytes) == ("crew", 3600, 1 << 20)


def test_the_shared_cache_is_told_with_its_credentials() -> None:
    redis = {"url": "redis://10.0.0.1:6379", "username": "u", "password": "p", "prefix": "rf:{team}:"}

    found = decoded(redis=redis).redis

    assert found is not None
    assert (found.url, found.username, found.prefix) == ("redis://10.0.0.1:6379", "u", "rf:{team}:")


def test_the_version_changes_with_anything_that_is_told_and_with_nothing_else() -> None:
    def version(**more: Any) -> str:
        bound = Bound(connector=make_connector(spec=snowflake(**more)), way=WAY)
        return str(build_sidecar_configuration(make_agent(), [bound])["version"])

    same, other = version(endpoints=[ACCOUNT]), version(endpoints=[{**ACCOUNT, "weight": 2}])

    assert version() == same != other


def test_a_proxys_password_shows_in_no_log() -> None:
    assert "secret" not in repr(WAY)
