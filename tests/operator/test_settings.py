import pytest

from ringfence_operator.errors import SettingsError
from ringfence_operator.settings import PREFIX, Settings, variables


def settings(**variables: str) -> Settings:
    return Settings.from_env({f"{PREFIX}{name.upper()}": text for name, text in variables.items()})


def test_without_variables_the_defaults_hold() -> None:
    found = settings()

    assert (found.namespace, found.minimum_isolation, found.default_memory) == ("ringfence-system", "Basic", "512Mi")
    assert (found.maximum_memory, found.default_policy, found.leader_elect) == (None, None, True)


def test_other_variables_and_empty_ones_do_not_count() -> None:
    found = Settings.from_env({"PATH": "/bin", f"{PREFIX}MAXIMUM_CPU": "", "RINGFENCE_CLUSTER": "dev"})

    assert found.maximum_cpu is None


def test_every_setting_can_be_said() -> None:
    found = settings(
        namespace="sys",
        identity="pod-1",
        leader_elect="false",
        lease_seconds="15",
        minimum_isolation="Container",
        maximum_cpu="4",
        maximum_memory="8Gi",
        maximum_ephemeral_storage="20Gi",
        default_cpu="500m",
        default_memory="1Gi",
        default_ephemeral_storage="2Gi",
        default_policy="sys/base",
        sandboxed_runtime_classes="kata, gvisor,",
        pod_cidrs="10.244.0.0/16,fd53::/48",
        reserved_cidrs="192.168.0.0/16",
        probe_image="registry.example/ringfence/operator:1",
        probe_interval="3600",
        allow_unenforced_network="true",
        egress_backend="cilium",
        dns_service="dns-system/dns",
        gateway_resolvers="10.0.0.53, fd00::0053",
        upstream_proxy="http://proxy.corp.example:3128",
        upstream_proxy_credential="/etc/proxy/credential",
        upstream_proxy_authority="/etc/proxy/ca.crt",
        cluster_domain="corp.local",
        control_socket="/run/x.sock",
        sidecar_image="registry.example/ringfence/sidecar:1",
        starter_image="registry.example/ringfence/starter:1",
        collector_service="telemetry/collector",
        collector_port="4319",
        collector_token="/etc/telemetry/token",
        audit_stream_service="telemetry/rabbitmq",
        audit_stream_port="5673",
        audit_stream_virtual_host="audit",
        audit_stream_name="calls",
        audit_stream_credential="/etc/telemetry/stream",
        redis_service="cache/redis",
        redis_cidrs="10.9.0.0/24",
        redis_port="6380",
        redis_url="rediss://redis.cache.svc:6380",
        redis_administrator="/etc/redis/administrator",
        redis_sentinel_credential="/etc/redis/sentinel",
        redis_authority="/etc/redis/ca.crt",
        bandwidth_annotations="true",
        kubelet_authority="/etc/kubelets/ca.crt",
        http_port="9090",
        workers="4",
        log_level="debug",
    )

    assert found.model_dump(mode="json") == {
        "namespace": "sys",
        "identity": "pod-1",
        "leader_elect": False,
        "lease_seconds": 15,
        "minimum_isolation": "Container",
        "maximum_cpu": "4",
        "maximum_memory": "8Gi",
        "maximum_ephemeral_storage": "20Gi",
        "default_cpu": "500m",
        "default_memory": "1Gi",
        "default_ephemeral_storage": "2Gi",
        "default_policy": "sys/base",
        "sandboxed_runtime_classes": ["kata", "gvisor"],
        "pod_cidrs": ["10.244.0.0/16", "fd53::/48"],
        "reserved_cidrs": ["192.168.0.0/16"],
        "probe_image": "registry.example/ringfence/operator:1",
        "probe_interval": 3600,
        "allow_unenforced_network": True,
        "egress_backend": "cilium",
        "dns_service": "dns-system/dns",
        "gateway_resolvers": ["10.0.0.53", "fd00::53"],
        "upstream_proxy": "http://proxy.corp.example:3128",
        "upstream_proxy_credential": "/etc/proxy/credential",
        "upstream_proxy_authority": "/etc/proxy/ca.crt",
        "cluster_domain": "corp.local",
        "control_socket": "/run/x.sock",
        "sidecar_image": "registry.example/ringfence/sidecar:1",
        "starter_image": "registry.example/ringfence/starter:1",
        "collector_service": "telemetry/collector",
        "collector_port": 4319,
        "collector_token": "/etc/telemetry/token",
        "audit_stream_service": "telemetry/rabbitmq",
        "audit_stream_port": 5673,
        "audit_stream_virtual_host": "audit",
        "audit_stream_name": "calls",
        "audit_stream_credential": "/etc/telemetry/stream",
        "redis_service": "cache/redis",
        "redis_cidrs": ["10.9.0.0/24"],
        "redis_port": 6380,
        "redis_url": "rediss://redis.cache.svc:6380",
        "redis_administrator": "/etc/redis/administrator",
        "redis_sentinel_credential": "/etc/redis/sentinel",
        "redis_authority": "/etc/redis/ca.crt",
        "bandwidth_annotations": True,
        "kubelet_authority": "/etc/kubelets/ca.crt",
        "http_port": 9090,
        "workers": 4,
        "log_level": "debug",
    }


