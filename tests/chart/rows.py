"""For each value of the chart: another one, and where it shows in what is rendered."""

from collections.abc import Iterator

from tests.chart.chart import NAMESPACE
from tests.chart.demo_rows import demo
from tests.chart.monitoring_rows import monitoring
from tests.chart.row import DIGEST, GATEWAY, OPERATOR, POD, Row, at, in_container, setting, variable

SENTINEL_URL = "redis+sentinel://cache:26379/main?tls"
REDIS, COLLECTOR, STREAM, AUTHORITY = (
    {"settings": {"redisUrl": "redis://cache:6379"}},
    {"settings": {"collectorService": "telemetry/collector"}},
    {"settings": {"auditStreamService": "telemetry/rabbitmq"}},
    "/etc/ringfence/authorities",
)


def rows() -> Iterator[Row]:
    """Yield every row."""
    yield from _installation()
    yield from demo()
    yield from _settings()
    yield from _secrets()
    for value, deployment, first in (("operator", OPERATOR, "operator"), ("gateway", GATEWAY, "envoy")):
        yield from _component(value, deployment, first)
    yield from _operator()
    yield from _gateway()
    yield from _sidecar()
    yield from _starter()
    yield from monitoring()
    yield from _everything()


def _installation() -> Iterator[Row]:
    crd = "CustomResourceDefinition/agents.ringfence.dev"
    yield Row("crds.enabled", False, at(crd), None)
    yield Row("crds.keep", False, at(crd, "metadata", "annotations"), None)
    yield Row("rbac.userRoles", False, at("ClusterRole/ringfence-edit"), None)
    binding = at("RoleBinding/ringfence-operator-agents", "roleRef", "name", namespace="team")
    yield Row("rbac.namespaces", ["team"], binding, "ringfence-operator-agents")
    for name in ("ringfence-guard", "ringfence-labels"):
        yield Row("guard.enabled", False, at(f"ValidatingAdmissionPolicy/{name}"), None)
        yield Row("guard.enabled", False, at(f"ValidatingAdmissionPolicyBinding/{name}"), None)


