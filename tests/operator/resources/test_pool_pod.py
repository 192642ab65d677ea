"""A pool's pod, what a claim makes of it, and what its starter is told."""

from base64 import b64decode
from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.agent_pool import AgentPool, PoolTemplate, Refill
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.effective import Surroundings
from ringfence_operator.resources.observed_pod import key_of_agent, observe_pod
from ringfence_operator.resources.pod import build_pod
from ringfence_operator.resources.pool import (
    is_still_good,
    member,
    record_template,
    recorded_template,
    template_hash,
    with_template,
)
from ringfence_operator.resources.pool_claim import build_claim
from ringfence_operator.resources.pool_pod import build_pool_pod
from ringfence_operator.resources.sidecar import Sidecar
from ringfence_operator.resources.start_order import build_start_order, resolv_conf, versioned
from ringfence_operator.resources.starter import Starter
from ringfence_operator.resources.way_out import WayOut, cluster_dns
from tests.operator.resources.connectors import IDENTITY, PASSWORD, make_connector, rabbitmq, snowflake
from tests.operator.resources.difference import difference
from tests.operator.resources.objects import NOW, SETTINGS, effective_of, make_agent, make_policy
from tests.operator.resources.snapshot import assert_snapshot

Raw = dict[str, Any]
STARTER = Starter("starter:1", "10.96.0.9")
WAY = WayOut("10.96.1.1", ("localhost", "10.0.0.0/8"))
HASH = f"metadata.annotations.{labels.TEMPLATE_HASH}"
TEMPLATE = f"metadata.annotations.{labels.TEMPLATE}"
CONTAINER = "spec.containers[agent]"


def make_pool(size: int = 1, **template: Any) -> AgentPool:
    meta = {"name": "p", "namespace": "team", "uid": "pool-uid"}
    return AgentPool.from_body({"metadata": meta, "spec": {"size": size, "template": {"image": "i:1"} | template}})


def build(pool: AgentPool, policy: SecurityPolicy | None = None) -> Raw:
    return build_pool_pod(pool, policy, effective_of(member(pool), policy), STARTER, name="p-x")


FULL: Raw = {
    "imagePullSecrets": [{"name": "registry"}],
    "env": [{"name": "A", "value": "1"}, {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "1Gi"}},
    "securityPolicyRef": {"name": "web"},
    "nodeSelector": {"pool": "agents"},
    "tolerations": [{"key": "agents", "operator": "Exists"}],
    "podMetadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}},
}


@pytest.mark.parametrize("level", ["Basic", "Container", "Secure"])
def test_a_pools_pod_is_as_last_looked_at(level: str) -> None:
    assert_snapshot(f"pod-pool-{level.lower()}", build(make_pool(isolation=level, **FULL)))


