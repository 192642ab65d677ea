"""The second egress back end: CiliumNetworkPolicies beside NetworkPolicies, and what is refused."""

from typing import Any

import pytest

from ringfence_operator.api.conditions import Condition, find_condition
from ringfence_operator.errors import InvalidError
from ringfence_operator.reconcile.checks import refusal
from ringfence_operator.reconcile.context import Context, build_context
from ringfence_operator.reconcile.network import Networks, enforcement
from ringfence_operator.reconcile.pod import create_pod
from ringfence_operator.reconcile.security_policy import PolicyTools, reconcile_security_policy, remove_security_policy
from ringfence_operator.resources.network_policy import build_default_deny
from ringfence_operator.settings import Settings
from tests.operator.reconcile.api_server import Place
from tests.operator.reconcile.contexts import running_pod
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.tables import build_view
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.cilium_schema import VERSIONS, mistakes
from tests.operator.resources.objects import NOW, agent_body, policy_body

Raw = dict[str, Any]
CILIUM = Settings(default_policy="sys/base", egress_backend="cilium")
NAMES: Raw = {"allowedDomains": [{"name": "api.example.com"}]}
OWN: Place = ("ciliumnetworkpolicies", "team", "ringfence-policy-p")
BESIDE: Place = ("networkpolicies", "team", "ringfence-policy-p")


def service(name: str, namespace: str, address: str = "10.96.0.10", **spec: Any) -> Raw:
    usual = {"clusterIP": address, "selector": {"app": name}, "ports": [{"port": 53, "protocol": "UDP"}]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": usual | spec}


class Cilium(Cluster):
    """A cluster in which Cilium judges names."""

    def __init__(self, settings: Settings = CILIUM, *, missing: str = "", has_dns: bool = True) -> None:
        super().__init__(settings)
        self.view = build_view(self.tables, settings, missing=missing)
        self.networks = Networks(self.view, self.api)
        self.tools = PolicyTools(self.view, self.api, self.networks)
        if has_dns:
            self.have("services", service("kube-dns", "kube-system"))

    async def reconcile(self, namespace: str = "team", name: str = "p") -> None:
        policy = self.view.policies.get(namespace, name)
        assert policy is not None
        await reconcile_security_policy(policy, self.tools, now=NOW)

    async def with_policy(self, network: Raw) -> None:
        self.have("securitypolicies", policy_body(network=network))
        await self.reconcile()

    def edit(self, place: Place, change: Any) -> None:
        self.tables[place[0]].store(self.api.change(place, change))

    def forget(self, place: Place) -> None:
        self.api.remove(place)
        del self.tables[place[0]].cache[place[1:]]

    @property
    def written(self) -> list[Place]:
        return sorted(place for place in self.api.objects if place[0] == OWN[0])

    @property
    def status(self) -> Raw:
        return self.api.objects["securitypolicies", "team", "p"]["status"]  # type: ignore[no-any-return]

    def condition(self, kind: str) -> Condition | None:
        policy = self.view.policies.get("team", "p")
        return find_condition(policy.status.conditions, kind) if policy else None

    @property
    def ready(self) -> tuple[str, str, str]:
        found = self.condition("Ready")
        assert found is not None
        return found.status, found.reason, found.message

    def context(self, **spec: Any) -> Context:
        body = agent_body(**({"securityPolicyRef": {"name": "p"}} | spec))
        self.have("agents", body)
        agent = self.view.agent("team", "a")
        assert agent is not None
        return build_context(agent, self.view, now=NOW)


async def test_a_policy_costs_three_writes_and_none_after_that() -> None:
    cluster = Cilium()

    await cluster.with_policy(NAMES)
    first = list(cluster.api.writes)
    await cluster.reconcile()

    assert first == cluster.api.writes
    assert first == ["create networkpolicies", "create ciliumnetworkpolicies", "replace securitypolicies/status"]
    assert cluster.ready[:2] == ("True", "InForce")
    assert kstatus(1, cluster.status) == "Current"


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_reaches_the_api_server_is_valid_by_ciliums_schema(version: str) -> None:
    cluster = Cilium()

    await cluster.with_policy(NAMES)

    assert mistakes(cluster.api.objects[OWN], version) == []


async def test_the_network_policy_beside_it_opens_what_it_did_and_no_gateway() -> None:
    cluster = Cilium()

    await cluster.with_policy(NAMES | {"cidrs": [{"cidr": "8.8.8.0/24"}]})

    assert cluster.api.objects[BESIDE]["spec"]["egress"] == [{"to": [{"ipBlock": {"cidr": "8.8.8.0/24"}}]}]
    assert not [place for place in cluster.api.objects if place[:2] == ("services", "ringfence-system")]


async def test_a_named_service_resolves_and_its_pods_are_opened_as_ever() -> None:
    cluster = Cilium()
    cluster.have("services", service("db", "data", "10.96.0.7"))

    await cluster.with_policy({"destinations": [{"service": {"name": "db", "namespace": "data"}}]})

    (rule,) = cluster.api.objects[OWN]["spec"]["egress"]
    assert rule["toPorts"][0]["rules"]["dns"] == [{"matchName": "db.data.svc.cluster.local"}]
    (beside,) = cluster.api.objects[BESIDE]["spec"]["egress"]
    assert beside["to"][0]["podSelector"] == {"matchLabels": {"app": "db"}}


async def test_a_policy_without_names_has_none() -> None:
    cluster = Cilium()

    await cluster.with_policy({"cidrs": [{"cidr": "8.8.8.0/24"}]})

    assert cluster.written == []
    assert cluster.ready[:2] == ("True", "InForce")


async def test_a_changed_policy_replaces_it_and_one_without_names_removes_it() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)

    cluster.change("securitypolicies", "p", network={"allowedDomains": [{"name": "b.example.com"}]})
    await cluster.reconcile()
    changed = cluster.api.objects[OWN]["spec"]["egress"][1]["toFQDNs"]
    cluster.change("securitypolicies", "p", network={})
    await cluster.reconcile()

    assert changed == [{"matchName": "b.example.com"}]
    assert cluster.written == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda raw: raw["spec"]["egress"].append({"toEntities": ["world"]}),
        lambda raw: raw.update(specs=[{"endpointSelector": {}, "egress": [{"toEntities": ["all"]}]}]),
        lambda raw: raw["metadata"].update(labels={}),
        lambda raw: raw["spec"].pop("egressDeny"),
    ],
)
async def test_an_edited_one_is_restored(edit: Any) -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)
    before = cluster.api.objects[OWN]
    cluster.edit(OWN, edit)

    await cluster.networks.restore("team", "ringfence-policy-p")

    after = cluster.api.objects[OWN]
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])


