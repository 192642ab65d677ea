"""Whether one SecurityPolicy is as strict as another, and whether a pod is as strict as a policy asks.

An agent that claims a warm pod may be under another policy than the one that the pod was made from. What of a policy
acts on the network and on the sidecar's cache, and how long it lets run, comes with the claim: there the agent's must
be as strict as the pool's. The rest is the pod's from its start: there the pod must be as strict as the agent's policy
asks.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ringfence_operator.api.agent_cache import AgentCache, CachedValues
from ringfence_operator.api.duration import format_duration
from ringfence_operator.api.network import Network, NetworkMode
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.security_policy import FileSystem, SecurityPolicy, SecurityPolicySpec
from ringfence_operator.resources.domains import allowed_domains, blocked_domains, further_ports
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.narrower import cidr_within, destination_within, ingress_within
from ringfence_operator.resources.port_set import Domain

CLOSED = Network(enabled=False)


def looser(policy: SecurityPolicy | None, than: SecurityPolicy | None) -> str:
    """Return the first thing in which `policy` lets more through than the other one, or nothing.

    No policy opens nothing, and leaves the cache as it is by default. What cannot be told from the two alone counts as
    more: two that are neither stricter nor looser than each other have to be allowed by name.
    """
    if policy is than:
        return ""
    return next(_more(policy, than), "")


def _more(policy: SecurityPolicy | None, than: SecurityPolicy | None) -> Iterator[str]:
    if than and than.spec.max_execution_time is not None:
        most = than.spec.max_execution_time
        given = policy.spec.max_execution_time if policy else None
        if given is None or given > most:
            yield f"maxExecutionTime is not at most {format_duration(most)}"
    yield from _cache(*(each.spec.cache if each else AgentCache() for each in (policy, than)))
    if policy is None or not policy.spec.network.enabled:
        return
    pools = than.spec.network if than else CLOSED
    if than and pools.mode is NetworkMode.AUDIT:
        # It opens every name, but not on every port: on the usual ones, and on those that its own entries name.
        others = set(further_ports(allowed_domains(policy))) - set(further_ports(allowed_domains(than)))
        yield from (f"names are allowed on port {port}" for port in sorted(others))
    else:
        if policy.spec.network.mode is NetworkMode.AUDIT:
            yield "mode is Audit"
        yield from _names(policy, than)
    homes = policy.metadata.namespace, than.metadata.namespace if than else ""
    yield from _addresses(policy.spec.network, pools, homes)


def _cache(cache: AgentCache, than: AgentCache) -> Iterator[str]:
    """What is kept, for how long, and who else sees it; what goes first where it is full lets nothing through."""
    if parse_quantity(cache.local_size) > parse_quantity(than.local_size):
        yield f"cache.localSize is not at most {than.local_size}"
    if cache.values.enabled:
        yield from (f"cache.values.{each}" for each in _values(cache.values, than.values))


def _values(values: CachedValues, than: CachedValues) -> Iterator[str]:
    if not than.enabled:
        yield "enabled is not false"
    # Each name is a circle of agents of its own: another one is not a part of the pool's.
    if values.shared_as and values.shared_as != than.shared_as:
        yield f"sharedAs is {values.shared_as}"
    if parse_quantity(values.max_size) > parse_quantity(than.max_size):
        yield f"maxSize is not at most {than.max_size}"
    if values.max_ttl > than.max_ttl:
        yield f"maxTtl is not at most {format_duration(than.max_ttl)}"


def _addresses(network: Network, pools: Network, homes: tuple[str, str]) -> Iterator[str]:
    for number, destination in enumerate(network.destinations):
        if not any(destination_within(destination, other, homes=homes) for other in pools.destinations):
            yield f"destinations[{number}] is open"
    for block in network.cidrs:
        if not any(cidr_within(block, other) for other in pools.cidrs):
            yield f"cidr {block.cidr} is open"
    for number, ingress in enumerate(network.ingress):
        if not ingress_within(ingress, pools.ingress):
            yield f"ingress[{number}] is open"


def _names(policy: SecurityPolicy, than: SecurityPolicy | None) -> Iterator[str]:
    """Names by ports: each has to be among the other's, and the other's blocks have to be kept where they matter."""
    open_ = {each.name: each for each in allowed_domains(than)} if than else {}
    blocked = {each.name: each for each in blocked_domains(policy)}
    below: dict[str, list[Domain]] = {}
    allowed = {each.name: each for each in allowed_domains(policy)}
    for each in allowed.values():
        for port in each.ports:
            if not any(port in wide.ports for wide in _covering(each.name, open_)):
                yield f"{each.name} is allowed on port {port}"
        for wide in _names_above(each.name):
            below.setdefault(wide, []).append(each)
    for block in blocked_domains(than) if than else ():
        for each in (*_covering(block.name, allowed), *below.get(block.name, ())):
            kept = (*_covering(block.name, blocked), *_covering(each.name, blocked))
            for port in each.ports:
                is_meant = not block.ports or port in block.ports
                if is_meant and not any(not other.ports or port in other.ports for other in kept):
                    yield f"{block.name} is not blocked"


def _covering(name: str, domains: dict[str, Domain]) -> Iterator[Domain]:
    """Yield those of `domains` that cover `name`: itself, and the wildcards above it."""
    return (domains[each] for each in (name, *_names_above(name)) if each in domains)


def _names_above(name: str) -> Iterator[str]:
    """Yield the wildcards that cover `name`, but for itself: `*.example.com` covers *.a.example.com."""
    labels = name.removeprefix("*.").split(".")
    return (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))


def filled(
    policy: SecurityPolicy | None, by: SecurityPolicy | None, *, is_root_read_only: bool
) -> SecurityPolicy | None:
    """Return `policy` with what the other one asks of a pod, where it is silent, or lets more be written."""
    if by is None or policy is by:
        return policy
    own, other = policy.spec if policy else SecurityPolicySpec(), by.spec
    paths, most = _paths(own.file_system), _paths(other.file_system)
    is_less = not paths or (bool(most) and _is_bounded(most, paths, is_root_read_only=is_root_read_only))
    files = FileSystem(
        read_only_root=own.file_system.read_only_root or other.file_system.read_only_root,
        writable_paths=(other if is_less else own).file_system.writable_paths,
    )
    spec = own.model_copy(
        update={
            "file_system": files,
            "runtime_class_name": own.runtime_class_name or other.runtime_class_name,
            "seccomp_profile": own.seccomp_profile or other.seccomp_profile,
        }
    )
    return (policy or by).model_copy(update={"spec": spec})


def pod_looser(policy: SecurityPolicy | None, than: SecurityPolicy | None, *, is_root_read_only: bool) -> str:
    """Return the first thing that both ask of a pod, and `policy` not as strictly, or nothing; paths: see `filled`."""
    if policy is None or than is None or policy is than:
        return ""
    own, other = policy.spec, than.spec
    if other.runtime_class_name and own.runtime_class_name not in (None, other.runtime_class_name):
        return f"runtimeClassName is not {other.runtime_class_name}"
    if other.seccomp_profile and own.seccomp_profile not in (None, other.seccomp_profile):
        return "seccompProfile is another one"
    paths, most = _paths(own.file_system), _paths(other.file_system)
    both = ((paths, most), (most, paths))
    if paths and most and not any(_is_bounded(*each, is_root_read_only=is_root_read_only) for each in both):
        return "fileSystem.writablePaths are others"
    return ""


def _paths(files: FileSystem) -> tuple[tuple[str, str], ...]:
    return tuple((each.path, each.size) for each in files.writable_paths)


def pod_lacks(policy: SecurityPolicy | None, pod: Effective) -> str:
    """Return the first thing that `policy` asks of its pods and that a pod made as `pod` says does not keep.

    Of what the policy does not speak, the pool's holds.
    """
    return next(_lacking(policy, pod), "") if policy else ""


def _lacking(policy: SecurityPolicy, pod: Effective) -> Iterator[str]:
    spec, has_root = policy.spec, pod.is_root_read_only.value
    if spec.file_system.read_only_root and not has_root:
        yield "fileSystem.readOnlyRoot"
    asked = _paths(spec.file_system)
    if asked and not _is_bounded(pod.writable_paths.value, asked, is_root_read_only=has_root):
        yield "fileSystem.writablePaths"
    if spec.runtime_class_name and (not pod.runtime_class or pod.runtime_class.value != spec.runtime_class_name):
        yield f"runtimeClassName {spec.runtime_class_name}"
    profile = spec.seccomp_profile
    if profile and pod.seccomp.value != "/".join(each for each in (profile.type, profile.localhost_profile) if each):
        yield "seccompProfile"


def _is_bounded(pod: Iterable[tuple[str, str]], asked: Iterable[tuple[str, str]], *, is_root_read_only: bool) -> bool:
    """Return True if what can be written in the pod lies in what is asked for, and is no more, place by place."""
    left = {PurePosixPath(path): parse_quantity(size) for path, size in asked}
    has = {PurePosixPath(path): parse_quantity(size) for path, size in pod}
    if not is_root_read_only:
        # Where nothing bounds the root, a directory is bounded only by being one of the pod's own.
        return all(path in has and has[path] <= size for path, size in left.items())
    for path, size in has.items():
        place = next((each for each in (path, *path.parents) if each in left), None)
        if place is None:
            return False
        left[place] -= size
    return all(size >= 0 for size in left.values())
