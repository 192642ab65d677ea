"""Rows of the values of the back ends that are there for trying it out."""

import json
from collections.abc import Callable, Iterator

from tests.chart.chart import Body
from tests.chart.row import DIGEST, Look, Row, at, in_container, setting

PASSWORDS = {"redis": "RedisPassword0123", "rabbitmq": "BrokerPassword012"}
"""Given ones: without a cluster, the chart makes up others each time."""
DEMO: Body = {"demo": {"enabled": True, **{name: {"password": held} for name, held in PASSWORDS.items()}}}
NAMESPACE = "ringfence-demo-backends"


def demo() -> Iterator[Row]:
    """Yield the rows."""
    yield Row("demo.enabled", True, at(f"Namespace/{NAMESPACE}", "metadata", "name"), NAMESPACE)
    yield Row("demo.enabled", True, setting("REDIS_SERVICE"), f"{NAMESPACE}/redis")
    yield Row("demo.enabled", True, setting("REDIS_URL"), f"redis://redis.{NAMESPACE}.svc:6379")
    yield Row("demo.enabled", True, setting("REDIS_ADMINISTRATOR"), "/etc/ringfence/redis/administrator")
    yield Row("demo.namespace", "trial", setting("REDIS_URL"), "redis://redis.trial.svc:6379", DEMO)
    for name, tag in (("redis", "7.4"), ("rabbitmq", "3.13")):
        deployment, own = f"Deployment/{name}", f"demo.{name}"
        image = in_container(deployment, name, "image")
        yield Row("demo.namespace", "trial", at(deployment, "metadata", "namespace"), "trial", DEMO)
        policy = in_container(deployment, name, "imagePullPolicy")
        yield Row("demo.imagePullPolicy", "Always", policy, "Always", DEMO)
        yield Row(f"{own}.image.repository", "registry.example/x", image, f"registry.example/x:{tag}", DEMO)
        yield Row(f"{own}.image.tag", "9.1", image, f"docker.io/library/{name}:9.1", DEMO)
        yield Row(f"{own}.image.digest", DIGEST, image, f"docker.io/library/{name}@{DIGEST}", DEMO)
        limit = in_container(deployment, name, "resources", "limits", "cpu")
        yield Row(f"{own}.resources", {"limits": {"cpu": 2}}, limit, 2, DEMO)
    given = "Another0Password0"
    for look in (
        at("Secret/ringfence-redis", "stringData", "administrator"),
        at("Secret/redis", "stringData", "password"),
        line_of(at("Secret/redis", "stringData", "redis.conf"), "requirepass "),
    ):
        yield Row("demo.redis.password", given, look, given, DEMO)
    yield Row("demo.rabbitmq.password", given, at("Secret/rabbitmq", "stringData", "password"), given, DEMO)
    users = parsed(at("Secret/rabbitmq", "stringData", "definitions.json"), lambda held: held["users"][0]["password"])
    yield Row("demo.rabbitmq.password", given, users, given, DEMO)
    # Secrets of these names are the operator's; where the demo makes one, it is the same.
    made = at("Secret/cache", "stringData", "administrator")
    yield Row("secrets.redis.name", "cache", made, PASSWORDS["redis"], DEMO)
    made = at("Secret/ringfence-redis", "stringData", "who")
    yield Row("secrets.redis.administratorKey", "who", made, PASSWORDS["redis"], DEMO)
    yield Row("settings.redisUrl", "redis://cache:6379", at("Deployment/redis"), None, DEMO)


def line_of(look: Look, start: str) -> Look:
    """Return how to look at the rest of the line that begins so."""

    def rest(bodies: list[Body]) -> object:
        lines = str(look(bodies)).splitlines()
        return next((line.removeprefix(start) for line in lines if line.startswith(start)), None)

    return rest


def parsed(look: Look, part: Callable[[Body], object]) -> Look:
    """Return how to look at a part of a text that is JSON."""

    def inside(bodies: list[Body]) -> object:
        text = look(bodies)
        return part(json.loads(text)) if isinstance(text, str) else None

    return inside