async def test_a_deleted_one_comes_back() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)
    cluster.forget(OWN)

    await cluster.networks.restore("team", "ringfence-policy-p")

    assert cluster.written == [OWN]


async def test_another_ones_object_of_that_name_is_taken_over() -> None:
    cluster = Cilium()
    theirs = {"metadata": {"name": OWN[2], "namespace": "team", "labels": {}}, "spec": {"egress": [{}]}}
    cluster.api.add("ciliumnetworkpolicies", theirs, "team")

    await cluster.with_policy(NAMES)

    assert cluster.api.objects[OWN]["spec"]["egress"] != [{}]


async def test_it_goes_with_its_policy_at_once() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)
    cluster.tables["securitypolicies"].cache.clear()

    await remove_security_policy("team", "p", cluster.tools)

    assert cluster.written == []
    assert cluster.names == []


async def test_one_that_is_left_of_a_policy_that_is_gone_is_removed() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)
    cluster.tables["securitypolicies"].cache.clear()

    await cluster.networks.restore("team", "ringfence-policy-p")

    assert cluster.written == []


async def test_the_clusters_policy_is_written_wherever_agents_name_none() -> None:
    cluster = Cilium()
    cluster.have("securitypolicies", policy_body("base", namespace="sys", network=NAMES))
    cluster.have("agents", agent_body())

    await cluster.reconcile("sys", "base")

    assert cluster.written == [
        ("ciliumnetworkpolicies", "sys", "ringfence-policy-base"),
        ("ciliumnetworkpolicies", "team", "ringfence-cluster-base"),
    ]


async def test_a_new_namespaces_first_agent_gets_the_clusters_policy() -> None:
    cluster = Cilium()
    cluster.have("securitypolicies", policy_body("base", namespace="sys", network=NAMES))

    await cluster.prepare()

    assert cluster.written == [("ciliumnetworkpolicies", "team", "ringfence-cluster-base")]


REFUSED: list[tuple[Raw, dict[str, Any], str, str]] = [
    (NAMES | {"mode": "Audit"}, {}, "NotSupportedByBackend", "write mode: Enforce"),
    ({"mode": "Audit"}, {}, "NotSupportedByBackend", "write mode: Enforce"),
    (NAMES | {"blockedDomains": [{"name": "x.example.com"}]}, {}, "NotSupportedByBackend", "x.example.com"),
    ({"blockedDomains": [{"name": "*.example.com"}]}, {}, "NotSupportedByBackend", "leave it out"),
    (NAMES, {"missing": "the server could not find it"}, "BackendNotFound", "install Cilium 1.19"),
    (NAMES, {"missing": "may not list"}, "BackendNotFound", "may not list"),
    (NAMES, {"has_dns": False}, "ServiceNotFound", "RINGFENCE_OPERATOR_DNS_SERVICE"),
]


