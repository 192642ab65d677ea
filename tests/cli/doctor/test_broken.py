"""A cluster that was asked while all was well, broken in one way after the other: doctor names each."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ringfence_cli.doctor.checks import judge
from ringfence_cli.doctor.finding import Finding, Level
from ringfence_cli.doctor.gather import gather
from ringfence_kube.api import Api
from ringfence_kube.objects import GROUP, Raw, collection
from tests.cli.cluster import Cluster, condition, now_of_recording

SYSTEM = "ringfence-system"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments"
PODS, SERVICES = f"/api/v1/namespaces/{SYSTEM}/pods", f"/api/v1/namespaces/{SYSTEM}/services"
SECRETS = f"/api/v1/namespaces/{SYSTEM}/secrets"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{SYSTEM}/endpointslices"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{SYSTEM}/networkpolicies"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
GUARDS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BACKENDS = "/api/v1/namespaces/ringfence-backends/services"
NODES = "/api/v1/nodes"
LATER = timedelta(0)

Break = Callable[[Cluster], object]


def examine(cluster: Cluster, *, later: timedelta = LATER, namespace: str = "") -> list[Finding]:
    now = now_of_recording() + later
    facts = gather(Api(cluster), namespace=namespace, system=None, now=now, on_step=lambda: None)
    return judge(facts)


def bad(findings: list[Finding]) -> list[tuple[str, Level]]:
    return [(each.check, each.level) for each in findings if each.level is not Level.OK]


def test_nothing_is_found_where_all_is_well(healthy: Cluster) -> None:
    findings = examine(healthy)

    assert bad(findings) == []
    assert len({each.check for each in findings}) >= 19


def setting(name: str, value: str) -> Break:
    def change(cluster: Cluster) -> None:
        for path in (DEPLOYMENTS, "/apis/apps/v1/deployments"):
            deployment = cluster.one(path, "ringfence-operator")
            env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
            env[:] = [each for each in env if each["name"] != f"RINGFENCE_OPERATOR_{name}"]
            env.append({"name": f"RINGFENCE_OPERATOR_{name}", "value": value})

    return change


def without_kind(resource: str) -> Break:
    def change(cluster: Cluster) -> None:
        served = cluster.documents[GROUP]["resources"]
        served[:] = [each for each in served if each["name"].partition("/")[0] != resource]
        del cluster.collections[collection(resource)]

    return change


def replicas(name: str, ready: int, wanted: int = 2) -> Break:
    def change(cluster: Cluster) -> None:
        deployment = cluster.one(DEPLOYMENTS, name)
        deployment["spec"]["replicas"] = wanted
        deployment["status"] = {"readyReplicas": ready}

    return change


def image_gone(cluster: Cluster) -> None:
    replicas("ringfence-operator", 0)(cluster)
    for pod in cluster.items(PODS):
        if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "ringfence-operator":
            waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
            pod["status"] = {
                "phase": "Pending",
                "conditions": [condition("PodScheduled", "True", "")],
                "containerStatuses": [{"name": "operator", "state": {"waiting": waiting}}],
            }


def probed(**verdict: str) -> Break:
    def change(cluster: Cluster) -> None:
        (container,) = cluster.one(PODS, "ringfence-network-probe")["status"]["containerStatuses"]
        container["state"]["terminated"]["message"] = json.dumps(verdict)

    return change


def agent(cluster: Cluster, **spec: Any) -> Raw:
    found = cluster.items(collection("agents"))[0]
    found["spec"].update(spec)
    return found


def agent_says(kind: str, status: str, reason: str, message: str = "") -> Break:
    def change(cluster: Cluster) -> None:
        conditions = agent(cluster)["status"]["conditions"]
        conditions[:] = [each for each in conditions if each["type"] != kind]
        conditions.append(condition(kind, status, reason, message))
        if kind == "Ready":
            conditions.append(condition("Stalled", "True", reason, message))

    return change


def no_slice_ready(cluster: Cluster) -> None:
    for each in cluster.items(SLICES):
        for endpoint in each["endpoints"]:
            endpoint["conditions"]["ready"] = False


def foreign_authority(cluster: Cluster) -> None:
    data = cluster.one(SECRETS, "ringfence-gateway-tls")["data"]
    data["ca.crt"] = base64.b64encode(FOREIGN.encode()).decode()


def object_says(resource: str, spec: Raw, reason: str, kind: str = "Ready") -> Break:
    return lambda cluster: cluster.add(
        resource, "one", spec, {"conditions": [condition(kind, "False", reason, "so it is")]}
    )


FOREIGN = """\
-----BEGIN CERTIFICATE-----
MIIBfTCCASOgAwIBAgIUFE0AHSGOBxQ8Dn0Sg1cvHZQzPWIwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        pytest.param(without_kind("quotas"), "kinds", "no kind Quota", id="a CRD is missing"),
        pytest.param(replicas("ringfence-operator", 0, 0), "operator", "scaled to 0", id="the operator is scaled to 0"),
        pytest.param(image_gone, "operator", "ImagePullBackOff", id="the operator's image cannot be pulled"),
        pytest.param(
            lambda it: it.remove(DEPLOYMENTS, "ringfence-gateway"),
            "gateway",
            "no Deployment ringfence-gateway",
            id="the gateway is gone",
        ),
        pytest.param(replicas("ringfence-gateway", 0), "gateway", "0 of 2 replicas", id="the gateway is not ready"),
        pytest.param(
            lambda it: setattr(it, "may", lambda asked: asked["resource"] != "networkpolicies"),
            "operator-rights",
            "may not list networkpolicies.networking.k8s.io",
            id="the operator lost a right",
        ),
        pytest.param(
            lambda it: it.one(LEASES, "ringfence-operator")["spec"].update(holderIdentity=""),
            "leader",
            "nobody holds Lease",
            id="no replica leads",
        ),
        pytest.param(
            lambda it: it.remove(SERVICES, "ringfence-control"),
            "control",
            "Service ringfence-system/ringfence-control is missing",
            id="the control Service is missing",
        ),
        pytest.param(no_slice_ready, "control", "no ready pod is behind", id="no pod is behind the control Service"),
        pytest.param(
            lambda it: it.remove(SECRETS, "ringfence-gateway-tls"),
            "certificates",
            "gateway-tls is missing",
            id="the certificate is missing",
        ),
        pytest.param(
            foreign_authority, "certificates", "has ended, or cannot be read", id="the certificate is no such"
        ),
        pytest.param(
            probed(pod="open", kubelet="refused"),
            "network",
            "does not enforce NetworkPolicies: a pod that may reach nothing reached another pod",
            id="the CNI does not enforce",
        ),
        pytest.param(
            lambda it: it.remove(POLICIES, "ringfence-network-probe"),
            "network-policies",
            "ringfence-network-probe is missing",
            id="the prober is not closed",
        ),
        pytest.param(
            lambda it: agent(it, isolation="Secure"),
            "runtime-classes",
            "no RuntimeClass gvisor or kata",
            id="no sandbox for an agent that wants one",
        ),
        pytest.param(
            lambda it: it.items(collection("securitypolicies"))[0]["spec"].update(runtimeClassName="kata-qemu"),
            "runtime-classes",
            "asks for RuntimeClass kata-qemu",
            id="a policy's RuntimeClass is missing",
        ),
        pytest.param(
            lambda it: it.remove(BACKENDS, "redis"),
            "redis",
            "Service ringfence-backends/redis of the Redis that sidecars share does not exist",
            id="Redis is gone",
        ),
        pytest.param(
            lambda it: it.remove(SECRETS, "ringfence-redis"),
            "redis",
            "ringfence-redis is missing",
            id="no login to Redis",
        ),
        pytest.param(
            setting("DEFAULT_POLICY", "team/base"),
            "default-policy",
            "team/base does not exist",
            id="the default policy is missing",
        ),
        pytest.param(
            agent_says("Ready", "False", "PolicyNotFound", "SecurityPolicy x does not exist"),
            "agents",
            "PolicyNotFound, SecurityPolicy x does not exist",
            id="an agent's policy is missing",
        ),
        pytest.param(
            agent_says("Enforced", "False", "ForeignNetworkPolicy", "NetworkPolicy open opens egress"),
            "agents",
            "ForeignNetworkPolicy",
            id="a tenant's NetworkPolicy opens an agent",
        ),
        pytest.param(
            lambda it: agent(it)["status"].clear(),
            "agents",
            "the operator has not looked at Agent",
            id="the operator does not see an agent",
        ),
        pytest.param(
            lambda it: it.documents["/version"].update(minor="32", gitVersion="v1.32.1"),
            "kubernetes",
            "v1.32.1 is too old",
            id="Kubernetes is too old",
        ),
    ],
)
def test_doctor_names_what_is_broken(healthy: Cluster, broken: Break, check: str, words: str) -> None:
    broken(healthy)

    findings = examine(healthy, later=timedelta(seconds=5))

    told = [each for each in findings if each.check == check and each.level is Level.BROKEN]
    assert any(words in each.sentence for each in told), findings
    assert all(each.fix for each in told)