def _settings() -> Iterator[Row]:
    for name, given, variable_name, text in (
        ("minimumIsolation", "Container", "MINIMUM_ISOLATION", "Container"),
        ("maximumCpu", 2, "MAXIMUM_CPU", "2"),
        ("maximumMemory", "4Gi", "MAXIMUM_MEMORY", "4Gi"),
        ("maximumEphemeralStorage", 4294967296, "MAXIMUM_EPHEMERAL_STORAGE", "4294967296"),
        ("defaultCpu", "500m", "DEFAULT_CPU", "500m"),
        ("defaultMemory", "1Gi", "DEFAULT_MEMORY", "1Gi"),
        ("defaultEphemeralStorage", "2Gi", "DEFAULT_EPHEMERAL_STORAGE", "2Gi"),
        ("defaultPolicy", "team/base", "DEFAULT_POLICY", "team/base"),
        ("sandboxedRuntimeClasses", ["runsc"], "SANDBOXED_RUNTIME_CLASSES", "runsc"),
        ("podCidrs", ["10.1.0.0/16", "fd00::/64"], "POD_CIDRS", "10.1.0.0/16,fd00::/64"),
        ("reservedCidrs", ["192.168.7.0/24"], "RESERVED_CIDRS", "192.168.7.0/24"),
        ("probeImage", "", "PROBE_IMAGE", None),
        ("probeInterval", 3600000, "PROBE_INTERVAL", "3600000"),
        ("allowUnenforcedNetwork", True, "ALLOW_UNENFORCED_NETWORK", "true"),
        ("egressBackend", "none", "EGRESS_BACKEND", "none"),
        ("dnsService", "dns/core", "DNS_SERVICE", "dns/core"),
        ("gatewayResolvers", ["192.0.2.1"], "GATEWAY_RESOLVERS", "192.0.2.1"),
        ("upstreamProxy", "http://proxy:3128", "UPSTREAM_PROXY", "http://proxy:3128"),
        ("clusterDomain", "cluster.example", "CLUSTER_DOMAIN", "cluster.example"),
        ("collectorService", "telemetry/collector", "COLLECTOR_SERVICE", "telemetry/collector"),
        ("collectorService", "telemetry/collector", "COLLECTOR_TOKEN", "/etc/ringfence/telemetry/token"),
        ("collectorPort", 4319, "COLLECTOR_PORT", "4319"),
        ("auditStreamService", "telemetry/rabbitmq", "AUDIT_STREAM_SERVICE", "telemetry/rabbitmq"),
        ("auditStreamService", "telemetry/rabbitmq", "AUDIT_STREAM_CREDENTIAL", "/etc/ringfence/telemetry/stream"),
        ("auditStreamPort", 5673, "AUDIT_STREAM_PORT", "5673"),
        ("auditStreamVirtualHost", "audit", "AUDIT_STREAM_VIRTUAL_HOST", "audit"),
        ("auditStreamName", "lines", "AUDIT_STREAM_NAME", "lines"),
        ("redisService", "cache/redis", "REDIS_SERVICE", "cache/redis"),
        ("redisCidrs", ["10.9.0.7/32"], "REDIS_CIDRS", "10.9.0.7/32"),
        ("redisPort", 6380, "REDIS_PORT", "6380"),
        ("redisUrl", "rediss://cache:6379", "REDIS_URL", "rediss://cache:6379"),
        ("redisUrl", "rediss://cache:6379", "REDIS_ADMINISTRATOR", "/etc/ringfence/redis/administrator"),
        ("redisUrl", SENTINEL_URL, "REDIS_SENTINEL_CREDENTIAL", "/etc/ringfence/redis/sentinel"),
        ("bandwidthAnnotations", True, "BANDWIDTH_ANNOTATIONS", "true"),
        ("leaseSeconds", 15, "LEASE_SECONDS", "15"),
        ("httpPort", 9080, "HTTP_PORT", "9080"),
        ("workers", 32, "WORKERS", "32"),
        ("logLevel", "debug", "LOG_LEVEL", "debug"),
    ):
        yield Row(f"settings.{name}", given, setting(variable_name), text)
    yield Row("settings.egressBackend", "none", at(GATEWAY), None)
    yield Row("settings.httpPort", 9080, in_container(OPERATOR, "operator", "ports", "http", "containerPort"), 9080)
    scraped = at("NetworkPolicy/ringfence-operator", "spec", "ingress", 0, "ports", 0, "port")
    yield Row("settings.httpPort", 9080, scraped, 9080)
    alone = {"operator": {"replicas": 1}}
    yield Row("settings.leaderElect", False, setting("LEADER_ELECT"), "false", alone)
    yield Row("settings.leaderElect", False, at(OPERATOR, "spec", "strategy"), {"type": "Recreate"}, alone)


def _secrets() -> Iterator[Row]:
    mounted = at(OPERATOR, *POD, "volumes", "redis", "secret", "secretName")
    yield Row("secrets.redis.name", "cache", mounted, "cache")
    path = "/etc/ringfence/redis/who"
    yield Row("secrets.redis.administratorKey", "who", setting("REDIS_ADMINISTRATOR"), path, REDIS)
    sentinel = {"settings": {"redisUrl": SENTINEL_URL}}
    yield Row("secrets.redis.sentinelKey", "who", setting("REDIS_SENTINEL_CREDENTIAL"), path, sentinel)
    mounted = at(OPERATOR, *POD, "volumes", "telemetry", "secret", "secretName")
    yield Row("secrets.telemetry.name", "otel", mounted, "otel")
    folder = "/etc/ringfence/telemetry"
    yield Row("secrets.telemetry.collectorTokenKey", "t", setting("COLLECTOR_TOKEN"), f"{folder}/t", COLLECTOR)
    yield Row(
        "secrets.telemetry.auditStreamCredentialKey", "s", setting("AUDIT_STREAM_CREDENTIAL"), f"{folder}/s", STREAM
    )
    proxy = {"secrets": {"upstreamProxy": {"name": "proxy"}}}
    mounted = at(OPERATOR, *POD, "volumes", "upstream-proxy", "secret", "secretName")
    yield Row("secrets.upstreamProxy.name", "proxy", mounted, "proxy")
    path = "/etc/ringfence/upstream-proxy/who"
    yield Row("secrets.upstreamProxy.key", "who", setting("UPSTREAM_PROXY_CREDENTIAL"), path, proxy)
    for value, folder, name in (
        ("redis", "redis", "REDIS_AUTHORITY"),
        ("upstreamProxy", "upstream-proxy", "UPSTREAM_PROXY_AUTHORITY"),
        ("kubelet", "kubelet", "KUBELET_AUTHORITY"),
    ):
        volume = f"authority-{folder}"
        path = f"{AUTHORITY}/{folder}"
        look = at(OPERATOR, *POD, "volumes", volume, "configMap", "name")
        yield Row(f"authorities.{value}.configMap", "roots", look, "roots")
        yield Row(f"authorities.{value}.configMap", "roots", setting(name), f"{path}/ca.crt")
        look = in_container(OPERATOR, "operator", "volumeMounts", volume, "mountPath")
        yield Row(f"authorities.{value}.configMap", "roots", look, path)
        look = at(OPERATOR, *POD, "volumes", volume, "secret", "secretName")
        yield Row(f"authorities.{value}.secret", "roots", look, "roots")
        named = {"authorities": {value: {"secret": "roots"}}}
        yield Row(f"authorities.{value}.key", "root.pem", setting(name), f"{path}/root.pem", named)