WARM: list[tuple[int, str, Any]] = [
    *((0, "key", labels.POOL), (0, "operator", "In"), (0, "values[0]", "p")),
    *((1, "key", labels.AGENT), (1, "operator", "DoesNotExist")),
]
"""Selects the pods that no agent has."""
FIELDS: list[tuple[str, Any, Raw]] = [
    ("image", "other:2", {f"{CONTAINER}.image": "other:2"}),
    ("imagePullSecrets", [{"name": "r"}], {"spec.imagePullSecrets[r].name": "r"}),
    ("env", [{"name": "A", "value": "1"}], {f"{CONTAINER}.env[A].name": "A", f"{CONTAINER}.env[A].value": "1"}),
    ("connectors", [{"name": "c"}], {}),
    ("resources", {"limits": {"cpu": "2"}}, {f"{CONTAINER}.resources.limits.cpu": "2"}),
    ("securityPolicyRef", {"name": "web"}, {}),
    ("restartPolicy", "Never", {"spec.restartPolicy": "Never"}),
    ("nodeSelector", {"a": "b"}, {"spec.nodeSelector.a": "b"}),
    (
        "tolerations",
        [{"key": "k", "operator": "Exists"}],
        {"spec.tolerations[0].key": "k", "spec.tolerations[0].operator": "Exists"},
    ),
    (
        "topologySpreadConstraints",
        [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        {
            "spec.topologySpreadConstraints[0].topologyKey": "zone",
            "spec.topologySpreadConstraints[0].maxSkew": 1,
            "spec.topologySpreadConstraints[0].whenUnsatisfiable": "DoNotSchedule",
            **{
                f"spec.topologySpreadConstraints[0].labelSelector.matchExpressions[{at}].{key}": value
                for at, key, value in WARM
            },
        },
    ),
    ("podMetadata", {"labels": {"team": "x"}}, {"metadata.labels.team": "x"}),
]


@pytest.mark.parametrize(("field", "value", "expected"), FIELDS)
def test_a_field_of_the_template_changes_its_own_part_of_the_pod_and_rolls_it(
    field: str, value: Any, expected: Raw
) -> None:
    changed = difference(build(make_pool()), build(make_pool(**{field: value})))

    assert changed.pop(HASH) is not None
    assert changed.pop(TEMPLATE) is not None
    assert changed == expected


def test_the_table_has_every_field_of_a_template_but_isolation() -> None:
    names = {field.alias or name for name, field in PoolTemplate.model_fields.items()}

    assert {field for field, _, _ in FIELDS} == names - {"isolation"}


def test_a_pools_pod_has_the_service_account_of_every_agents_and_no_token_of_it_in_the_agents_container() -> None:
    agent = make_agent(image="i:1")
    names = ("serviceAccountName", "serviceAccount", "automountServiceAccountToken")

    warm, cold = build(make_pool())["spec"], build_pod(agent, None, effective_of(agent))["spec"]

    assert [warm.get(each) for each in names] == [cold.get(each) for each in names] == [None, None, False]
    tokens = {each["name"] for each in warm["volumes"] if "projected" in each}
    assert tokens.isdisjoint(each["name"] for each in warm["containers"][0]["volumeMounts"])


def with_sidecar(*connectors: Connector) -> Raw:
    pool = make_pool(connectors=[{"name": each.metadata.name} for each in connectors])
    sidecar = Sidecar("sidecar:1", "10.96.0.9", connectors)
    return build_pool_pod(pool, None, effective_of(member(pool)), STARTER, name="p-x", sidecar=sidecar)


def test_a_pools_pod_with_connectors_is_as_last_looked_at() -> None:
    assert_snapshot("pod-pool-connectors", with_sidecar(make_connector("a"), make_connector("b", snowflake())))


def test_only_what_a_sidecar_is_made_with_of_a_connector_is_in_the_template_hash() -> None:
    pool = make_pool()
    holds = effective_of(member(pool))

    def hashed(*connectors: Connector) -> str:
        return template_hash(pool, None, holds, connectors)

    usual = make_connector("a")
    other = rabbitmq(auth={**PASSWORD, "secretName": "other"})
    assert hashed() == template_hash(pool, None, holds)
    assert hashed(usual) == hashed(make_connector("a", rabbitmq(limits={"concurrency": 7}), generation=2))
    assert hashed(usual) != hashed(make_connector("a", other))
    assert hashed(make_connector("s", snowflake(auth=IDENTITY))) != hashed(make_connector("s", snowflake()))


def test_size_is_no_part_of_a_pod() -> None:
    assert build(make_pool(1)) == build(make_pool(7))


def test_a_priority_class_is_the_warm_pods_and_rolls_them() -> None:
    pool = make_pool()
    ranked = pool.model_copy(
        update={"spec": pool.spec.model_copy(update={"refill": Refill(priority_class_name="low")})}
    )

    changed = difference(build(pool), build(ranked))

    assert changed.pop(HASH) is not None
    assert changed == {"spec.priorityClassName": "low"}


def test_what_a_policy_says_of_the_pod_rolls_it_and_of_the_network_does_not() -> None:
    base, network = make_policy(), make_policy(network={"enabled": False})
    root = make_policy(fileSystem={"readOnlyRoot": True})
    pool = make_pool()

    assert hash_of(pool, base) == hash_of(pool, network) == hash_of(pool)
    assert hash_of(pool, root) != hash_of(pool, base)


def hash_of(
    pool: AgentPool,
    policy: SecurityPolicy | None = None,
    *,
    classes: tuple[str, ...] = ("gvisor", "kata"),
    **settings: Any,
) -> str:
    around, given = Surroundings(runtime_classes=frozenset(classes)), SETTINGS.model_copy(update=settings)
    return template_hash(pool, policy, effective_of(member(pool), policy, settings=given, around=around))


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ({"isolation": "Basic"}, {}, {"minimum_isolation": Isolation.CONTAINER}),
        ({}, {}, {"minimum_isolation": Isolation.SECURE}),
        ({"resources": {"limits": {"memory": "4Gi"}}}, {}, {"maximum_memory": "2Gi"}),
        ({"resources": {"limits": {"cpu": "4"}}}, {"maximum_cpu": "2"}, {"maximum_cpu": "1"}),
        ({"isolation": "Secure"}, {}, {"sandboxed_runtime_classes": ("kata", "gvisor")}),
        ({"isolation": "Secure"}, {}, {"classes": ("kata",)}),
    ],
)
def test_a_ceiling_that_makes_pods_stricter_rolls_them_and_hands_out_no_former_one(
    template: Raw, before: Raw, after: Raw
) -> None:
    pool = make_pool(**template)

    then, now = hash_of(pool, **before), hash_of(pool, **after)

    assert then.partition(".")[0] == now.partition(".")[0]
    assert not is_still_good(record_template(pool.spec.template), then, pool, now)


