"""Gathers the facts: one question at a time to the API server, many at once; what we may not see is said, not fatal."""

import base64
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from ringfence_cli.doctor.certificates import authorities_end, gateway_certificate
from ringfence_cli.doctor.facts import GUARDS, OPERATOR, Certificate, Facts, Seen, settings_of
from ringfence_cli.doctor.needs import Need, needs
from ringfence_kube.api import Api
from ringfence_kube.errors import ClusterError, ForbiddenError, NotFoundError
from ringfence_kube.objects import GROUP, KINDS, Raw, collection, core, named, namespace_of

T = TypeVar("T")
DEFAULT_SYSTEM = "ringfence-system"
_THREADS = 8
_MOST_NAMESPACES = 10
"""Where agents live in more, the operator's rights are looked at in so many."""
_APPS, _NETWORK = "/apis/apps/v1", "/apis/networking.k8s.io/v1"
_ADMISSION, _REVIEWS = "/apis/admissionregistration.k8s.io/v1", "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_OF_OPERATOR = f"app.kubernetes.io/name={OPERATOR}"


def gather(api: Api, *, namespace: str, system: str | None, now: datetime, on_step: Callable[[], None]) -> Facts:
    """Return what can be seen of the cluster, and of one namespace's objects (empty: all).

    `on_step` is called now and then. Raises UnreachableError if there is no API server.
    """
    version = api.get("/version")  # whoever cannot be asked this cannot be asked anything
    with ThreadPoolExecutor(_THREADS) as pool:
        look = _Look(api, pool, on_step)
        place = system or look.system()
        found = look.all(_questions(api, place, namespace))
        deployment = named(found["deployments"].value, OPERATOR)
        settings = settings_of(deployment) if deployment else {}
        found |= look.all(_by_settings(api, place, settings))
        found["crds"] = look.crds(found["served"].value)
        agents = _namespaces(found["agents"].value)
        lacking = look.lacking(
            place, list(needs(place, agents, writes_cilium=settings.get("EGRESS_BACKEND") == "cilium"))
        )
    return Facts(now=now, system=place, namespace=namespace, version=Seen(version), lacking=lacking, **found)


def _questions(api: Api, system: str, namespace: str) -> dict[str, tuple[Callable[[], Any], Any]]:
    """Return what to ask whatever the settings are, and what holds where there is no such thing."""
    network = collection("networkpolicies", system, group=_NETWORK)
    slices = collection("endpointslices", system, group="/apis/discovery.k8s.io/v1")
    roles = collection("clusterroles", group="/apis/rbac.authorization.k8s.io/v1")
    lists = {
        "deployments": collection("deployments", system, group=_APPS),
        "pods": core("pods", system),
        "services": core("services", system),
        "slices": slices,
        "network_policies": network,
        "runtime_classes": collection("runtimeclasses", group="/apis/node.k8s.io/v1"),
        "nodes": core("nodes"),
        "agents": collection("agents", namespace),
        "pools": collection("agentpools", namespace),
        "connectors": collection("connectors", namespace),
        "quotas": collection("quotas", namespace),
        "policies": collection("securitypolicies", namespace),
    }
    lease = f"{collection('leases', system, group='/apis/coordination.k8s.io/v1')}/{OPERATOR}"
    return {
        **{name: (lambda path=path: api.items(path), []) for name, path in lists.items()},
        "served": (lambda: api.get(GROUP)["resources"], []),
        "roles": (lambda: api.items(roles, labelSelector="app.kubernetes.io/part-of=ringfence"), []),
        "lease": (lambda: api.find(lease), None),
        "unguarded": (lambda: _unguarded(api), ()),
        "certificate": (lambda: _certificate(api, system), None),
        "authorities": (lambda: _authorities(api, namespace), {}),
    }


def _by_settings(api: Api, system: str, settings: dict[str, str]) -> dict[str, tuple[Callable[[], Any], Any]]:
    """Return what to ask of the things that the operator's settings name."""
    redis, policy = settings.get("REDIS_SERVICE", ""), settings.get("DEFAULT_POLICY", "")
    secret = f"{core('secrets', system)}/ringfence-redis"
    return {
        "redis": (lambda: _service(api, redis), (None, [])),
        "has_redis_secret": (lambda: api.find(secret) is not None if settings.get("REDIS_URL") else True, False),
        "default_policy": (lambda: _policy(api, policy) if policy else None, None),
        "cilium": (lambda: _has_cilium(api) if settings.get("EGRESS_BACKEND") == "cilium" else True, False),
    }


