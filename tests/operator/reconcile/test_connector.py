from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from ringfence_operator.api.connector import Connector
from ringfence_operator.reconcile.connector import (
    FIGURES_SECONDS,
    UNKNOWN_SECONDS,
    ConnectorTools,
    reconcile_connector,
    remove_connector,
)
from ringfence_operator.reconcile.gateway import Force
from ringfence_operator.reconcile.issuer import Issuer
from ringfence_operator.reconcile.sidecars import ConnectorHealth, EndpointHealth
from ringfence_operator.settings import Settings
from tests.operator.reconcile.fake_sidecars import FakeSidecars, FakeWays
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.connectors import (
    IDENTITY,
    broker_service,
    connector_body,
    rabbitmq,
    snowflake,
)
from tests.operator.resources.objects import NOW, agent_body

Raw = dict[str, Any]
USES = [{"name": "c"}]
WELL = EndpointHealth(healthy=3, latency_ms=12.4)
ILL = EndpointHealth(unhealthy=3, reason="BackendLost", message="connection refused")


class Connected(Cluster):
    """A cluster with a leader that looks after the connectors; its clock stands unless a test moves it."""

    def __init__(self, settings: Settings | None = None, *, has_gateway: bool = True) -> None:
        super().__init__(settings)
        self.now: datetime = NOW
        self.sidecars = FakeSidecars()
        self.ways = FakeWays()
        self.networks.sidecars.ways = self.ways if has_gateway else None
        self.tools = ConnectorTools(self.view, self.api, self.networks, Issuer(self.api), self.sidecars)

    def have_connector(self, spec: Raw | None = None, *, agents: int = 1, **changes: Any) -> None:
        self.have("connectors", connector_body(spec=spec, **changes))
        self.have("services", broker_service())
        for number in range(agents):
            self.have("agents", agent_body(f"a{number}", connectors=USES))

    def connector(self) -> Connector:
        found = self.view.connectors.get("team", "c")
        assert found is not None
        return found

    def report(self, cache: bool | None = None, evicts: str = "", **endpoints: EndpointHealth) -> None:
        self.sidecars.reports["team", "c"] = ConnectorHealth(
            endpoints=endpoints, cache_reachable=cache, cache_evicts=evicts
        )

    async def reconcile(self) -> float | None:
        return await reconcile_connector(self.connector(), self.tools, now=self.now)

    async def settle(self) -> None:
        """Let the passes that it asks for happen."""
        for _ in range(5):
            again = await self.reconcile()
            if again is None:
                return
            self.now += timedelta(seconds=again)

    @property
    def status(self) -> Raw:
        return self.api.objects["connectors", "team", "c"]["status"]  # type: ignore[no-any-return]

    def condition(self, kind: str = "Ready") -> Sequence[str] | None:
        found = [each for each in self.status["conditions"] if each["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else None


@pytest.fixture
def cluster() -> Connected:
    return Connected()


async def test_a_connector_is_in_force_after_two_writes_and_none_after_that(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(main=WELL)

    await cluster.reconcile()
    first = list(cluster.api.writes)
    await cluster.settle()

    assert first == cluster.api.writes == ["create networkpolicies", "replace connectors/status"]
    assert cluster.names == ["ringfence-connector-c"]
    assert cluster.condition() == ("True", "EndpointsHealthy")
    assert kstatus(1, cluster.status) == "Current"
    assert cluster.status["kind"] == "rabbitmq"
    assert cluster.status["agents"] == 1
    assert cluster.status["healthyEndpoints"] == "1/1"
    assert cluster.status["endpoints"] == [
        {"name": "main", "healthy": 3, "unhealthy": 0, "latencyMs": 12, "reason": "", "message": ""}
    ]


async def test_a_connector_that_nobody_uses_is_ready_and_says_so(cluster: Connected) -> None:
    cluster.have_connector(agents=0)

    await cluster.reconcile()

    assert cluster.condition() == ("True", "NoAgents")


async def test_agents_that_its_selector_does_not_match_are_not_counted(cluster: Connected) -> None:
    cluster.have_connector(selector={"matchLabels": {"tier": "gold"}}, agents=2)
    body = agent_body("gold", connectors=USES)
    body["metadata"]["labels"] = {"tier": "gold"}
    cluster.have("agents", body)
    cluster.report(main=WELL)

    await cluster.reconcile()

    assert cluster.status["agents"] == 1


async def test_health_is_unknown_once_no_sidecar_has_reported_for_long(cluster: Connected) -> None:
    cluster.have_connector()

    again = await cluster.reconcile()
    before = list(cluster.api.writes)
    await cluster.settle()

    assert again == 30
    assert before == ["create networkpolicies"]
    assert cluster.condition() == ("Unknown", "HealthUnknown")
    assert kstatus(1, cluster.status) == "InProgress"


async def test_a_new_leader_that_has_heard_of_no_sidecar_writes_nothing(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(main=WELL)
    await cluster.settle()
    before = list(cluster.api.writes)
    cluster.tools = ConnectorTools(cluster.view, cluster.api, cluster.networks, Issuer(cluster.api), cluster.sidecars)

    cluster.sidecars.reports.clear()
    await cluster.reconcile()
    cluster.report(main=EndpointHealth(healthy=1, latency_ms=12))
    await cluster.reconcile()
    cluster.report(main=WELL)
    await cluster.settle()

    assert cluster.api.writes == before


async def test_an_endpoint_that_no_sidecar_reaches_is_told_with_why(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(main=ILL)

    await cluster.reconcile()

    assert cluster.condition() == ("False", "EndpointsUnhealthy")
    assert cluster.status["endpoints"][0]["reason"] == "BackendLost"
    assert "main: BackendLost: connection refused" in cluster.status["conditions"][0]["message"]
    events = [raw for (plural, *_), raw in cluster.api.objects.items() if plural == "events"]
    assert [(each["reason"], each["involvedObject"]["kind"]) for each in events] == [
        ("EndpointsUnhealthy", "Connector")
    ]


async def test_a_connector_that_stays_out_of_reach_is_waited_for_no_longer_than_a_deployment(
    cluster: Connected,
) -> None:
    cluster.have_connector()
    cluster.report(main=ILL)

    again = await cluster.reconcile()
    at_first = kstatus(1, cluster.status)
    cluster.now += timedelta(minutes=4)
    sooner = await cluster.reconcile()
    cluster.now += timedelta(minutes=6)
    await cluster.reconcile()
    writes = len(cluster.api.writes)
    after = await cluster.reconcile()

    assert (again, sooner, after) == (600, 360, None)
    assert (at_first, kstatus(1, cluster.status)) == ("InProgress", "Failed")
    assert cluster.condition() == cluster.condition("Ready") == ("False", "EndpointsUnhealthy")
    assert cluster.condition("Stalled") == ("True", "EndpointsUnhealthy")
    assert cluster.condition("Reconciling") is None
    assert len(cluster.api.writes) == writes


async def test_a_connector_that_is_reached_again_is_current_and_has_its_time_anew(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(main=ILL)
    await cluster.reconcile()
    cluster.now += timedelta(minutes=11)
    await cluster.reconcile()

    cluster.report(main=WELL)
    await cluster.reconcile()
    back = kstatus(1, cluster.status)
    cluster.report(main=ILL)
    await cluster.reconcile()

    assert (back, kstatus(1, cluster.status)) == ("Current", "InProgress")


async def test_a_connector_out_of_reach_stays_failed_under_another_leader_and_has_its_time_for_another_spec(
    cluster: Connected,
) -> None:
    cluster.have_connector()
    cluster.report(main=ILL)
    await cluster.reconcile()
    cluster.now += timedelta(minutes=11)
    await cluster.reconcile()

    cluster.tools = ConnectorTools(cluster.view, cluster.api, cluster.networks, Issuer(cluster.api), cluster.sidecars)
    writes = len(cluster.api.writes)
    await cluster.reconcile()
    under_another = len(cluster.api.writes) - writes
    cluster.change("connectors", "c", agentSelector={"matchLabels": {}})
    await cluster.reconcile()

    assert under_another == 0
    assert kstatus(2, cluster.status) == "InProgress"


async def test_one_of_two_endpoints_is_enough_to_be_ready(cluster: Connected) -> None:
    second = {"name": "second", "service": {"name": "rabbit", "namespace": "data", "port": 5671}}
    main = {"name": "main", "service": {"name": "rabbit", "namespace": "data", "port": 5671}}
    cluster.have_connector(rabbitmq(endpoints=[main, second]))
    cluster.report(main=ILL, second=WELL)

    await cluster.reconcile()

    assert cluster.condition() == ("True", "SomeEndpointsUnhealthy")
    assert cluster.status["healthyEndpoints"] == "1/2"


async def test_figures_alone_are_told_every_now_and_then_and_small_changes_not_at_all(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(main=WELL)
    await cluster.reconcile()
    before = len(cluster.api.writes)

    cluster.report(main=EndpointHealth(healthy=3, latency_ms=14))
    small = await cluster.reconcile()
    cluster.report(main=EndpointHealth(healthy=4, latency_ms=90))
    large = await cluster.reconcile()
    at_once = len(cluster.api.writes)
    cluster.now += timedelta(seconds=FIGURES_SECONDS)
    await cluster.reconcile()

    assert (small, large) == (None, FIGURES_SECONDS)
    assert (at_once, len(cluster.api.writes)) == (before, before + 1)
    assert cluster.status["endpoints"][0]["latencyMs"] == 90


async def test_a_backends_other_wording_of_the_same_is_no_news(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(main=ILL)
    await cluster.reconcile()
    before = list(cluster.api.writes)

    cluster.report(main=EndpointHealth(unhealthy=3, reason="BackendLost", message="refused after 1.2 s"))

    await cluster.reconcile()
    assert cluster.api.writes == before


async def test_a_redis_that_a_sidecar_does_not_reach_is_told(cluster: Connected) -> None:
    cluster.have_connector()
    cluster.report(cache=False, main=WELL)
    await cluster.reconcile()
    away = cluster.condition("CacheReachable")
    cluster.report(cache=True, main=WELL)
    await cluster.reconcile()
    back = cluster.condition("CacheReachable")
    cluster.report(main=WELL)
    await cluster.reconcile()

    assert away == ("False", "RedisUnreachable")
    assert back == ("True", "RedisReached")
    assert cluster.condition("CacheReachable") is None


@pytest.mark.parametrize(
    ("reachable", "told"), [(True, ("True", "RedisEvicts")), (False, ("False", "RedisUnreachable"))]
)
async def test_a_redis_that_may_throw_counters_away_is_told_with_what_to_set(
    cluster: Connected, reachable: bool, told: tuple[str, str]
) -> None:
    cluster.have_connector()
    cluster.report(cache=reachable, evicts="allkeys-lru", main=WELL)

    await cluster.reconcile()

    assert cluster.condition("CacheReachable") == told
    assert not reachable or "maxmemory-policy is allkeys-lru; set volatile-lru" in str(cluster.status["conditions"])


@pytest.mark.parametrize(
    ("missing", "told"), [("rabbit", ("False", "SecretNotFound")), ("other", ("Unknown", "HealthUnknown"))]
)
async def test_a_secret_that_an_agent_waits_for_is_told_with_its_keys_until_a_sidecar_reports(
    cluster: Connected, missing: str, told: tuple[str, str]
) -> None:
    message = f'MountVolume.SetUp failed for volume "connector-0" : secret "{missing}" not found'
    waiting = {"type": "Ready", "status": "False", "reason": "ConfigNotFound", "message": message}
    cluster.have_connector(agents=0)
    cluster.have("agents", {**agent_body("a0", connectors=USES), "status": {"conditions": [waiting]}})

    await cluster.reconcile()
    cluster.now += timedelta(seconds=UNKNOWN_SECONDS)
    again = await cluster.reconcile()
    said, words = cluster.condition(), cluster.status["conditions"][0]["message"]
    cluster.report(main=WELL)
    await cluster.reconcile()

    assert said == told
    assert ("Secret rabbit does not exist" in words and "create it with password" in words) == (missing == "rabbit")
    assert again == (UNKNOWN_SECONDS if missing == "other" else None)
    assert cluster.condition() == ("True", "EndpointsHealthy")


async def test_a_service_that_is_not_there_is_told(cluster: Connected) -> None:
    cluster.have("connectors", connector_body())

    await cluster.reconcile()

    assert cluster.condition() == ("False", "ServiceNotFound")
    assert "Service data/rabbit does not exist" in cluster.status["conditions"][0]["message"]
    assert "egress" not in cluster.spec_of("ringfence-connector-c")


async def test_a_service_of_the_operators_namespace_is_never_opened() -> None:
    cluster = Connected(Settings(egress_backend="none", namespace="data"))
    cluster.have_connector()

    await cluster.reconcile()

    assert cluster.condition() == ("False", "ServiceNotFound")
    assert "egress" not in cluster.spec_of("ringfence-connector-c")


async def test_a_host_outside_has_a_port_set_which_the_status_names(cluster: Connected) -> None:
    cluster.have_connector(snowflake())
    cluster.report(main=WELL)

    await cluster.reconcile()

    assert cluster.status["gateway"] == {"service": "p-00000", "address": "10.96.1.1"}
    assert cluster.spec_of("ringfence-connector-c")["egress"][0]["ports"][1]["endPort"] == 10015


async def test_a_port_set_on_its_way_to_the_gateway_is_waited_for(cluster: Connected) -> None:
    cluster.have_connector(snowflake())
    cluster.report(main=WELL)
    cluster.ways.force = Force.PENDING

    again = await cluster.reconcile()
    at_once = "replace connectors/status" in cluster.api.writes
    cluster.now += timedelta(seconds=10)
    await cluster.reconcile()

    assert (again, at_once) == (10, False)
    assert cluster.condition() == ("False", "GatewayPending")


async def test_a_host_outside_without_a_gateway_is_refused() -> None:
    cluster = Connected(has_gateway=False)
    cluster.have_connector(snowflake())

    await cluster.reconcile()

    assert cluster.condition() == ("False", "NoGateway")
    assert cluster.condition("Stalled") == ("True", "NoGateway")
    assert "egress" not in cluster.spec_of("ringfence-connector-c")


async def test_under_cilium_a_host_outside_is_refused() -> None:
    cluster = Connected(Settings(egress_backend="cilium"), has_gateway=False)
    cluster.have_connector(snowflake())

    await cluster.reconcile()

    assert cluster.condition() == ("False", "NotSupportedByBackend")


async def test_where_every_port_set_is_in_use_it_is_tried_again(cluster: Connected) -> None:
    cluster.have_connector(snowflake())
    cluster.ways.is_full = True

    again = await cluster.reconcile()

    assert again == 30
    assert cluster.condition() == ("False", "NoPortSet")


async def test_a_workload_identity_is_told_with_the_statement_that_makes_its_user(cluster: Connected) -> None:
    cluster.have_connector(snowflake(auth=IDENTITY), agents=0)
    cluster.api.issuer = "https://oidc.example.com/id/1"

    await cluster.reconcile()

    found = cluster.status["workloadIdentity"]
    assert found["issuer"] == "https://oidc.example.com/id/1"
    assert found["subject"] == "system:serviceaccount:team:default"
    assert found["createUser"] == (
        "CREATE USER AGENTS TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'https://oidc.example.com/id/1' "
        "SUBJECT = 'system:serviceaccount:team:default' OIDC_AUDIENCE_LIST = ('snowflakecomputing.com'));"
    )


async def test_the_issuer_is_asked_for_once_an_hour_and_sooner_where_it_was_not_told(cluster: Connected) -> None:
    cluster.have_connector(snowflake(auth=IDENTITY), agents=0)
    for _ in range(2):
        await cluster.reconcile()
    unknown = len(cluster.api.reads), cluster.status.get("workloadIdentity")
    cluster.api.issuer = "https://oidc.example.com"
    cluster.now += timedelta(seconds=31)
    for _ in range(2):
        await cluster.reconcile()

    assert unknown == (1, None)
    assert len(cluster.api.reads) == 2
    assert cluster.status["workloadIdentity"]["issuer"] == "https://oidc.example.com"


@pytest.mark.parametrize(
    ("user", "written"), [("AGENTS", "AGENTS"), ("a@b.example", '"a@b.example"'), ('x" y', '"x"" y"')]
)
async def test_a_user_is_quoted_where_its_name_needs_it(cluster: Connected, user: str, written: str) -> None:
    cluster.have_connector(snowflake(auth={"workloadIdentity": {"user": user, "audience": "it's"}}), agents=0)
    cluster.api.issuer = "https://oidc.example.com"

    await cluster.reconcile()

    statement = cluster.status["workloadIdentity"]["createUser"]
    assert statement.startswith(f"CREATE USER {written} TYPE = SERVICE")
    assert "OIDC_AUDIENCE_LIST = ('it''s')" in statement


async def test_a_deleted_connector_closes_at_once(cluster: Connected) -> None:
    cluster.have_connector(snowflake())
    await cluster.reconcile()
    cluster.tables["connectors"].cache.clear()

    await remove_connector("team", "c", cluster.tools)

    assert cluster.names == []
    assert cluster.ways.held == {}


async def test_a_connector_on_its_way_out_is_left_alone(cluster: Connected) -> None:
    cluster.have("connectors", connector_body(deletionTimestamp="2026-11-23T12:00:00Z"))

    assert await cluster.reconcile() is None
    assert cluster.api.writes == []


async def test_a_network_policy_that_somebody_changed_is_put_right(cluster: Connected) -> None:
    cluster.have_connector()
    await cluster.reconcile()
    good = cluster.spec_of("ringfence-connector-c")
    raw = cluster.api.change(
        ("networkpolicies", "team", "ringfence-connector-c"), lambda it: it["spec"].update(egress=[{}])
    )
    cluster.tables["networkpolicies"].store(raw)

    await cluster.networks.restore("team", "ringfence-connector-c")

    assert cluster.spec_of("ringfence-connector-c") == good


async def test_a_network_policy_of_a_connector_that_is_gone_goes(cluster: Connected) -> None:
    cluster.have_connector()
    await cluster.reconcile()
    cluster.tables["connectors"].cache.clear()

    await cluster.networks.restore("team", "ringfence-connector-c")

    assert cluster.names == []