def _component(value: str, deployment: str, first: str) -> Iterator[Row]:
    name = deployment.partition("/")[2]
    image = in_container(deployment, first, "image")
    yield Row(f"{value}.replicas", 3, at(deployment, "spec", "replicas"), 3)
    yield Row(f"{value}.image.repository", "registry.example/x", image, "registry.example/x:0.1.0")
    yield Row(f"{value}.image.tag", "1.2", image, f"docker.io/ringfence/{value}:1.2")
    both = {value: {"image": {"tag": "1.2"}}}
    yield Row(f"{value}.image.digest", DIGEST, image, f"docker.io/ringfence/{value}@{DIGEST}", both)
    yield Row(f"{value}.imagePullPolicy", "Always", in_container(deployment, first, "imagePullPolicy"), "Always")
    variables = [{"name": "TZ", "value": "UTC"}]
    yield Row(f"{value}.extraEnv", variables, variable("TZ", deployment, first), "UTC")
    budget = f"PodDisruptionBudget/{name}"
    yield Row(f"{value}.podDisruptionBudget.enabled", False, at(budget), None)
    allowed = at(budget, "spec", "maxUnavailable")
    yield Row(f"{value}.podDisruptionBudget.maxUnavailable", "50%", allowed, "50%")
    spread = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    selecting = {"labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}
    expected = [spread | selecting | {"matchLabelKeys": ["pod-template-hash"]}]
    yield Row(f"{value}.topologySpread", [spread], at(deployment, *POD, "topologySpreadConstraints"), expected)
    yield Row(f"{value}.priorityClassName", "high", at(deployment, *POD, "priorityClassName"), "high")
    metadata = ("spec", "template", "metadata")
    yield Row(f"{value}.podLabels", {"team": "a"}, at(deployment, *metadata, "labels", "team"), "a")
    yield Row(f"{value}.podAnnotations", {"team": "a"}, at(deployment, *metadata, "annotations"), {"team": "a"})
    nodes = {"kubernetes.io/os": "linux"}
    yield Row(f"{value}.nodeSelector", nodes, at(deployment, *POD, "nodeSelector"), nodes)
    tolerations = [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}]
    yield Row(f"{value}.tolerations", tolerations, at(deployment, *POD, "tolerations"), tolerations)
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}
    yield Row(f"{value}.affinity", affinity, at(deployment, *POD, "affinity"), affinity)


