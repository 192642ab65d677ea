"""What the operator's settings name, and sidecars share."""

from collections.abc import Iterator

from ringfence_cli.doctor.facts import Facts, is_served
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown, warning
from ringfence_kube.objects import condition, full_name

_PAGE = "docs/operations/shared-services.md"


def check_sidecar_image(facts: Facts) -> Iterator[Finding]:
    """Agents with connectors can have a sidecar."""
    settings = facts.settings()
    if settings is None:
        return  # that there is no operator, or that we cannot see it, is said already
    if settings.get("SIDECAR_IMAGE"):
        yield ok(f"sidecars are made of {settings['SIDECAR_IMAGE']}")
        return
    fix = "set RINGFENCE_OPERATOR_SIDECAR_IMAGE (the chart's sidecar.enabled)"
    if facts.connectors.value:
        first = full_name(facts.connectors.value[0])
        yield broken(f"no image of the sidecar is set, and there is {first}: agents that name it are refused", fix)
    else:
        yield warning("no image of the sidecar is set: agents that name Connectors would be refused", fix)


def check_redis(facts: Facts) -> Iterator[Finding]:
    """The Redis that sidecars share is there, where the settings name one, and nobody says otherwise."""
    settings = facts.settings()
    if settings is not None and not settings.get("REDIS_URL"):
        yield from _without_redis(facts)
        return
    yield from _away(facts)
    if settings is None:
        return
    service = settings.get("REDIS_SERVICE", "")
    if not facts.has_redis_secret.is_known:
        yield unknown("whether the operator can log in to Redis", facts.has_redis_secret.hindrance)
    elif not facts.has_redis_secret.value:
        yield broken(
            f"Secret {facts.system}/ringfence-redis is missing: the operator cannot make users in Redis",
            f"create it with who may make users there ({_PAGE})",
        )
    if service and not facts.redis.is_known:
        yield unknown(f"whether Service {service} leads to a Redis", facts.redis.hindrance)
    elif service:
        yield _service(facts, service)
    elif not settings.get("REDIS_CIDRS"):
        yield broken(
            "RINGFENCE_OPERATOR_REDIS_URL names a Redis that sidecars cannot reach: nothing opens the way to it",
            "set RINGFENCE_OPERATOR_REDIS_SERVICE or RINGFENCE_OPERATOR_REDIS_CIDRS",
        )
    else:
        yield ok(f"sidecars share {settings['REDIS_URL']}")


def _service(facts: Facts, name: str) -> Finding:
    found, slices = facts.redis.value
    if found is None:
        return broken(
            f"Service {name} of the Redis that sidecars share does not exist",
            "start that Redis, or name the right one in RINGFENCE_OPERATOR_REDIS_SERVICE and _URL",
        )
    if not is_served(slices):
        return broken(
            f"no pod of Redis is ready behind Service {name}", "see that Redis runs, and its Service's selector"
        )
    return ok(f"Redis is ready behind Service {name}")


def _without_redis(facts: Facts) -> Iterator[Finding]:
    wanting = [each for each in facts.quotas.value if (condition(each, "Ready") or {}).get("reason") == "NoStore"]
    if wanting:
        yield broken(
            f"{full_name(wanting[0])} limits calls that agents share, and the operator has no Redis to count them in",
            f"set RINGFENCE_OPERATOR_REDIS_URL ({_PAGE}), or write scope PerAgent",
        )
    else:
        yield ok("no Redis is set: each sidecar caches for itself, and agents can share no limits on calls")


def _away(facts: Facts) -> Iterator[Finding]:
    """Yield what sidecars and the operator say of Redis."""
    told = [
        (each, said)
        for each, kind, reason in (
            *((each, "CacheReachable", "RedisUnreachable") for each in facts.connectors.value),
            *((each, "Ready", "StoreUnavailable") for each in facts.quotas.value),
        )
        if (said := condition(each, kind)) and said["reason"] == reason
    ]
    if told:
        found, said = told[0]
        yield broken(
            f"Redis is not reached: {full_name(found)} says {said['reason']}, {said.get('message', '')}",
            f"see that it runs, and that the NetworkPolicies of its namespace let sidecars and operator in ({_PAGE})",
        )


def check_default_policy(facts: Facts) -> Iterator[Finding]:
    """The policy of agents that name none exists, where the settings name one."""
    name = facts.setting("DEFAULT_POLICY")
    if not name:
        return
    if not facts.default_policy.is_known:
        yield unknown(f"whether SecurityPolicy {name} exists", facts.default_policy.hindrance)
    elif facts.default_policy.value is None:
        yield broken(
            f"SecurityPolicy {name} does not exist, which is to hold for agents that name none: they are refused",
            "create it, or name another in RINGFENCE_OPERATOR_DEFAULT_POLICY",
        )
    else:
        yield ok(f"SecurityPolicy {name} holds for agents that name none")
