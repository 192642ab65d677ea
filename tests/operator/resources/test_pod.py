from typing import Any

import pytest

from ringfence_operator.api.agent import Agent, AgentSpec, Isolation
from ringfence_operator.api.security_policy import SecurityPolicy, SecurityPolicySpec
from ringfence_operator.resources.effective import Surroundings
from ringfence_operator.resources.pod import build_pod, pod_hash, spec_hash
from ringfence_operator.settings import Settings
from tests.operator.resources.difference import difference
from tests.operator.resources.objects import CAPABLE, effective_of, make_agent, make_policy
from tests.operator.resources.snapshot import assert_snapshot

HASH = "metadata.annotations.ringfence.dev/spec-hash"
CONTAINER = "spec.containers[agent]"
ANY_ISOLATION = Settings(minimum_isolation=Isolation.NONE)


def build(
    agent: Agent, policy: SecurityPolicy | None = None, *, around: Surroundings = CAPABLE, **options: Any
) -> dict[str, Any]:
    found = effective_of(agent, policy, settings=ANY_ISOLATION, around=around)
    left = found.deadline.value if found.deadline else None
    return build_pod(agent, policy, found, **{"seconds_left": left, **options})


FULL: dict[str, Any] = {
    "command": ["python3", "-u"],
    "args": ["main.py"],
    "workingDir": "/workspace",
    "env": [
        {"name": "MODE", "value": "fast"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
    ],
    "envFrom": [{"prefix": "APP_", "configMapRef": {"name": "app"}}],
    "files": [
        {"path": "/etc/app/inline.txt", "content": "hello"},
        {"path": "/etc/app/conf", "configMap": {"name": "conf"}},
        {"path": "/etc/app/one.yaml", "configMap": {"name": "conf", "key": "one.yaml"}},
    ],
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1500m", "memory": "1024Mi"}},
    "securityPolicyRef": {"name": "p"},
    "workspace": {"size": "2Gi"},
    "maxExecutionTime": "1h",
    "nodeSelector": {"pool": "agents"},
    "tolerations": [{"key": "agents", "operator": "Exists", "effect": "NoSchedule"}],
    "priorityClassName": "low",
    "podMetadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}},
    "ports": [{"name": "http", "port": 8080}],
    "probes": {"readiness": {"httpGet": {"port": 8080}}},
}


@pytest.mark.parametrize("level", ["None", "Basic", "Container", "Secure"])
def test_a_small_agents_pod_is_as_last_looked_at(level: str) -> None:
    assert_snapshot(f"pod-small-{level.lower()}", build(make_agent(isolation=level)))


@pytest.mark.parametrize("level", ["None", "Basic", "Container", "Secure"])
def test_a_full_agents_pod_is_as_last_looked_at(level: str) -> None:
    policy = make_policy(fileSystem={"writablePaths": [{"path": "/cache", "size": "1Gi"}]}, maxExecutionTime="30m")

    assert_snapshot(f"pod-full-{level.lower()}", build(make_agent(isolation=level, **FULL), policy))


AGENT_FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("image", "other:2", {f"{CONTAINER}.image": "other:2"}),
    ("command", ["sh", "-c"], {f"{CONTAINER}.command[0]": "sh", f"{CONTAINER}.command[1]": "-c"}),
    ("args", ["x"], {f"{CONTAINER}.args[0]": "x"}),
    ("workingDir", "/srv", {f"{CONTAINER}.workingDir": "/srv"}),
    ("env", [{"name": "A", "value": "1"}], {f"{CONTAINER}.env[A].name": "A", f"{CONTAINER}.env[A].value": "1"}),
    (
        "env",
        [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
        {
            f"{CONTAINER}.env[A].name": "A",
            f"{CONTAINER}.env[A].valueFrom.configMapKeyRef.name": "c",
            f"{CONTAINER}.env[A].valueFrom.configMapKeyRef.key": "k",
        },
    ),
    ("env", [{"name": "HOME", "value": "/root"}], {f"{CONTAINER}.env[HOME].value": "/root"}),
    (
        "envFrom",
        [{"secretRef": {"name": "s"}}],
        {f"{CONTAINER}.envFrom[0].secretRef.name": "s", f"{CONTAINER}.envFrom[0].prefix": ""},
    ),
    (
        "files",
        [{"path": "/f", "content": "text"}],
        {
            "metadata.annotations.ringfence.dev/file-0": "text",
            f"{CONTAINER}.volumeMounts[/f].mountPath": "/f",
            f"{CONTAINER}.volumeMounts[/f].name": "inline-files",
            f"{CONTAINER}.volumeMounts[/f].readOnly": True,
            f"{CONTAINER}.volumeMounts[/f].subPath": "file-0",
            "spec.volumes[inline-files].name": "inline-files",
            "spec.volumes[inline-files].downwardAPI.items[0].path": "file-0",
            "spec.volumes[inline-files].downwardAPI.items[0].fieldRef.fieldPath": (
                "metadata.annotations['ringfence.dev/file-0']"
            ),
        },
    ),
    (
        "files",
        [{"path": "/f", "configMap": {"name": "c", "key": "k"}}],
        {
            f"{CONTAINER}.volumeMounts[/f].mountPath": "/f",
            f"{CONTAINER}.volumeMounts[/f].name": "file-0",
            f"{CONTAINER}.volumeMounts[/f].readOnly": True,
            f"{CONTAINER}.volumeMounts[/f].subPath": "k",
            "spec.volumes[file-0].name": "file-0",
            "spec.volumes[file-0].configMap.name": "c",
        },
    ),
    ("imagePullSecrets", [{"name": "r"}], {"spec.imagePullSecrets[r].name": "r"}),
    ("resources", {"requests": {"cpu": "200m"}}, {f"{CONTAINER}.resources.requests.cpu": "200m"}),
    ("resources", {"limits": {"memory": "1Gi"}}, {f"{CONTAINER}.resources.limits.memory": "1Gi"}),
    (
        "isolation",
        "Basic",
        {
            f"{CONTAINER}.securityContext.readOnlyRootFilesystem": False,
            f"{CONTAINER}.env": [],
            f"{CONTAINER}.env[HOME].name": None,
            f"{CONTAINER}.env[HOME].value": None,
            f"{CONTAINER}.volumeMounts": [],
            f"{CONTAINER}.volumeMounts[/tmp].mountPath": None,
            f"{CONTAINER}.volumeMounts[/tmp].name": None,
            "spec.volumes": [],
            "spec.volumes[writable-0].name": None,
            "spec.volumes[writable-0].emptyDir.sizeLimit": None,
            "spec.hostUsers": None,
        },
    ),
    ("isolation", "Secure", {"spec.runtimeClassName": "gvisor"}),
    ("connectors", [{"name": "c"}], {"metadata.labels.ringfence.dev/sidecar": "true"}),
    ("sidecar", {"update": "Immediately"}, {}),
    ("securityPolicyRef", {"name": "p"}, {"metadata.labels.ringfence.dev/policy": "p"}),
    ("quotaRef", {"name": "q"}, {}),
    (
        "workspace",
        {"size": "1Gi", "mountPath": "/w"},
        {
            f"{CONTAINER}.env[HOME].value": "/w",
            f"{CONTAINER}.volumeMounts[/w].mountPath": "/w",
            f"{CONTAINER}.volumeMounts[/w].name": "workspace",
            "spec.volumes[workspace].name": "workspace",
            "spec.volumes[workspace].persistentVolumeClaim.claimName": "a-workspace",
        },
    ),
    (
        "workspace",
        {"claimName": "kept"},
        {
            f"{CONTAINER}.env[HOME].value": "/workspace",
            f"{CONTAINER}.volumeMounts[/workspace].mountPath": "/workspace",
            f"{CONTAINER}.volumeMounts[/workspace].name": "workspace",
            "spec.volumes[workspace].name": "workspace",
            "spec.volumes[workspace].persistentVolumeClaim.claimName": "kept",
        },
    ),
    ("mode", "Task", {"spec.restartPolicy": "Never"}),
    ("restartPolicy", "OnFailure", {"spec.restartPolicy": "OnFailure"}),
    ("backoff", {"limit": 1}, {}),
    ("suspend", True, {}),
    ("maxExecutionTime", "90s", {"spec.activeDeadlineSeconds": 90}),
    ("ttlAfterFinished", "1h", {}),
    ("nodeSelector", {"pool": "a"}, {"spec.nodeSelector.pool": "a"}),
    (
        "tolerations",
        [{"key": "t", "value": "v"}],
        {"spec.tolerations[0].key": "t", "spec.tolerations[0].operator": "Equal", "spec.tolerations[0].value": "v"},
    ),
    ("priorityClassName", "low", {"spec.priorityClassName": "low"}),
    (
        "podMetadata",
        {"labels": {"x": "1"}, "annotations": {"y": "2"}},
        {"metadata.labels.x": "1", "metadata.annotations.y": "2"},
    ),
    (
        "ports",
        [{"name": "dns", "port": 53, "protocol": "UDP"}],
        {
            f"{CONTAINER}.ports[dns].name": "dns",
            f"{CONTAINER}.ports[dns].containerPort": 53,
            f"{CONTAINER}.ports[dns].protocol": "UDP",
        },
    ),
    *(
        (
            "probes",
            {kind: {"tcpSocket": {"port": 1}, "periodSeconds": 2}},
            {
                f"{CONTAINER}.{kind}Probe.tcpSocket.port": 1,
                f"{CONTAINER}.{kind}Probe.initialDelaySeconds": 0,
                f"{CONTAINER}.{kind}Probe.periodSeconds": 2,
                f"{CONTAINER}.{kind}Probe.timeoutSeconds": 1,
                f"{CONTAINER}.{kind}Probe.failureThreshold": 3,
                **({f"{CONTAINER}.{kind}Probe.successThreshold": 1} if kind == "readiness" else {}),
            },
        )
        for kind in ("startup", "readiness", "liveness")
    ),
]
KEEPS_POD = {"backoff", "sidecar", "suspend", "ttlAfterFinished", "securityPolicyRef", "quotaRef"}


@pytest.mark.parametrize(("field", "value", "expected"), AGENT_FIELDS)
def test_a_field_of_the_agent_changes_its_own_part_of_the_pod_and_nothing_else(
    field: str, value: Any, expected: dict[str, Any]
) -> None:
    before, after = build(make_agent()), build(make_agent(**{field: value}))

    changed = difference(before, after)

    assert (changed.pop(HASH, None) is None) is (field in KEEPS_POD)
    assert changed == expected


def test_the_table_has_every_field_of_an_agent() -> None:
    names = {field.alias or name for name, field in AgentSpec.model_fields.items()}

    # These two say where the pod comes from (tests/operator/reconcile/test_pool_claim.py).
    assert {field for field, _, _ in AGENT_FIELDS} == names - {"poolRef", "onMiss"}


WRITABLE = {"writablePaths": [{"path": "/cache", "size": "1Gi"}]}
POLICY_FIELDS: list[tuple[str, Any, dict[str, Any]]] = [
    ("network", {"destinations": [{"podSelector": {}}]}, {}),
    ("network", {"enabled": False}, {}),
    ("fileSystem", {"readOnlyRoot": True}, {}),
    (
        "fileSystem",
        WRITABLE,
        {
            f"{CONTAINER}.env[HOME].value": "/cache",
            f"{CONTAINER}.volumeMounts[/tmp].mountPath": None,
            f"{CONTAINER}.volumeMounts[/tmp].name": None,
            f"{CONTAINER}.volumeMounts[/cache].mountPath": "/cache",
            f"{CONTAINER}.volumeMounts[/cache].name": "writable-0",
            "spec.volumes[writable-0].emptyDir.sizeLimit": "1Gi",
        },
    ),
    ("cache", {"values": {"enabled": False}}, {}),
    ("maxExecutionTime", "90s", {"spec.activeDeadlineSeconds": 90}),
    ("runtimeClassName", "kata", {"spec.runtimeClassName": "kata"}),
    (
        "seccompProfile",
        {"type": "Localhost", "localhostProfile": "a.json"},
        {
            "spec.securityContext.seccompProfile.type": "Localhost",
            "spec.securityContext.seccompProfile.localhostProfile": "a.json",
        },
    ),
]


@pytest.mark.parametrize(("field", "value", "expected"), POLICY_FIELDS)
def test_a_field_of_the_policy_changes_its_own_part_of_the_pod_and_nothing_else(
    field: str, value: Any, expected: dict[str, Any]
) -> None:
    agent = make_agent(securityPolicyRef={"name": "p"})
    before, after = build(agent, make_policy()), build(agent, make_policy(**{field: value}))

    changed = difference(before, after)

    assert (changed.pop(HASH, None) is None) is (field in ("network", "cache"))
    assert changed == expected


def test_the_table_has_every_field_of_a_policy() -> None:
    names = {field.alias or name for name, field in SecurityPolicySpec.model_fields.items()}

    assert {field for field, _, _ in POLICY_FIELDS} == names


def test_a_read_only_root_of_the_policy_shows_below_isolation_container() -> None:
    agent = make_agent(isolation="Basic", securityPolicyRef={"name": "p"})

    changed = difference(build(agent, make_policy()), build(agent, make_policy(fileSystem={"readOnlyRoot": True})))

    assert changed[f"{CONTAINER}.securityContext.readOnlyRootFilesystem"] is True
    assert changed["spec.volumes[writable-0].emptyDir.sizeLimit"] == "64Mi"


def test_a_value_that_equals_the_default_does_not_count_as_a_change() -> None:
    spelt_out = make_agent(mode="Service", isolation="Container", suspend=False, env=[], ports=[], probes={})

    assert spec_hash(spelt_out) == spec_hash(make_agent())


def test_what_becomes_of_the_workspace_does_not_replace_the_pod() -> None:
    one, other = ({"size": "1Gi", "reclaimPolicy": policy} for policy in ("Delete", "Retain"))

    assert spec_hash(make_agent(workspace=one)) == spec_hash(make_agent(workspace=other))
    assert spec_hash(make_agent(workspace=one)) != spec_hash(make_agent())


def test_quantities_and_durations_count_by_their_value() -> None:
    one = make_agent(resources={"limits": {"cpu": "1000m"}}, maxExecutionTime="60m")
    other = make_agent(resources={"limits": {"cpu": 1}}, maxExecutionTime="1h")

    assert spec_hash(one) == spec_hash(other)


def test_the_hash_stays_what_it_was_so_that_a_new_operator_replaces_no_pod() -> None:
    assert spec_hash(make_agent()) == PINNED_SMALL
    assert spec_hash(make_agent(**FULL)) == PINNED_FULL
    assert pod_hash(make_agent(), make_policy(maxExecutionTime="1h")) == PINNED_WITH_POLICY


PINNED_SMALL = "e6fe0800c4621747839e"
PINNED_FULL = "48800a752c547aaf4d1a"
PINNED_WITH_POLICY = "e6fe0800c4621747839e.2d098dfc6eb3596e0c51"


def test_settings_and_what_the_cluster_can_do_do_not_replace_a_pod() -> None:
    agent = make_agent()

    one = build(agent)
    other = build_pod(agent, None, effective_of(agent, settings=Settings(default_memory="1Gi"), around=Surroundings()))

    assert one["spec"] != other["spec"]
    assert difference(one, other).get(HASH) is None


def test_the_hash_of_a_policy_does_not_depend_on_its_name_or_network() -> None:
    agent = make_agent()
    policy = make_policy("p", maxExecutionTime="1h")
    other = make_policy("q", maxExecutionTime="1h", network={"destinations": [{"podSelector": {}}]})

    assert pod_hash(agent, policy) == pod_hash(agent, other)


def test_a_policy_that_says_nothing_about_the_pod_leaves_the_hash_alone() -> None:
    agent = make_agent()

    assert pod_hash(agent, make_policy(network={"enabled": False})) == pod_hash(agent, None) == spec_hash(agent)


def test_the_agents_part_of_the_hash_comes_first() -> None:
    agent = make_agent()

    first, dot, second = pod_hash(agent, make_policy(maxExecutionTime="1h")).partition(".")

    assert (first, dot) == (spec_hash(agent), ".")
    assert second


@pytest.mark.parametrize("level", ["Basic", "Container", "Secure"])
@pytest.mark.parametrize("spec", [{}, FULL])
def test_a_confined_pod_passes_the_restricted_pod_security_standard(level: str, spec: dict[str, Any]) -> None:
    pod = build(make_agent(isolation=level, **spec), make_policy())["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in container["securityContext"]
    kinds = {key for volume in pod["volumes"] for key in volume if key != "name"}
    assert kinds <= {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim"}


@pytest.mark.parametrize("level", ["None", "Basic", "Container", "Secure"])
def test_no_pod_holds_a_kubernetes_token(level: str) -> None:
    pod = build(make_agent(isolation=level, **FULL), make_policy())["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod


@pytest.mark.parametrize(("level", "is_confined"), [("None", False), ("Basic", True), ("Secure", True)])
def test_a_pod_is_born_with_the_label_that_closes_it(level: str, is_confined: bool) -> None:
    labels = build(make_agent(isolation=level))["metadata"]["labels"]

    assert (labels.get("ringfence.dev/confined") == "true") is is_confined


def test_the_operators_labels_win_over_the_users() -> None:
    agent = make_agent(podMetadata={"labels": {"app.kubernetes.io/managed-by": "me", "ringfence.dev/agent": "b"}})

    labels = build(agent)["metadata"]["labels"]

    assert labels["app.kubernetes.io/managed-by"] == "ringfence"
    assert labels["ringfence.dev/agent"] == "a"


def test_the_operators_annotations_win_over_the_users() -> None:
    agent = make_agent(podMetadata={"annotations": {"ringfence.dev/spec-hash": "x"}})

    assert build(agent)["metadata"]["annotations"]["ringfence.dev/spec-hash"] == spec_hash(agent)


def test_the_clusters_policy_is_on_the_pod_of_an_agent_that_names_none() -> None:
    named = build(make_agent(securityPolicyRef={"name": "own"}), cluster_policy="default")["metadata"]["labels"]
    unnamed = build(make_agent(), cluster_policy="default")["metadata"]["labels"]

    assert named.get("ringfence.dev/policy") == "own"
    assert "ringfence.dev/cluster-policy" not in named
    assert unnamed.get("ringfence.dev/cluster-policy") == "default"


@pytest.mark.parametrize(("left", "expected"), [(None, None), (90, 90), (1, 1), (0, 1), (-5, 1)])
def test_a_deadline_is_at_least_a_second(left: int | None, expected: int | None) -> None:
    assert build(make_agent(), seconds_left=left)["spec"].get("activeDeadlineSeconds") == expected


def test_the_pod_goes_with_its_agent() -> None:
    assert build(make_agent())["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "ringfence.dev/v1alpha1",
            "kind": "Agent",
            "name": "a",
            "uid": "agent-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_a_node_without_user_namespaces_gets_a_pod_without() -> None:
    assert "hostUsers" not in build(make_agent(), around=Surroundings())["spec"]
