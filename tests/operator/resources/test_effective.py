from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.quantity import canonical_quantity, parse_quantity
from ringfence_operator.resources.effective import Surroundings, sandbox
from ringfence_operator.settings import Settings
from tests.operator.resources.objects import effective_of, make_agent, make_policy

SCRATCH = (("/tmp", "64Mi"),)


@pytest.mark.parametrize(
    ("asked", "floor", "expected", "source"),
    [
        ("None", "None", "None", "Agent"),
        ("None", "Basic", "Basic", "Ceiling"),
        ("Basic", "Basic", "Basic", "Agent"),
        ("Basic", "Container", "Container", "Ceiling"),
        ("Container", "Basic", "Container", "Agent"),
        ("Secure", "Container", "Secure", "Agent"),
        ("Container", "Secure", "Secure", "Ceiling"),
    ],
)
def test_isolation_is_never_below_the_clusters(asked: str, floor: str, expected: str, source: str) -> None:
    settings = Settings(minimum_isolation=Isolation(floor))

    found = effective_of(make_agent(isolation=asked), settings=settings).isolation

    assert (found.value, found.source) == (expected, source)


@pytest.mark.parametrize(
    ("resources", "ceiling", "expected", "source"),
    [
        ({}, None, "512Mi", "Default"),
        ({}, "256Mi", "256Mi", "Ceiling"),
        ({}, "512Mi", "512Mi", "Default"),
        ({"limits": {"memory": "1024Mi"}}, None, "1Gi", "Agent"),
        ({"limits": {"memory": "1Gi"}}, "512Mi", "512Mi", "Ceiling"),
        ({"limits": {"memory": "1Gi"}}, "1024Mi", "1Gi", "Agent"),
        ({"limits": {"memory": "128Mi"}}, "1Gi", "128Mi", "Agent"),
        ({"requests": {"memory": "2Gi"}}, "1Gi", "1Gi", "Ceiling"),
        ({"requests": {"memory": "64Mi"}}, None, "512Mi", "Default"),
    ],
)
def test_memory_limit_is_the_agents_or_the_default_and_never_above_the_ceiling(
    resources: dict[str, Any], ceiling: str | None, expected: str, source: str
) -> None:
    settings = Settings(maximum_memory=ceiling)

    found = effective_of(make_agent(resources=resources), settings=settings).limits["memory"]

    assert (found.value, found.source) == (expected, source)


def test_a_limit_that_is_not_named_is_at_least_the_request_that_is() -> None:
    found = effective_of(make_agent(resources={"requests": {"memory": "2Gi", "cpu": "3"}}))

    assert (found.limits["memory"].value, found.limits["cpu"].value) == ("2Gi", "3")
    assert found.requests == {"cpu": "3", "memory": "2Gi", "ephemeral-storage": "64Mi"}