def test_each_break_is_told_by_its_own_check_alone(healthy: Cluster) -> None:
    healthy.remove(SECRETS, "ringfence-gateway-tls")

    assert bad(examine(healthy)) == [("certificates", Level.BROKEN)]


@pytest.mark.parametrize(
    ("doubtful", "check", "words"),
    [
        pytest.param(replicas("ringfence-operator", 1), "operator", "1 of 2 replicas", id="one replica is away"),
        pytest.param(
            lambda it: it.remove(BINDINGS, "ringfence-guard"), "guard", "Binding ringfence-guard", id="no binding"
        ),
        pytest.param(
            lambda it: it.remove(GUARDS, "ringfence-labels"), "guard", "Policy ringfence-labels", id="labels open"
        ),
        pytest.param(lambda it: it.remove(GUARDS, "ringfence-guard"), "guard", "Policy ringfence-guard", id="no guard"),
        pytest.param(
            lambda it: it.remove(ROLES, "ringfence-edit"), "roles", "own role edit says", id="no roles of people"
        ),
        pytest.param(
            lambda it: it.remove(PODS, "ringfence-network-probe"), "network", "not known yet", id="not probed yet"
        ),
        pytest.param(probed(pod="late", kubelet="refused"), "network", "only some time after", id="closed late"),
        pytest.param(setting("PROBE_IMAGE", ""), "network", "nobody looks", id="nobody probes"),
        pytest.param(setting("SIDECAR_IMAGE", ""), "sidecars", "no image of the sidecar", id="no sidecars"),
        pytest.param(
            lambda it: it.items(NODES)[0]["status"].update(runtimeHandlers=[]),
            "user-namespaces",
            "no user namespaces on ringfence-dev",
            id="no user namespaces",
        ),
        pytest.param(
            agent_says("Complete", "False", "BackoffLimitExceeded", "it failed 7 times"),
            "agents",
            "BackoffLimitExceeded",
            id="a task that failed",
        ),
    ],
)
def test_doctor_tells_what_one_should_know_of(healthy: Cluster, doubtful: Break, check: str, words: str) -> None:
    doubtful(healthy)

    findings = examine(healthy)

    assert bad(findings) == [(check, Level.WARNING)]
    assert any(words in each.sentence and each.fix for each in findings)