@pytest.mark.parametrize(
    ("template", "after"),
    [
        ({"isolation": "Container"}, {"minimum_isolation": Isolation.CONTAINER}),
        ({"resources": {"limits": {"memory": "1Gi"}}}, {"maximum_memory": "2Gi"}),
        ({}, {"default_memory": "1Gi", "starter_image": "starter:2"}),
        ({"isolation": "Container"}, {"classes": ()}),
    ],
)
def test_a_setting_that_makes_pods_no_stricter_rolls_none(template: Raw, after: Raw) -> None:
    pool = make_pool(**template)

    assert hash_of(pool, **after) == hash_of(pool)


def test_a_warm_pod_is_nobodys_and_opened_to_nothing_but_the_control_server() -> None:
    meta = build(make_pool(**FULL))["metadata"]

    assert {key for key in meta["labels"] if labels.is_ours(key)} == {labels.POOL, labels.STARTER, labels.CONFINED}
    assert [each["kind"] for each in meta["ownerReferences"]] == ["AgentPool"]


def test_the_agents_container_reads_what_the_starter_writes_and_sees_none_of_its_secrets() -> None:
    spec = build(make_pool())["spec"]
    (agent,), (starter,) = spec["containers"], spec["initContainers"]
    mounts = {each["mountPath"]: each for each in agent["volumeMounts"]}

    assert agent["command"] == ["/run/ringfence/starter", "wait"]
    assert mounts["/run/ringfence"]["readOnly"] is True
    assert mounts["/etc/resolv.conf"] | {"readOnly": True} == mounts["/etc/resolv.conf"]
    assert not {"starter-token", "starter-authority"} & {each["name"] for each in agent["volumeMounts"]}
    assert starter["restartPolicy"] == "Always"
    assert starter["securityContext"]["runAsUser"] != spec["securityContext"]["runAsUser"]
    assert spec["automountServiceAccountToken"] is False


def test_the_record_of_a_template_has_no_values_of_variables() -> None:
    template = make_pool(**FULL).spec.template

    found = recorded_template(record_template(template))

    assert '"1"' not in record_template(template)
    assert [each.name for each in found.env] == ["A", "K"]
    assert (found.image, found.resources, found.isolation) == (template.image, template.resources, template.isolation)


def test_what_an_agent_says_wins_over_the_template() -> None:
    env = [{"name": "A", "value": "mine"}]
    agent = make_agent(image=None, poolRef={"name": "p"}, env=env, podMetadata={"labels": {"team": "y"}})

    both = with_template(agent, make_pool(**FULL).spec.template).spec

    assert [(each.name, each.value) for each in both.env] == [("K", None), ("A", "mine")]
    assert both.pod_metadata.labels == {"team": "y"}
    assert both.image == "i:1"


def claimed(**changes: Any) -> tuple[Raw, Raw]:
    raw = build(make_pool(**FULL))
    raw["metadata"] |= {"uid": "pod-uid", "resourceVersion": "7", "creationTimestamp": "2026-11-23T11:00:00Z"}
    raw["status"] = {"phase": "Running", "startTime": "2026-11-23T11:59:00Z"}
    agent = with_template(make_agent(image=None, poolRef={"name": "p"}), make_pool(**FULL).spec.template)
    usual: Raw = {"pod_labels": {labels.AGENT: "a"}, "made_from": "h", "way_out": WAY, "seconds_left": None, "now": NOW}
    return raw, build_claim(agent, observe_pod(raw), **{**usual, **changes})