def _operator() -> Iterator[Row]:
    more = {"limits": {"cpu": 2}}
    limit = ("resources", "limits", "cpu")
    yield Row("operator.resources", more, in_container(OPERATOR, "operator", *limit), 2)
    yield Row("operator.control.resources", more, in_container(OPERATOR, "control", *limit), 2)
    name, port = "operator.control.httpPort", 9081
    yield Row(name, port, variable("RINGFENCE_CONTROL_HTTP_PORT", OPERATOR, "control"), "9081")
    yield Row(name, port, in_container(OPERATOR, "control", "ports", "control-http", "containerPort"), port)
    yield Row(name, port, at("NetworkPolicy/ringfence-operator", "spec", "ingress", 0, "ports", 1, "port"), port)
    level = variable("RINGFENCE_CONTROL_LOG_LEVEL", OPERATOR, "control")
    yield Row("operator.control.logLevel", "debug", level, "debug")


def _gateway() -> Iterator[Row]:
    more = {"limits": {"cpu": 2}}
    limit = ("resources", "limits", "cpu")
    yield Row("gateway.envoy.resources", more, in_container(GATEWAY, "envoy", *limit), 2)
    yield Row("gateway.envoy.concurrency", 4, variable("RINGFENCE_GATEWAY_CONCURRENCY", GATEWAY, "envoy"), "4")
    yield Row("gateway.names.resources", more, in_container(GATEWAY, "names", *limit), 2)
    name, port = "gateway.names.httpPort", 9082
    yield Row(name, port, variable("RINGFENCE_GATEWAY_HTTP_PORT", GATEWAY, "names"), "9082")
    yield Row(name, port, in_container(GATEWAY, "names", "ports", "http", "containerPort"), port)
    policy = "NetworkPolicy/gateway-base"
    yield Row(name, port, at(policy, "spec", "ingress", 0, "ports", 0, "port"), port)
    yield Row("gateway.names.logLevel", "debug", variable("RINGFENCE_GATEWAY_LOG_LEVEL", GATEWAY, "names"), "debug")
    variables = [{"name": "TZ", "value": "UTC"}]
    yield Row("gateway.extraEnv", variables, variable("TZ", GATEWAY, "names"), "UTC")
    peers = [{"ipBlock": {"cidr": "169.254.20.10/32"}}]
    yield Row("gateway.networkPolicy.dnsPeers", peers, at(policy, "spec", "egress", 1, "to"), peers)
    expected = [{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]
    yield Row("gateway.networkPolicy.dnsPort", 5353, at(policy, "spec", "egress", 1, "ports"), expected)
    rule = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 3128, "protocol": "TCP"}]}
    yield Row("gateway.networkPolicy.extraEgress", [rule], at(policy, "spec", "egress", 2), rule)


def _sidecar() -> Iterator[Row]:
    image = setting("SIDECAR_IMAGE")
    yield Row("sidecar.enabled", False, image, None)
    yield Row("sidecar.image.repository", "registry.example/x", image, "registry.example/x:0.1.0")
    yield Row("sidecar.image.tag", "1.2", image, "docker.io/ringfence/sidecar:1.2")
    yield Row("sidecar.image.digest", DIGEST, image, f"docker.io/ringfence/sidecar@{DIGEST}")


def _starter() -> Iterator[Row]:
    image = setting("STARTER_IMAGE")
    yield Row("starter.enabled", False, image, None)
    yield Row("starter.image.repository", "registry.example/x", image, "registry.example/x:0.1.0")
    yield Row("starter.image.tag", "1.2", image, "docker.io/ringfence/starter:1.2")
    yield Row("starter.image.digest", DIGEST, image, f"docker.io/ringfence/starter@{DIGEST}")


def _everything() -> Iterator[Row]:
    secrets = [{"name": "registry"}]
    for deployment in (OPERATOR, GATEWAY):
        yield Row("imagePullSecrets", secrets, at(deployment, *POD, "imagePullSecrets"), secrets)
    account = "ServiceAccount/ringfence-operator"
    yield Row("extraLabels", {"team": "a"}, at(account, "metadata", "labels", "team"), "a")
    yield Row("extraAnnotations", {"team": "a"}, at(account, "metadata", "annotations", "team"), "a")
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: '{{ .Release.Namespace }}'}\n"
    yield Row("extraObjects", [text], at("ConfigMap/mine", "metadata", "namespace"), NAMESPACE)
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    yield Row("extraObjects", [mine], at("ConfigMap/mine"), mine)