def test_a_lease_that_nobody_renews_is_nobodys(healthy: Cluster) -> None:
    findings = examine(healthy, later=timedelta(minutes=10))

    assert ("leader", Level.BROKEN) in bad(findings)
    assert any("last renewed the Lease 10m ago" in each.sentence for each in findings)


def test_a_certificate_is_told_before_it_ends_and_after(healthy: Cluster) -> None:
    before = [each for each in examine(healthy, later=timedelta(days=25)) if each.check == "certificates"]
    after = [each for each in examine(healthy, later=timedelta(days=31)) if each.check == "certificates"]

    assert [each.level for each in (*before, *after)] == [Level.WARNING, Level.BROKEN]


def with_cilium(cluster: Cluster, *, is_installed: bool) -> None:
    setting("EGRESS_BACKEND", "cilium")(cluster)
    cluster.remove(DEPLOYMENTS, "ringfence-gateway")
    cluster.remove(SERVICES, "ringfence-control")
    cluster.remove(POLICIES, "gateway-base")
    if is_installed:
        cluster.documents["/apis/cilium.io/v2"] = {"resources": [{"name": "ciliumnetworkpolicies"}]}


def test_cilium_is_looked_for_where_it_is_to_judge_names(healthy: Cluster) -> None:
    with_cilium(healthy, is_installed=False)

    told = [each for each in examine(healthy) if each.check == "cilium"]

    assert [each.level for each in told] == [Level.BROKEN]
    assert "no CiliumNetworkPolicies" in told[0].sentence
    assert "install Cilium 1.19" in told[0].fix


def test_cilium_that_is_there_is_well_unless_the_operator_may_not_write_its_policies(healthy: Cluster) -> None:
    with_cilium(healthy, is_installed=True)

    well = bad(examine(healthy))
    healthy.may = lambda asked: asked["resource"] != "ciliumnetworkpolicies"
    refused = [each for each in examine(healthy) if each.level is not Level.OK]

    assert well == []
    assert {each.check for each in refused} == {"operator-rights"}
    assert "ciliumnetworkpolicies.cilium.io" in refused[0].sentence


def test_who_may_not_ask_for_cilium_is_told_so(healthy: Cluster) -> None:
    with_cilium(healthy, is_installed=True)
    healthy.forbidden = lambda _, path: path == "/apis/cilium.io/v2"

    assert bad(examine(healthy)) == [("cilium", Level.UNKNOWN)]


def trusting(cluster: Cluster, pem: str) -> None:
    """Put the ConfigMap there that sidecars of the namespace trust by."""
    made = {"metadata": {"name": "ringfence-authority", "namespace": "lab"}, "data": {"ca.crt": pem}}
    cluster.collections["/api/v1/configmaps"] = {"apiVersion": "v1", "kind": "ConfigMap", "items": [made]}


def authorities(cluster: Cluster) -> str:
    return base64.b64decode(cluster.one(SECRETS, "ringfence-gateway-tls")["data"]["ca.crt"]).decode()