@pytest.mark.parametrize(("network", "cluster", "reason", "told"), REFUSED)
async def test_what_cannot_be_carried_out_is_refused_and_opens_nothing_by_name(
    network: Raw, cluster: dict[str, Any], reason: str, told: str
) -> None:
    refusing = Cilium(**cluster)

    await refusing.with_policy(network | {"cidrs": [{"cidr": "8.8.8.0/24"}]})

    assert refusing.ready[:2] == ("False", reason)
    assert told in refusing.ready[2]
    assert refusing.condition("Stalled") is not None
    assert kstatus(1, refusing.status) == "Failed"
    assert refusing.written == []
    assert refusing.api.objects[BESIDE]["spec"]["egress"] == [{"to": [{"ipBlock": {"cidr": "8.8.8.0/24"}}]}]


async def test_a_policy_that_comes_to_be_refused_closes_its_names() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)

    cluster.change("securitypolicies", "p", network=NAMES | {"blockedDomains": [{"name": "x.example.com"}]})
    await cluster.reconcile()

    assert cluster.written == []


@pytest.mark.parametrize("network", [{}, {"enabled": False}, {"cidrs": [{"cidr": "8.8.8.0/24"}]}])
async def test_without_names_it_does_not_matter_whether_cilium_is_there(network: Raw) -> None:
    cluster = Cilium(missing="no such kind", has_dns=False)

    await cluster.with_policy(network)

    assert cluster.ready[:2] == ("True", "InForce")


async def test_a_refusal_by_cilium_is_told() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)
    said = {"conditions": [{"type": "Valid", "status": "False", "message": "too many ports"}]}
    cluster.edit(OWN, lambda raw: raw.update(status=said))

    await cluster.reconcile()

    assert cluster.ready[:2] == ("False", "BackendRefused")
    assert "too many ports" in cluster.ready[2]


async def test_a_refusal_by_the_api_server_is_told_and_leaves_nothing_of_the_form_before() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)
    cluster.change("securitypolicies", "p", network={"allowedDomains": [{"name": "b.example.com"}]})
    cluster.api.refuse["replace ciliumnetworkpolicies"] = InvalidError("unknown pattern")

    await cluster.reconcile()
    told, left = cluster.ready, cluster.written
    cluster.api.refuse.clear()
    cluster.tables[OWN[0]].cache.clear()
    await cluster.reconcile()

    assert told[:2] == ("False", "BackendRefused")
    assert left == []
    assert cluster.ready[:2] == ("True", "InForce")


async def test_an_agents_pod_asks_the_clusters_dns_and_no_proxy() -> None:
    cluster = Cilium()
    await cluster.with_policy(NAMES)

    await create_pod(cluster.context(), cluster.view, cluster.api)

    spec = cluster.api.objects["pods", "team", "a"]["spec"]
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"] == {
        "nameservers": ["10.96.0.10"],
        "searches": ["team.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    }
    assert [each["name"] for each in spec["containers"][0]["env"] if "proxy" in each["name"].lower()] == []


async def test_an_agent_waits_for_the_clusters_dns() -> None:
    cluster = Cilium(has_dns=False)
    await cluster.with_policy(NAMES)

    found = refusal(cluster.context())

    assert found is not None
    assert found.reason == "ServiceNotFound"
    assert not found.is_stalled


@pytest.mark.parametrize(
    ("network", "how", "expected"),
    [
        (NAMES, {}, (True, "InForce")),
        ({}, {}, (True, "InForce")),
        ({}, {"missing": "no such kind"}, (True, "InForce")),
        (NAMES, {"missing": "no such kind"}, (False, "BackendNotFound")),
        (NAMES | {"mode": "Audit"}, {}, (False, "NotSupportedByBackend")),
    ],
)
async def test_enforced_says_whether_names_are_open(network: Raw, how: dict[str, Any], expected: Any) -> None:
    cluster = Cilium(**how)
    cluster.have("networkpolicies", build_default_deny("team"))
    cluster.tables["pods"].store(running_pod())
    await cluster.with_policy(network)

    found = enforcement(cluster.context(), cluster.view, None)

    assert found is not None
    assert found[:2] == expected


async def test_enforced_waits_until_the_policy_is_written() -> None:
    cluster = Cilium()
    cluster.have("networkpolicies", build_default_deny("team"))
    cluster.tables["pods"].store(running_pod())
    cluster.have("securitypolicies", policy_body(network=NAMES))

    found = enforcement(cluster.context(), cluster.view, None)

    assert found is not None
    assert found[:2] == (False, "Pending")