def test_a_claim_is_one_patch_that_only_the_version_that_was_seen_takes() -> None:
    _, patch = claimed()

    meta = patch["metadata"]
    assert (meta["uid"], meta["resourceVersion"]) == ("pod-uid", "7")
    assert [each["kind"] for each in meta["ownerReferences"]] == ["Agent"]
    assert meta["annotations"][labels.SPEC_HASH] == "h"
    assert meta["annotations"][labels.GATEWAY_ADDRESS] == "10.96.1.1"
    assert meta["managedFields"] == [{}]
    assert "spec" not in patch


@pytest.mark.parametrize(("left", "expected"), [(60, 120), (0, 61)])
def test_a_deadline_counts_from_the_claim_although_the_kubelets_counts_from_the_start(left: int, expected: int) -> None:
    _, patch = claimed(seconds_left=left)

    assert patch["spec"] == {"activeDeadlineSeconds": expected}


def test_a_claimed_pod_is_kept_under_its_agent_and_a_warm_one_under_its_name() -> None:
    raw, patch = claimed()
    before = key_of_agent(raw)
    for field, value in patch["metadata"].items():
        raw["metadata"][field] = {**raw["metadata"][field], **value} if isinstance(value, dict) else value

    pod = observe_pod(raw)

    assert before == ("team", "p-x")
    assert key_of_agent(raw) == pod.agent_key == ("team", "a")
    assert (pod.pool, pod.claimed, pod.started) == ("p", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z")


def test_a_label_alone_puts_nobodys_pod_in_the_place_of_an_agents() -> None:
    raw = build(make_pool())
    raw["metadata"]["labels"][labels.AGENT] = "a"

    assert key_of_agent(raw) == ("team", "p-x")


def order(way_out: WayOut | None = WAY, template: Raw | None = None, **spec: Any) -> Raw:
    agent = make_agent(image=None, poolRef={"name": "p"}, **spec)
    return build_start_order(agent, make_pool(**(template or {})).spec.template, way_out, {})


def test_an_order_is_what_the_agent_says() -> None:
    files = [{"path": "/tmp/x", "content": "grüß"}]
    found = order(command=["python3"], args=["-u"], workingDir="/srv", env=[{"name": "B"}], files=files)

    assert found["agent"] == {"namespace": "team", "name": "a", "uid": "agent-uid"}
    assert (found["command"], found["args"], found["workingDir"]) == (["python3"], ["-u"], "/srv")
    assert found["env"][-1] == {"name": "B", "value": ""}
    assert [(each["path"], each["mode"]) for each in found["files"]] == [("/tmp/x", 0o444)]
    assert b64decode(found["files"][0]["content"]).decode() == "grüß"
    assert found["resolvConf"] == "nameserver 10.96.1.1\n"
    assert found["wayOut"] == "http://10.96.1.1:3128"


def test_an_order_has_the_proxy_as_a_cold_pod_of_the_agent_has_it() -> None:
    from ringfence_operator.resources.pod import build_pod  # noqa: PLC0415

    template: Raw = {"env": [{"name": "HTTP_PROXY", "value": "mine"}]}
    env = [{"name": "no_proxy", "value": "all"}]
    agent = with_template(make_agent(image=None, env=env), make_pool(**template).spec.template)
    cold = build_pod(agent, None, effective_of(agent), way_out=WAY)["spec"]["containers"][0]["env"]
    warm = build(make_pool(**template))["spec"]["containers"][0]["env"]

    found = {each["name"]: each.get("value") for each in (*warm, *order(WAY, template, env=env)["env"])}

    assert found == {each["name"]: each.get("value") for each in cold}


def test_without_a_way_out_no_name_is_found_and_none_is_looked_for() -> None:
    found = order(None)

    assert (found["resolvConf"], found["wayOut"], found["env"]) == ("nameserver 127.0.0.1\n", "", [])


def test_where_the_clusters_dns_is_asked_short_names_are_found() -> None:
    found = resolv_conf(cluster_dns("team", "10.96.0.10", cluster_domain="c.local").dns_config())

    assert found == "search team.svc.c.local svc.c.local c.local\nnameserver 10.96.0.10\n"


def test_another_order_has_another_version() -> None:
    first, same, other = (versioned(order(command=[each])) for each in ("a", "a", "b"))

    assert first == same
    assert first["version"] != other["version"]
