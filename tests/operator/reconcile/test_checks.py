from typing import Any

import pytest

from ringfence_operator.api.agent import Isolation
from ringfence_operator.reconcile.checks import refusal
from ringfence_operator.resources.network_probe import Verdict
from ringfence_operator.settings import Settings
from tests.operator.reconcile.contexts import context_of, running_pod
from tests.operator.resources.objects import SETTINGS, agent_body, policy_body

Raw = dict[str, Any]
PROBING = SETTINGS.model_copy(update={"probe_image": "operator:1"})
SECURE: Raw = {"isolation": "Secure", "maxExecutionTime": "1h"}
POLICY: Raw = {"securityPolicyRef": {"name": "p"}}
OWN: Raw = {"workspace": {"size": "1Gi"}}
ADOPTED: Raw = {"workspace": {"claimName": "kept"}}


def claim(name: str, agent_uid: str = "", *, deleting: bool = False) -> Raw:
    labels = {"ringfence.dev/agent-uid": agent_uid} if agent_uid else {}
    meta: Raw = {"name": name, "namespace": "team", "uid": "c", "resourceVersion": "1", "labels": labels}
    if deleting:
        meta["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    return {"metadata": meta, "spec": {}}


KEPT = [claim("kept", "earlier")]


def sharing(name: str, *, created: str = "2026-11-23T11:00:00Z", **spec: Any) -> Raw:
    body = agent_body(name, **ADOPTED, **spec)
    body["metadata"]["creationTimestamp"] = created
    return body


CASES: list[tuple[str, Raw, Raw, str]] = [
    (
        "operator's namespace",
        {},
        {"namespace": "ringfence-system"},
        "NamespaceReserved: namespace ringfence-system is the operator's own: create the agent in another namespace",
    ),
    (
        "label",
        {},
        {"metadata": {"labels": {"ringfence.dev/agent": "x"}}},
        "LabelReserved: label ringfence.dev/agent is under ringfence.dev/, which is the operator's: remove it",
    ),
    (
        "label of a subdomain",
        {},
        {"metadata": {"labels": {"x.ringfence.dev/y": "x"}}},
        "LabelReserved: label x.ringfence.dev/y is under ringfence.dev/, which is the operator's: remove it",
    ),
    (
        "annotation",
        {},
        {"metadata": {"annotations": {"ringfence.dev/note": "x"}}},
        "LabelReserved: annotation ringfence.dev/note is under ringfence.dev/, which is the operator's: remove it",
    ),
    ("name like ours", {}, {"metadata": {"labels": {"ringfence.dev": "x", "notringfence.dev/x": "y"}}}, ""),
    (
        "isolation None",
        {"isolation": "None"},
        {},
        "IsolationNotAllowed: isolation None is not allowed in this cluster: write Basic or a stricter level",
    ),
    (
        "isolation None under a strict ceiling",
        {"isolation": "None"},
        {"settings": Settings(minimum_isolation=Isolation.CONTAINER)},
        "IsolationNotAllowed: isolation None is not allowed in this cluster: write Container or a stricter level",
    ),
    (
        "isolation None, allowed",
        {"isolation": "None"},
        {"settings": Settings(minimum_isolation=Isolation.NONE)},
        "",
    ),
    ("network probed and closed", {}, {"settings": PROBING, "network": Verdict(())}, ""),
    ("network closed a moment late", {}, {"settings": PROBING, "network": Verdict((), late=("pod",))}, ""),
    (
        "network not probed yet",
        {},
        {"settings": PROBING},
        "NetworkUnverified: whether the cluster enforces NetworkPolicies is being found out by pod "
        "ringfence-network-probe of namespace ringfence-system",
    ),
    (
        "network open",
        {},
        {"settings": PROBING, "network": Verdict(("pod", "kubelet"))},
        "NetworkNotEnforced: the cluster does not enforce NetworkPolicies: a pod that may reach nothing reached "
        "another pod and the kubelet of its node. Install a network plug-in that enforces them, or, for development "
        "only, start the operator with RINGFENCE_OPERATOR_ALLOW_UNENFORCED_NETWORK=true",
    ),
    (
        "network not probed yet, but allowed",
        {},
        {"settings": PROBING.model_copy(update={"allow_unenforced_network": True})},
        "",
    ),
    (
        "network open, but allowed",
        {},
        {
            "settings": PROBING.model_copy(update={"allow_unenforced_network": True}),
            "network": Verdict(("kubelet",)),
        },
        "",
    ),
    (
        "network open, for isolation None",
        {"isolation": "None"},
        {
            "settings": PROBING.model_copy(update={"minimum_isolation": Isolation.NONE}),
            "network": Verdict(("kubelet",)),
        },
        "",
    ),
    ("network open, where nothing is probed any more", {}, {"network": Verdict(("pod",))}, ""),
    (
        "isolation below the ceiling is raised, not refused",
        {"isolation": "Basic"},
        {"settings": Settings(minimum_isolation=Isolation.CONTAINER)},
        "",
    ),
    ("policy missing", POLICY, {}, "PolicyNotFound: SecurityPolicy p does not exist: create it, or name another one"),
    ("policy there", POLICY, {"policies": [policy_body()]}, ""),
    (
        "policy without a port set",
        POLICY,
        {"policies": [policy_body()], "settings": Settings()},
        "GatewayPending: SecurityPolicy p has no port set on the egress gateway yet; its status says why",
    ),
    (
        "policy without a port set, isolation None",
        POLICY | {"isolation": "None"},
        {"policies": [policy_body()], "settings": Settings(minimum_isolation=Isolation.NONE)},
        "",
    ),
    (
        "policy in another namespace",
        POLICY,
        {"policies": [policy_body(namespace="other")]},
        "PolicyNotFound: SecurityPolicy p does not exist: create it, or name another one",
    ),
    (
        "cluster's policy missing",
        {},
        {"settings": Settings(default_policy="sys/base")},
        "PolicyNotFound: SecurityPolicy sys/base does not exist: create it, or name another one",
    ),
    (
        "cluster's policy there",
        {},
        {
            "settings": Settings(default_policy="sys/base", egress_backend="none"),
            "policies": [policy_body("base", namespace="sys")],
        },
        "",
    ),
    (
        "runtime class missing",
        POLICY,
        {"policies": [policy_body(runtimeClassName="kata")]},
        "RuntimeClassNotFound: RuntimeClass kata, which the SecurityPolicy names, does not exist in this cluster",
    ),
    (
        "runtime class there",
        POLICY,
        {"policies": [policy_body(runtimeClassName="kata")], "runtime_classes": ["kata"]},
        "",
    ),
    (
        "no sandbox",
        SECURE,
        {},
        "RuntimeClassNotFound: isolation Secure needs one of the RuntimeClasses gvisor, kata: "
        "install one, or write Container",
    ),
    ("sandbox", SECURE, {"runtime_classes": ["kata"]}, ""),
    (
        "secure without end",
        {"isolation": "Secure"},
        {"runtime_classes": ["kata"]},
        "DeadlineRequired: isolation Secure needs a deadline: write maxExecutionTime, such as 1h, "
        "in the agent or its policy",
    ),
    (
        "secure with the policy's end",
        {"isolation": "Secure"} | POLICY,
        {"runtime_classes": ["kata"], "policies": [policy_body(maxExecutionTime="1h")]},
        "",
    ),
    ("own claim", OWN, {"claims": [claim("a-workspace", "agent-uid")]}, ""),
    ("no claim yet", OWN, {}, ""),
    (
        "an earlier agent's claim",
        OWN,
        {"claims": [claim("a-workspace", "earlier")]},
        "WorkspaceExists: claim a-workspace is an earlier agent's: write workspace.claimName: a-workspace "
        "to adopt it, or delete it",
    ),
    ("an earlier agent's claim, asked for by name", ADOPTED, {"claims": [claim("kept", "earlier")]}, ""),
    (
        "a claim that is no workspace",
        ADOPTED,
        {},
        "WorkspaceNotFound: claim kept is not a workspace that an agent left behind: "
        "name one with reclaimPolicy Retain",
    ),
    (
        "a claim on its way out",
        OWN,
        {"claims": [claim("a-workspace", "agent-uid", deleting=True)]},
        "WorkspaceInUse: claim a-workspace is being deleted; another one follows once it is gone",
    ),
    (
        "shared with an older agent",
        ADOPTED,
        {"claims": KEPT, "others": [sharing("b")]},
        "WorkspaceInUse: claim kept is used by agent b: give each agent a workspace of its own",
    ),
    (
        "shared with a younger agent",
        ADOPTED,
        {"claims": KEPT, "others": [sharing("b", created="2026-11-23T13:00:00Z")]},
        "",
    ),
    ("shared with a suspended agent", ADOPTED, {"claims": KEPT, "others": [sharing("b", suspend=True)]}, ""),
    (
        "shared in another namespace",
        ADOPTED,
        {"claims": KEPT, "others": [agent_body("b", namespace="other", **ADOPTED)]},
        "",
    ),
]


@pytest.mark.parametrize(("spec", "options", "expected"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
def test_an_agent_gets_a_pod_or_the_reason_why_not(spec: Raw, options: Raw, expected: str) -> None:
    found = refusal(context_of(spec, **options))

    assert (f"{found.reason}: {found.message}" if found else "") == expected


def test_of_two_agents_on_one_claim_exactly_one_gets_a_pod() -> None:
    first, second = agent_body("a", **ADOPTED), agent_body("b", **ADOPTED)

    found = [
        refusal(context_of(ADOPTED, claims=KEPT, others=[second], metadata=first["metadata"])),
        refusal(context_of(ADOPTED, claims=KEPT, others=[first], metadata=second["metadata"])),
    ]

    assert [each is None for each in found].count(True) == 1


def test_an_agent_that_runs_goes_on_while_the_network_is_being_probed() -> None:
    assert refusal(context_of({}, running_pod(), settings=PROBING)) is None


def test_an_agent_that_runs_on_a_claim_keeps_it() -> None:
    assert refusal(context_of(ADOPTED, running_pod(), others=[sharing("b")])) is None


@pytest.mark.parametrize(
    ("spec", "options", "stops_pod", "is_stalled"),
    [
        ({}, {"namespace": "ringfence-system"}, True, True),
        ({}, {"metadata": {"labels": {"ringfence.dev/x": "y"}}}, True, True),
        ({"isolation": "None"}, {}, True, True),
        (POLICY, {}, False, False),
        ({}, {"settings": PROBING}, False, False),
        ({}, {"settings": PROBING, "network": Verdict(("pod",))}, False, True),
        (SECURE, {}, False, True),
        (ADOPTED, {"claims": KEPT, "others": [sharing("b")]}, False, False),
    ],
)
def test_a_refusal_says_whether_a_running_pod_must_go_and_whether_waiting_helps(
    spec: Raw, options: Raw, stops_pod: bool, is_stalled: bool
) -> None:
    found = refusal(context_of(spec, **options))

    assert found is not None
    assert (found.stops_pod, found.is_stalled) == (stops_pod, is_stalled)