class _Look:
    """Asks, and takes a refusal for an answer."""

    def __init__(self, api: Api, pool: ThreadPoolExecutor, on_step: Callable[[], None]) -> None:
        self._api = api
        self._pool = pool
        self._on_step = on_step

    def one(self, ask: Callable[[], T], empty: T) -> Seen[T]:
        """Return the answer; `empty` where there is no such thing."""
        try:
            return Seen(ask())
        except NotFoundError:
            return Seen(empty)
        except ForbiddenError as error:
            return Seen(empty, _without_object(str(error)))
        except ClusterError as error:
            return Seen(empty, str(error))

    def all(self, questions: dict[str, tuple[Callable[[], Any], Any]]) -> dict[str, Seen[Any]]:
        """Return the answers by name."""
        answers = self._told(self._pool.map(lambda each: self.one(*each), questions.values()))
        return dict(zip(questions, answers, strict=True))

    def _told(self, answers: Iterable[Seen[T]]) -> Iterator[Seen[T]]:
        """Yield the answers; steps are told from here, since a screen is not for many threads."""
        for answer in answers:
            self._on_step()
            yield answer

    def system(self) -> str:
        """Return where the operator is installed; where it usually is, if it is nowhere or we may not look."""
        path = collection("deployments", group=_APPS)
        found: Seen[list[Raw]] = self.one(lambda: self._api.items(path, labelSelector=_OF_OPERATOR), [])
        return namespace_of(found.value[0]) if found.value else DEFAULT_SYSTEM

    def crds(self, served: list[Raw]) -> Seen[list[Raw]]:
        """Return the CRDs of those of our kinds that are not served: they are large, and the others need no look."""
        names = {each["name"] for each in served}
        path = collection("customresourcedefinitions", group="/apis/apiextensions.k8s.io/v1")
        absent = [f"{path}/{resource}.ringfence.dev" for resource in KINDS if resource not in names]
        return self.one(lambda: [found for each in absent if (found := self._api.find(each))], [])

    def lacking(self, system: str, wanted: list[Need]) -> Seen[tuple[Need, ...]]:
        """Return which of these rights the operator lacks."""
        answers = self._told(self._pool.map(lambda need: self.one(lambda: self._may(need, system), False), wanted))
        seen = list(zip(wanted, answers, strict=True))
        hindrance = next((answer.hindrance for _, answer in seen if answer.hindrance), "")
        return Seen((), hindrance) if hindrance else Seen(tuple(need for need, may in seen if not may.value))

    def _may(self, need: Need, system: str) -> bool:
        return bool(self._api.review(_REVIEWS, need.review(system))["status"]["allowed"])


def _namespaces(agents: Iterable[Raw]) -> tuple[str, ...]:
    return tuple(sorted({namespace_of(each) for each in agents}))[:_MOST_NAMESPACES]


def _unguarded(api: Api) -> tuple[str, ...]:
    kinds = {"": "validatingadmissionpolicies", "Binding": "validatingadmissionpolicybindings"}
    return tuple(
        f"ValidatingAdmissionPolicy{suffix} {name}"
        for name in GUARDS
        for suffix, resource in kinds.items()
        if api.find(f"{collection(resource, group=_ADMISSION)}/{name}") is None
    )


def _certificate(api: Api, system: str) -> Certificate | None:
    secret = api.find(f"{core('secrets', system)}/ringfence-gateway-tls")
    if secret is None:
        return None
    data = {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
    return gateway_certificate(data.get("tls.crt", b""), data.get("ca.crt", b""))


def _authorities(api: Api, namespace: str) -> dict[str, datetime]:
    found = api.items(core("configmaps", namespace), fieldSelector="metadata.name=ringfence-authority")
    pems = {namespace_of(each): "".join((each.get("data") or {}).values()) for each in found}
    return {place: authorities_end(pem.encode()) for place, pem in pems.items()}


def _has_cilium(api: Api) -> bool:
    served = api.get("/apis/cilium.io/v2")["resources"]
    return any(each["name"] == "ciliumnetworkpolicies" for each in served)


def _service(api: Api, name: str) -> tuple[Raw | None, list[Raw]]:
    namespace, _, service = name.partition("/")
    if not service:
        return None, []
    found = api.find(f"{core('services', namespace)}/{service}")
    slices = collection("endpointslices", namespace, group="/apis/discovery.k8s.io/v1")
    behind = api.items(slices, labelSelector=f"kubernetes.io/service-name={service}") if found else []
    return found, behind


def _policy(api: Api, name: str) -> Raw | None:
    namespace, _, policy = name.partition("/")
    return api.find(f"{collection('securitypolicies', namespace)}/{policy}")


def _without_object(message: str) -> str:
    """Return what a refusal says of the user: what it says of the object before that, everybody knows."""
    return message.rpartition(" is forbidden: ")[2]
