"""What really holds for an agent, once the agent, its policy, the cluster's ceiling and the level have spoken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ringfence_operator.api.agent import Agent, Isolation
from ringfence_operator.api.agent_status import EffectiveValue, Source
from ringfence_operator.api.duration import format_duration
from ringfence_operator.api.quantity import canonical_quantity, parse_quantity
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.quota_caps import NO_CAPS, Cap, Caps
from ringfence_operator.settings import Settings

T = TypeVar("T")
DEFAULT_REQUESTS = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
DEFAULT_SCRATCH = ("/tmp", "64Mi")  # noqa: S108  # the one place that most programs must be able to write


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """A value and where it came from."""

    value: T
    source: Source
    object: str = ""
    """Name of the quota, where one set it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the cluster can do, as far as a pod depends on it."""

    runtime_classes: frozenset[str] = frozenset()
    has_user_namespaces: bool = False


@dataclass(frozen=True, slots=True)
class Effective:
    """The values in force for one agent. Quantities are canonical strings, durations whole seconds."""

    isolation: Value[Isolation]
    requests: dict[str, str]
    limits: dict[str, Value[str]]
    deadline: Value[int] | None
    is_root_read_only: Value[bool]
    writable_paths: Value[tuple[tuple[str, str], ...]]
    runtime_class: Value[str] | None
    seccomp: Value[str]
    has_user_namespace: Value[bool]
    bandwidth: Value[str] | None = None
    """Bits a second, in each direction; None without a limit."""
    deciding: tuple[EffectiveValue, ...] = ()
    """The strictest of the limits that others than the node keep, where several quotas limit the same."""

    def rows(self) -> tuple[EffectiveValue, ...]:
        """Return the list that `Agent.status.effective` shows, by name."""
        rows: list[tuple[str, str, Source]] = [("isolation", self.isolation.value, self.isolation.source)]
        if self.deadline:
            rows.append(("maxExecutionTime", format_duration(self.deadline.value), self.deadline.source))
        for name, flag in (("readOnlyRoot", self.is_root_read_only), ("userNamespace", self.has_user_namespace)):
            rows.append((name, str(flag.value).lower(), flag.source))
        if self.writable_paths.value:
            paths = ",".join(f"{path}={size}" for path, size in self.writable_paths.value)
            rows.append(("writablePaths", paths, self.writable_paths.source))
        if self.runtime_class:
            rows.append(("runtimeClass", self.runtime_class.value, self.runtime_class.source))
        rows.append(("seccompProfile", self.seccomp.value, self.seccomp.source))
        found = [EffectiveValue(name=name, value=value[:1024], source=source) for name, value, source in rows]
        found += [
            EffectiveValue(name=name, value=limit.value, source=limit.source, object=limit.object or None)
            for name, limit in (self.limits | ({"network-bandwidth": self.bandwidth} if self.bandwidth else {})).items()
        ]
        return tuple(sorted((*found, *self.deciding), key=lambda row: row.name))


def at_least(level: Isolation, floor: Isolation) -> bool:
    """Return True if `level` confines at least as much as `floor`."""
    return level.level >= floor.level


def _isolation(agent: Agent, settings: Settings) -> Value[Isolation]:
    asked = agent.spec.isolation
    if at_least(asked, settings.minimum_isolation):
        return Value(asked, Source.AGENT)
    return Value(settings.minimum_isolation, Source.CEILING)


def _limit(asked: str | None, default: str, most: str | None) -> Value[str]:
    wanted = asked if asked is not None else default
    if most is not None and parse_quantity(wanted) > parse_quantity(most):
        return Value(canonical_quantity(most), Source.CEILING)
    return Value(canonical_quantity(wanted), Source.AGENT if asked is not None else Source.DEFAULT)


def _capped(limit: Value[str], cap: Cap | None) -> Value[str]:
    """A quota that says the same as somebody else is not what holds the agent back."""
    if cap is None or parse_quantity(cap.value) >= parse_quantity(limit.value):
        return limit
    return Value(canonical_quantity(cap.value), Source.QUOTA, cap.quota)


def _limits(agent: Agent, settings: Settings, caps: Caps) -> dict[str, Value[str]]:
    requested = agent.spec.resources.requests.by_name()
    asked = agent.spec.resources.limits.by_name()
    bounds = {
        "cpu": (settings.default_cpu, settings.maximum_cpu),
        "memory": (settings.default_memory, settings.maximum_memory),
        "ephemeral-storage": (settings.default_ephemeral_storage, settings.maximum_ephemeral_storage),
    }
    found = {}
    for name, (default, most) in bounds.items():
        wanted = asked.get(name)
        if wanted is None and name in requested and parse_quantity(requested[name]) > parse_quantity(default):
            # A limit that is not named is never below the request that is.
            wanted = requested[name]
        found[name] = _capped(_limit(wanted, default, most), caps.get(name))
    return found


def _requests(agent: Agent, limits: dict[str, Value[str]]) -> dict[str, str]:
    asked = agent.spec.resources.requests.by_name()
    return {
        name: min(asked.get(name, DEFAULT_REQUESTS[name]), limit.value, key=parse_quantity)
        for name, limit in limits.items()
    }


def _deadline(agent: Agent, policy: SecurityPolicy | None) -> Value[int] | None:
    given = []
    if agent.spec.max_execution_time is not None:
        given.append(Value(agent.spec.max_execution_time, Source.AGENT))
    if policy and policy.spec.max_execution_time is not None:
        given.append(Value(policy.spec.max_execution_time, Source.SECURITY_POLICY))
    return min(given, key=lambda each: each.value, default=None)


def _root(level: Isolation, policy: SecurityPolicy | None) -> Value[bool]:
    if at_least(level, Isolation.CONTAINER):
        return Value(True, Source.ISOLATION)
    if policy and policy.spec.file_system.read_only_root:
        return Value(True, Source.SECURITY_POLICY)
    return Value(False, Source.ISOLATION)


def _writable(
    agent: Agent, is_root_read_only: bool, policy: SecurityPolicy | None
) -> Value[tuple[tuple[str, str], ...]]:
    taken = {file.path for file in agent.spec.files}
    if agent.spec.workspace:
        taken.add(agent.spec.workspace.mount_path)
    if policy and policy.spec.file_system.writable_paths:
        paths = tuple((path.path, path.size) for path in policy.spec.file_system.writable_paths)
        source = Source.SECURITY_POLICY
    else:
        paths, source = ((DEFAULT_SCRATCH,) if is_root_read_only else ()), Source.DEFAULT
    return Value(tuple(each for each in paths if each[0] not in taken), source)


def sandbox(preferred: Sequence[str], available: frozenset[str]) -> str | None:
    """Return the first of the sandboxed runtime classes that the cluster has."""
    return next((name for name in preferred if name in available), None)


def _runtime_class(
    level: Isolation, policy: SecurityPolicy | None, settings: Settings, around: Surroundings
) -> Value[str] | None:
    named = policy.spec.runtime_class_name if policy else None
    if level is not Isolation.SECURE:
        return Value(named, Source.SECURITY_POLICY) if named else None
    if named in settings.sandboxed_runtime_classes:
        return Value(named, Source.SECURITY_POLICY)
    found = sandbox(settings.sandboxed_runtime_classes, around.runtime_classes)
    return Value(found, Source.ISOLATION) if found else None


def _seccomp(level: Isolation, policy: SecurityPolicy | None) -> Value[str]:
    profile = policy.spec.seccomp_profile if policy else None
    if profile and profile.type == "Localhost":
        return Value(f"Localhost/{profile.localhost_profile}", Source.SECURITY_POLICY)
    if profile:
        return Value("RuntimeDefault", Source.SECURITY_POLICY)
    return Value("Unconfined" if level is Isolation.NONE else "RuntimeDefault", Source.ISOLATION)


def effective(
    agent: Agent,
    policy: SecurityPolicy | None,
    settings: Settings,
    around: Surroundings,
    caps: Caps = NO_CAPS,
    *,
    deciding: tuple[EffectiveValue, ...] = (),
) -> Effective:
    """Return what holds for `agent` under `policy` and its quotas' `caps`: of two values the stricter."""
    isolation = _isolation(agent, settings)
    level = isolation.value
    limits = _limits(agent, settings, caps)
    bandwidth = caps.get("network-bandwidth")
    root = _root(level, policy)
    wants_user_namespace = at_least(level, Isolation.CONTAINER)
    return Effective(
        isolation=isolation,
        requests=_requests(agent, limits),
        limits=limits,
        deadline=_deadline(agent, policy),
        is_root_read_only=root,
        writable_paths=_writable(agent, root.value, policy),
        runtime_class=_runtime_class(level, policy, settings, around),
        seccomp=_seccomp(level, policy),
        has_user_namespace=Value(
            wants_user_namespace and around.has_user_namespaces,
            Source.CLUSTER if wants_user_namespace else Source.ISOLATION,
        ),
        bandwidth=Value(canonical_quantity(bandwidth.value), Source.QUOTA, bandwidth.quota) if bandwidth else None,
        deciding=deciding,
    )