def test_the_variables_are_the_settings() -> None:
    assert len(variables()) == len(Settings.model_fields)
    assert all(each.startswith(PREFIX) and each.isupper() for each in variables())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("minimum_isolation", "Strict"),
        ("maximum_memory", "lots"),
        ("maximum_memory", "0"),
        ("maximum_cpu", "-1"),
        ("default_policy", "no-namespace"),
        ("default_policy", "a/b/c"),
        ("http_port", "0"),
        ("http_port", "web"),
        ("workers", "0"),
        ("lease_seconds", "1"),
        ("leader_elect", "maybe"),
        ("log_level", "loud"),
        ("reserved_cidrs", "10.0.0.0/8,nonsense"),
        ("pod_cidrs", "10.0.0.1/8"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_variables_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{PREFIX}{name.upper()}: "):
        settings(**{name: text})


def test_a_misspelt_variable_is_refused_with_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"MAX_MEMORY: there is no such setting.*RINGFENCE_OPERATOR_MAXIMUM_MEMORY"):
        settings(max_memory="1Gi")


def test_two_replicas_never_share_an_identity() -> None:
    assert Settings().identity != Settings().identity


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().workers = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    ["redis://h:6379", "rediss://h", "redis+sentinel://a:26379,b:26379/main?tls", "redis+cluster://a:6379,b:6379?tls"],
)
def test_a_redis_may_be_of_four_kinds(url: str) -> None:
    found = Settings.from_env(
        {
            "RINGFENCE_OPERATOR_REDIS_URL": url,
            "RINGFENCE_OPERATOR_REDIS_ADMINISTRATOR": "/etc/redis/administrator",
            "RINGFENCE_OPERATOR_REDIS_SENTINEL_CREDENTIAL": "/etc/redis/sentinel",
        }
    )

    assert found.redis_url == url


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("rediss://h:6390", (6380,)),
        ("redis+cluster://a:7000,b:7001?tls", (6380,)),
        ("redis+sentinel://a:26000,b,a:6380/main?tls", (6380, 26000, 26379)),
    ],
)
def test_a_sentinels_own_ports_are_needed_beside_the_servers(url: str, ports: tuple[int, ...]) -> None:
    settings = Settings(
        redis_url=url, redis_administrator="/admin", redis_sentinel_credential="/sentinel", redis_port=6380
    )

    assert settings.redis_ports == ports


@pytest.mark.parametrize(
    "url", ["http://h:6379", "redis://user:word@h:6379", "redis://", "redis://h:6379?x=1", "redis://h:x", "redis://h,"]
)
def test_a_redis_of_another_form_is_refused_and_so_is_one_with_a_password(url: str) -> None:
    with pytest.raises(SettingsError, match="RINGFENCE_OPERATOR_REDIS_URL"):
        Settings.from_env({"RINGFENCE_OPERATOR_REDIS_URL": url, "RINGFENCE_OPERATOR_REDIS_ADMINISTRATOR": "/a"})


def test_a_sentinel_that_does_not_speak_tls_is_refused() -> None:
    url = "redis+sentinel://a:26379/main"

    with pytest.raises(SettingsError, match=r"RINGFENCE_OPERATOR_REDIS_URL: .*with \?tls at its end"):
        Settings.from_env({"RINGFENCE_OPERATOR_REDIS_URL": url, "RINGFENCE_OPERATOR_REDIS_ADMINISTRATOR": "/a"})


def test_a_sentinel_that_asks_nobody_who_he_is_is_refused() -> None:
    url = "redis+sentinel://a:26379/main?tls"

    with pytest.raises(
        SettingsError, match=r"RINGFENCE_OPERATOR_REDIS_SENTINEL_CREDENTIAL: .*name the file with who may ask"
    ):
        Settings.from_env({"RINGFENCE_OPERATOR_REDIS_URL": url, "RINGFENCE_OPERATOR_REDIS_ADMINISTRATOR": "/a"})


def test_a_redis_without_an_administrator_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"RINGFENCE_OPERATOR_REDIS_ADMINISTRATOR: .*name the file"):
        Settings.from_env({"RINGFENCE_OPERATOR_REDIS_URL": "redis://h:6379"})


@pytest.mark.parametrize(
    ("service", "credential"),
    [("COLLECTOR_SERVICE", "COLLECTOR_TOKEN"), ("AUDIT_STREAM_SERVICE", "AUDIT_STREAM_CREDENTIAL")],
)
def test_audit_lines_go_nowhere_that_asks_sidecars_for_nothing(service: str, credential: str) -> None:
    with pytest.raises(SettingsError, match=rf"RINGFENCE_OPERATOR_{credential}: .*name the file"):
        Settings.from_env({f"RINGFENCE_OPERATOR_{service}": "telemetry/s"})
