"""What whoever installs the operator decides for the whole cluster; no namespace can loosen it."""

from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_address, ip_network
from socket import gethostname
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.errors import SettingsError

PREFIX = "RINGFENCE_OPERATOR_"
SENTINEL_PORT = 26_379


def _quantity(text: str) -> str:
    if parse_quantity(text) <= Decimal(0):
        raise ValueError("must be more than zero, such as 512Mi or 500m")
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]
EgressBackend = Literal["envoy", "cilium", "none"]
NamePath = Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[a-z0-9.-]+$")]


def _cidr(text: str) -> str:
    return str(ip_network(text))


Cidr = Annotated[str, AfterValidator(_cidr)]


def _address(text: str) -> str:
    return str(ip_address(text))


Address = Annotated[str, AfterValidator(_address)]
_HOST = r"[A-Za-z0-9.-]+(:[0-9]{1,5})?"
_REDIS = rf"{_HOST}(,{_HOST})*(/[A-Za-z0-9._-]*)*"


def _names_its_master_over_tls(url: object) -> object:
    """Passwords go to the server that a Sentinel names, and only a certificate says which that is."""
    if str(url).startswith("redis+sentinel:") and not str(url).endswith("?tls"):
        raise ValueError("write it with ?tls at its end: a Sentinel may name another server, and passwords go there")
    return url


RedisUrl = Annotated[
    str,
    BeforeValidator(_names_its_master_over_tls),
    Field(pattern=rf"^((redis|rediss|redis\+cluster)://{_REDIS}(\?tls)?|redis\+sentinel://{_REDIS}\?tls)$"),
]
ProxyUrl = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+:[0-9]+$")]