@pytest.mark.parametrize(("days", "level"), [(200, Level.OK), (300, Level.WARNING), (400, Level.BROKEN)])
def test_authorities_are_told_of_before_they_end_and_after(healthy: Cluster, days: int, level: Level) -> None:
    trusting(healthy, authorities(healthy))

    told = [each for each in examine(healthy, later=timedelta(days=days)) if each.check == "authorities"]

    assert {each.level for each in told} == {level}
    if level is not Level.OK:
        assert [each.sentence.partition(" in ")[2].partition("/")[0] for each in told] == [
            "ConfigMap lab",
            "Secret ringfence-system",
        ]
        assert all("delete" in each.fix for each in told)


def test_authorities_of_sidecars_that_cannot_be_read_are_told_of(healthy: Cluster) -> None:
    trusting(healthy, "no certificate")

    told = [each for each in examine(healthy) if each.level is not Level.OK]

    assert [each.check for each in told] == ["authorities"]
    assert "ConfigMap lab/ringfence-authority" in told[0].sentence
    assert "kubectl -n lab delete configmap ringfence-authority" in told[0].fix


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        pytest.param(
            object_says("quotas", {"limits": [{"resource": "queries", "max": 5}]}, "StoreUnavailable"),
            "redis",
            "Redis is not reached: Quota lab/one says StoreUnavailable",
            id="the operator does not reach Redis",
        ),
        pytest.param(
            object_says("connectors", {"agentSelector": {}}, "RedisUnreachable", "CacheReachable"),
            "redis",
            "Redis is not reached: Connector lab/one says RedisUnreachable",
            id="sidecars do not reach Redis",
        ),
        pytest.param(
            object_says("securitypolicies", {}, "GatewayUnavailable"),
            "gateway",
            "no replica of the gateway is connected",
            id="the gateway is not connected",
        ),
        pytest.param(
            object_says("connectors", {"agentSelector": {}}, "EndpointsUnhealthy"),
            "connectors",
            "Connector lab/one: EndpointsUnhealthy",
            id="a backend is away",
        ),
    ],
)
def test_doctor_names_what_objects_complain_of(healthy: Cluster, broken: Break, check: str, words: str) -> None:
    broken(healthy)

    findings = examine(healthy, later=timedelta(minutes=3))

    assert any(each.check == check and words in each.sentence and each.fix for each in findings), findings


def test_what_somebody_has_to_mend_is_told_at_once_and_what_may_pass_a_little_later(healthy: Cluster) -> None:
    object_says("agents", {"image": "x"}, "PolicyNotFound")(healthy)
    object_says("connectors", {"agentSelector": {}}, "EndpointsUnhealthy")(healthy)
    for resource in ("agents", "connectors"):
        (found,) = (each for each in healthy.items(collection(resource)) if each["metadata"]["name"] == "one")
        found["status"]["conditions"][0]["lastTransitionTime"] = now_of_recording().isoformat()

    assert bad(examine(healthy, later=timedelta(seconds=5))) == [("agents", Level.BROKEN)]
    later = bad(examine(healthy, later=timedelta(minutes=3)))
    assert ("connectors", Level.BROKEN) in later


def test_a_shared_limit_needs_a_redis(healthy: Cluster) -> None:
    setting("REDIS_URL", "")(healthy)
    object_says("quotas", {"limits": [{"resource": "queries", "max": 5}]}, "NoStore")(healthy)

    findings = examine(healthy)

    assert any("Quota lab/one limits calls that agents share" in each.sentence for each in findings)


def test_a_sidecar_image_is_needed_once_there_is_a_connector(healthy: Cluster) -> None:
    setting("SIDECAR_IMAGE", "")(healthy)
    healthy.add("connectors", "sales", {"agentSelector": {}}, {"conditions": [condition("Ready", "True", "NoAgents")]})

    assert ("sidecars", Level.BROKEN) in bad(examine(healthy))


def test_without_a_gateway_nobody_misses_it(healthy: Cluster) -> None:
    setting("EGRESS_BACKEND", "none")(healthy)
    healthy.remove(DEPLOYMENTS, "ringfence-gateway")
    healthy.remove(SERVICES, "ringfence-control")
    healthy.remove(SECRETS, "ringfence-gateway-tls")
    healthy.remove(POLICIES, "gateway-base")

    assert bad(examine(healthy)) == []


def test_of_many_bad_agents_ten_are_named_and_the_rest_counted(healthy: Cluster) -> None:
    says = {"conditions": [condition("Ready", "False", "ImageNotFound"), condition("Stalled", "True", "ImageNotFound")]}
    for number in range(14):
        healthy.add("agents", f"a{number}", {"image": "x"}, says)

    told = [each.sentence for each in examine(healthy) if each.check == "agents"]

    assert len(told) == 11
    assert told[-1] == "and 4 more of this kind"