def test_default_requests_are_small() -> None:
    assert effective_of(make_agent()).requests == {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"}


def test_a_request_is_lowered_to_the_ceiling() -> None:
    settings = Settings(maximum_cpu="50m", maximum_memory="1Gi")

    found = effective_of(make_agent(resources={"requests": {"memory": "4Gi"}}), settings=settings)

    assert found.requests == {"cpu": "50m", "memory": "1Gi", "ephemeral-storage": "64Mi"}


AMOUNTS = st.sampled_from(["1", "100m", "1500m", "2", "64", "900m"])
MAYBE = st.none() | AMOUNTS


@given(request=MAYBE, limit=MAYBE, default=AMOUNTS, ceiling=MAYBE)
def test_requests_are_within_limits_limits_within_ceilings_and_all_are_canonical(
    request: str | None, limit: str | None, default: str, ceiling: str | None
) -> None:
    given_resources = {
        kind: {"cpu": amount} for kind, amount in (("requests", request), ("limits", limit)) if amount is not None
    }
    settings = Settings(default_cpu=default, maximum_cpu=ceiling)

    found = effective_of(make_agent(resources=given_resources), settings=settings)

    requested, allowed = found.requests["cpu"], found.limits["cpu"].value
    assert parse_quantity(requested) <= parse_quantity(allowed)
    assert ceiling is None or parse_quantity(allowed) <= parse_quantity(ceiling)
    assert limit is None or parse_quantity(allowed) <= parse_quantity(limit)
    assert (requested, allowed) == (canonical_quantity(requested), canonical_quantity(allowed))


@pytest.mark.parametrize(
    ("agent", "policy", "expected", "source"),
    [
        (None, None, None, None),
        ("1h", None, 3600, "Agent"),
        (None, "1h", 3600, "SecurityPolicy"),
        ("1h", "30m", 1800, "SecurityPolicy"),
        ("30m", "1h", 1800, "Agent"),
        ("60m", "1h", 3600, "Agent"),
    ],
)
def test_the_shorter_execution_time_wins(
    agent: str | None, policy: str | None, expected: int | None, source: str | None
) -> None:
    found = effective_of(make_agent(maxExecutionTime=agent), make_policy(maxExecutionTime=policy)).deadline

    assert (found.value if found else None, found.source if found else None) == (expected, source)


@pytest.mark.parametrize(
    ("level", "policy", "is_read_only", "source"),
    [
        ("None", None, False, "Isolation"),
        ("Basic", None, False, "Isolation"),
        ("Basic", False, False, "Isolation"),
        ("Basic", True, True, "SecurityPolicy"),
        ("Container", None, True, "Isolation"),
        ("Container", False, True, "Isolation"),
        ("Secure", False, True, "Isolation"),
    ],
)
def test_the_root_is_read_only_if_the_level_or_the_policy_says_so(
    level: str, policy: bool | None, is_read_only: bool, source: str
) -> None:
    named = make_policy(fileSystem={} if policy is None else {"readOnlyRoot": policy})

    found = effective_of(make_agent(isolation=level), named, settings=Settings(minimum_isolation=Isolation.NONE))

    assert (found.is_root_read_only.value, found.is_root_read_only.source) == (is_read_only, source)


@pytest.mark.parametrize(
    ("agent", "policy", "expected", "source"),
    [
        ({"isolation": "Container"}, {}, SCRATCH, "Default"),
        ({"isolation": "Basic"}, {}, (), "Default"),
        ({"isolation": "Basic"}, {"fileSystem": {"readOnlyRoot": True}}, SCRATCH, "Default"),
        (
            {},
            {"fileSystem": {"writablePaths": [{"path": "/cache", "size": "1024Mi"}, {"path": "/run"}]}},
            (("/cache", "1Gi"), ("/run", "64Mi")),
            "SecurityPolicy",
        ),
        ({"workspace": {"size": "1Gi", "mountPath": "/tmp"}}, {}, (), "Default"),
        ({"files": [{"path": "/tmp", "configMap": {"name": "c"}}]}, {}, (), "Default"),
        (
            {"workspace": {"size": "1Gi", "mountPath": "/data"}},
            {"fileSystem": {"writablePaths": [{"path": "/data"}, {"path": "/cache"}]}},
            (("/cache", "64Mi"),),
            "SecurityPolicy",
        ),
    ],
)
def test_writable_paths_are_the_policys_or_a_small_tmp_and_never_hide_a_mount_of_the_agent(
    agent: dict[str, Any], policy: dict[str, Any], expected: tuple[tuple[str, str], ...], source: str
) -> None:
    found = effective_of(make_agent(**agent), make_policy(**policy)).writable_paths

    assert (found.value, found.source) == (expected, source)


@pytest.mark.parametrize(
    ("level", "policy", "available", "expected"),
    [
        ("Container", None, {"gvisor"}, None),
        ("Container", "kata", {"gvisor", "kata"}, ("kata", "SecurityPolicy")),
        ("Container", "runc-debug", set(), ("runc-debug", "SecurityPolicy")),
        ("Secure", None, set(), None),
        ("Secure", None, {"runc"}, None),
        ("Secure", None, {"kata"}, ("kata", "Isolation")),
        ("Secure", None, {"kata", "gvisor"}, ("gvisor", "Isolation")),
        ("Secure", "kata", {"kata", "gvisor"}, ("kata", "SecurityPolicy")),
        ("Secure", "runc-debug", {"runc-debug", "gvisor"}, ("gvisor", "Isolation")),
    ],
)
def test_isolation_secure_gets_a_sandboxed_runtime_whatever_the_policy_names(
    level: str, policy: str | None, available: set[str], expected: tuple[str, str] | None
) -> None:
    named = make_policy(runtimeClassName=policy)
    around = Surroundings(runtime_classes=frozenset(available))

    found = effective_of(make_agent(isolation=level), named, around=around).runtime_class

    assert ((found.value, found.source) if found else None) == expected


def test_the_first_preferred_sandbox_that_exists_is_taken() -> None:
    assert sandbox(("a", "b", "c"), frozenset({"c", "b"})) == "b"
    assert sandbox(("a",), frozenset({"b"})) is None


@pytest.mark.parametrize(
    ("level", "profile", "expected", "source"),
    [
        ("None", None, "Unconfined", "Isolation"),
        ("Basic", None, "RuntimeDefault", "Isolation"),
        ("Secure", None, "RuntimeDefault", "Isolation"),
        ("None", {"type": "RuntimeDefault"}, "RuntimeDefault", "SecurityPolicy"),
        ("Basic", {"type": "Localhost", "localhostProfile": "p/a.json"}, "Localhost/p/a.json", "SecurityPolicy"),
    ],
)
def test_seccomp_is_the_policys_profile_or_the_levels(
    level: str, profile: dict[str, str] | None, expected: str, source: str
) -> None:
    named = make_policy(seccompProfile=profile)

    found = effective_of(make_agent(isolation=level), named, settings=Settings(minimum_isolation=Isolation.NONE))

    assert (found.seccomp.value, found.seccomp.source) == (expected, source)


@pytest.mark.parametrize(
    ("level", "has_them", "expected", "source"),
    [
        ("Basic", True, False, "Isolation"),
        ("Container", True, True, "Cluster"),
        ("Container", False, False, "Cluster"),
        ("Secure", True, True, "Cluster"),
    ],
)
def test_user_namespaces_come_with_isolation_container_where_the_nodes_have_them(
    level: str, has_them: bool, expected: bool, source: str
) -> None:
    around = Surroundings(has_user_namespaces=has_them)

    found = effective_of(make_agent(isolation=level), around=around).has_user_namespace

    assert (found.value, found.source) == (expected, source)


def test_the_status_lists_every_value_in_force_with_its_source_by_name() -> None:
    agent = make_agent(isolation="Secure", resources={"limits": {"cpu": "500m"}}, maxExecutionTime="90m")
    policy = make_policy(seccompProfile={"type": "RuntimeDefault"})

    rows = effective_of(agent, policy, settings=Settings(maximum_memory="256Mi")).rows()

    assert [(row.name, row.value, row.source.value) for row in rows] == [
        ("cpu", "500m", "Agent"),
        ("ephemeral-storage", "1Gi", "Default"),
        ("isolation", "Secure", "Agent"),
        ("maxExecutionTime", "1h30m", "Agent"),
        ("memory", "256Mi", "Ceiling"),
        ("readOnlyRoot", "true", "Isolation"),
        ("runtimeClass", "gvisor", "Isolation"),
        ("seccompProfile", "RuntimeDefault", "SecurityPolicy"),
        ("userNamespace", "true", "Cluster"),
        ("writablePaths", "/tmp=64Mi", "Default"),
    ]


def test_values_that_do_not_hold_are_not_listed() -> None:
    names = [row.name for row in effective_of(make_agent(isolation="Basic")).rows()]

    assert not {"maxExecutionTime", "runtimeClass", "writablePaths"} & set(names)