class Settings(BaseModel):
    """The operator's settings, read from environment variables: `RINGFENCE_OPERATOR_` and the field in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = "ringfence-system"
    """Where the operator itself runs. No agent may live there, and no SecurityPolicy opens a way to it."""
    identity: str = Field(default_factory=lambda: f"{gethostname()}-{uuid4().hex[:8]}")
    """Name of this replica in the Lease, unlike every other's; the pod's name in a cluster."""
    leader_elect: bool = True
    lease_seconds: int = Field(default=10, ge=5, le=60)

    minimum_isolation: Isolation = Isolation.BASIC
    """Agents that ask for less get this. `None` is the only value that lets agents run with isolation None."""
    maximum_cpu: Quantity | None = None
    maximum_memory: Quantity | None = None
    maximum_ephemeral_storage: Quantity | None = None
    default_cpu: Quantity = "1"
    default_memory: Quantity = "512Mi"
    default_ephemeral_storage: Quantity = "1Gi"
    default_policy: NamePath | None = None
    """`namespace/name` of the SecurityPolicy that holds for agents that name none."""
    sandboxed_runtime_classes: tuple[str, ...] = ("gvisor", "kata")
    """RuntimeClasses that count as a sandbox for isolation Secure, the preferred one first."""
    pod_cidrs: tuple[Cidr, ...] = ()
    """The pods' addresses, where the nodes' podCIDRs do not name them; without either, all private ones are closed."""
    reserved_cidrs: tuple[Cidr, ...] = ()
    """Addresses no SecurityPolicy may open by CIDR, besides the nodes', pods', services' and link-local ones."""

    probe_image: str | None = None
    """Image of this operator, for the pods that find out whether NetworkPolicies are enforced; `own` is that of the pod
    named by `identity`. Without it, they are taken to be enforced."""
    probe_interval: int = Field(default=21_600, ge=60)
    """Seconds from one such probe to the next."""
    allow_unenforced_network: bool = False
    """Lets agents run although the cluster does not enforce NetworkPolicies: for development only."""

    egress_backend: EgressBackend = "envoy"
    """What judges names: `envoy`, the egress gateway; `cilium`, by CiliumNetworkPolicies; or `none`: then policies that
    name domains are refused."""
    dns_service: NamePath = "kube-system/kube-dns"
    """`namespace/name` of the Service of the cluster's DNS, which agents ask where Cilium judges names."""
    gateway_resolvers: tuple[Address, ...] = ()
    """Name servers that the gateway asks; without any, those of its pods, which are the cluster's."""
    upstream_proxy: ProxyUrl | None = None
    """HTTP proxy through which the gateway reaches the outside, such as http://proxy.corp.example:3128."""
    upstream_proxy_credential: str | None = None
    """Path of a file with who may use that proxy: user:password."""
    upstream_proxy_authority: str | None = None
    """Path of a PEM file with the authorities that an https:// upstream proxy's certificate may come from."""
    cluster_domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")] = "cluster.local"
    control_socket: str = "/run/ringfence/control.sock"
    """Where the control process of this replica listens for us."""

    sidecar_image: str | None = None
    """Image of the sidecar. Without it, agents that name connectors are refused."""
    starter_image: str | None = None
    """Image of the starter, which waits in the pods of pools. Without it, there can be no AgentPool."""
    collector_service: NamePath | None = None
    """`namespace/name` of the Service of an OpenTelemetry collector (OTLP over HTTP, without TLS): sidecars send it
    their traces, and each audit line besides standard output. The pods behind it are opened to them."""
    collector_port: int = Field(default=4318, ge=1, le=65535)
    """Port of that Service."""
    collector_token: Annotated[str | None, Field(validate_default=True)] = None
    """Path of a file with what sidecars show to the collector, as `Authorization: Bearer`: agents share their network,
    and one that is asked for nothing would take forged audit lines from them."""
    audit_stream_service: NamePath | None = None
    """`namespace/name` of the Service of a RabbitMQ (AMQP, without TLS): sidecars send each audit line to a stream
    there, besides. The pods behind it are opened to them."""
    audit_stream_port: int = Field(default=5672, ge=1, le=65535)
    """Port of that Service."""
    audit_stream_virtual_host: Annotated[str, Field(min_length=1, max_length=255)] = "/"
    audit_stream_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,255}$")] = "ringfence-audit"
    """The stream's name. It is declared if it is not there."""
    audit_stream_credential: Annotated[str | None, Field(validate_default=True)] = None
    """Path of a file with who may write to the stream: user:password."""
    redis_service: NamePath | None = None
    """`namespace/name` of the Service of the Redis that sidecars share: the pods behind it are opened to them."""
    redis_cidrs: tuple[Cidr, ...] = ()
    """Addresses of that Redis, where it is no Service of the cluster."""
    redis_port: int = Field(default=6379, ge=1, le=65535)
    """Port at `redis_cidrs`; those of a Sentinel's URL are opened there besides."""
    redis_url: RedisUrl | None = None
    """The Redis that sidecars share, without credentials: redis://host:6379, rediss://host:6379,
    redis+sentinel://host:26379,host:26379/name?tls or redis+cluster://host:6379,host:6379; ?tls has it speak TLS.
    Each namespace gets a user of its own there, which reaches its own keys only."""
    redis_administrator: Annotated[str | None, Field(validate_default=True)] = None
    """Path of a file with who may make users in that Redis: user:password, or the default user's password alone."""
    redis_sentinel_credential: Annotated[str | None, Field(validate_default=True)] = None
    """Path of a file with who may ask the Sentinel of that URL, user:password, or the password alone: agents share
    their sidecars' network, and one that is asked for nothing could have the Sentinel name another master."""
    redis_authority: str | None = None
    """Path of a PEM file with the authorities that its certificate may come from."""

    bandwidth_annotations: bool = False
    """Says that the cluster's network plug-in heeds kubernetes.io/ingress-bandwidth and egress-bandwidth. Without it,
    agents under a Quota that limits networkBandwidth are refused."""
    kubelet_authority: str | None = None
    """Path of a PEM file with the authorities that kubelets' certificates may come from, where that is not the API
    server's own. Kubelets are asked how much memory agents use."""

    http_port: int = Field(default=8080, ge=1, le=65535)
    """Port of /metrics, /healthz and /readyz."""
    workers: int = Field(default=16, ge=1, le=256)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("collector_token")
    @classmethod
    def _has_token(cls, path: str | None, found: ValidationInfo) -> str | None:
        if path is None and found.data.get("collector_service"):
            raise ValueError("name the file with the token that the collector of collector_service asks for")
        return path

    @field_validator("audit_stream_credential")
    @classmethod
    def _has_credential(cls, path: str | None, found: ValidationInfo) -> str | None:
        if path is None and found.data.get("audit_stream_service"):
            raise ValueError("name the file with who may write to the stream of audit_stream_service")
        return path

    @field_validator("redis_administrator")
    @classmethod
    def _has_administrator(cls, path: str | None, found: ValidationInfo) -> str | None:
        if path is None and found.data.get("redis_url"):
            raise ValueError("name the file with who may make users in the Redis of redis_url")
        return path

    @field_validator("redis_sentinel_credential")
    @classmethod
    def _has_sentinel_credential(cls, path: str | None, found: ValidationInfo) -> str | None:
        if path is None and str(found.data.get("redis_url")).startswith("redis+sentinel:"):
            raise ValueError("name the file with who may ask the Sentinel of redis_url, and have it refuse all others")
        return path

    @property
    def redis_ports(self) -> tuple[int, ...]:
        """What sidecars need at `redis_cidrs`: the server's port, and those of the Sentinels that name it."""
        url = urlsplit(self.redis_url or "")
        sentinels = url.netloc.split(",") if url.scheme == "redis+sentinel" else ()
        ports = (int(each.partition(":")[2] or SENTINEL_PORT) for each in sentinels)
        return tuple(sorted({self.redis_port, *ports}))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings that `environ` holds; lists are comma separated.

        Raises SettingsError, naming the variable, for a value that does not fit and for a name that is not known.
        """
        values: dict[str, object] = {}
        for name, text in environ.items():
            if not name.startswith(PREFIX) or not text:
                continue
            field = name.removeprefix(PREFIX).lower()
            if field not in cls.model_fields:
                raise SettingsError(f"{name}: there is no such setting; the settings are {', '.join(variables())}")
            is_list = isinstance(cls.model_fields[field].default, tuple)
            values[field] = tuple(part.strip() for part in text.split(",") if part.strip()) if is_list else text
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            where = PREFIX + "_".join(str(part) for part in problem["loc"][:1]).upper()
            raise SettingsError(f"{where}: {problem['msg']}") from error


def variables() -> list[str]:
    """Return the names of the environment variables that hold the settings."""
    return [PREFIX + name.upper() for name in Settings.model_fields]
