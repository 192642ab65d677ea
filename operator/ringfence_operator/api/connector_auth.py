"""How a sidecar logs in to a backend: methods, and the Secret that holds what each needs."""

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from ringfence_operator.api.connector_endpoint import HOST
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import DataKey, SecretName
from ringfence_operator.api.rule import Rule

UserName = Annotated[str, Field(min_length=1, max_length=255)]


class KeyPair(Model):
    """A user with a private key (JWT)."""

    user: UserName
    """The user."""

    private_key: DataKey = "private-key.p8"
    """Key in the Secret: the private key, PKCS #8 in PEM."""

    passphrase: DataKey | None = None
    """Key in the Secret: the private key's passphrase; without it, the private key is not encrypted."""


class Password(Model):
    """A user with a password."""

    user: UserName
    """The user."""

    password: DataKey = "password"  # noqa: S105 - the name of a key
    """Key in the Secret: the password."""


class OAuthClientCredentials(Model):
    """A client of an OAuth 2 authorization server (RFC 6749, section 4.4)."""

    client_id: UserName
    """The client's identifier."""

    client_secret: DataKey = "client-secret"  # noqa: S105 - the name of a key
    """Key in the Secret: the client's secret."""

    token_url: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        Rule(
            f"self.matches('^https://{HOST}(/[^[:space:]?#]*)?$')",
            "write the address of the token endpoint, such as https://login.example.com/oauth2/token: https, a name, "
            "no port and no query",
        ),
    ]
    """Address of the token endpoint; its host is opened to the sidecars besides the endpoints."""

    @property
    def token_host(self) -> str:
        """Host of the token endpoint."""
        return urlsplit(self.token_url).hostname or ""

    scopes: Annotated[Items[Annotated[str, Field(min_length=1, max_length=255)]], Field(max_length=16)] = ()
    """Scopes to ask for."""


class ProgrammaticAccessToken(Model):
    """A user with a token that stands for a password."""

    user: UserName
    """The user."""

    token: DataKey = "token"  # noqa: S105 - the name of a key
    """Key in the Secret: the token."""


class WorkloadIdentity(Model):
    """The pod's own identity: a service-account token of the cluster that the backend trusts. Needs no Secret."""

    user: UserName
    """The user that is to be bound to the identity; status.workloadIdentity says by which statement."""

    audience: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Rule("self.matches('^[-._:/a-zA-Z0-9]+$')", "write an audience such as snowflakecomputing.com"),
    ] = "snowflakecomputing.com"
    """Audience of the token; one of its own tells connectors of one namespace apart."""


def one_of(*methods: str) -> tuple[Rule, ...]:
    """Return the rules of an auth with these methods: exactly one, and a Secret where it needs one."""
    counted = " + ".join(f"(has(self.{each}) ? 1 : 0)" for each in methods)
    without = "workloadIdentity" in methods
    needs = "has(self.secretName) != has(self.workloadIdentity)" if without else "has(self.secretName)"
    says = ", which workloadIdentity does without" if without else ""
    return (
        Rule(f"{counted} == 1", f"write exactly one of {', '.join(methods)}"),
        Rule(needs, f"write secretName, the Secret that holds what the method needs{says}"),
    )


class RabbitMQAuth(Model):
    """How to log in."""

    rules: ClassVar[tuple[Rule, ...]] = one_of("password")

    secret_name: SecretName | None = None
    """Secret of the connector's namespace. Its keys are files of the sidecar; no Agent may name it."""

    password: Password | None = None
    """By user and password."""

    authority: DataKey | None = None
    """Key in the Secret: the authorities, in PEM, that a broker's certificate may come from; without it, the usual
    public ones."""


class Auth(Model):
    """How to log in."""

    rules: ClassVar[tuple[Rule, ...]] = one_of(
        "keyPair", "password", "oauthClientCredentials", "programmaticAccessToken"
    )

    secret_name: SecretName | None = None
    """Secret of the connector's namespace. Its keys are files of the sidecar; no Agent may name it."""

    key_pair: KeyPair | None = None
    """By user and key pair."""

    password: Password | None = None
    """By user and password."""

    oauth_client_credentials: OAuthClientCredentials | None = None
    """By a token that an authorization server gives to a client."""

    programmatic_access_token: ProgrammaticAccessToken | None = None
    """By user and token."""

    authority: DataKey | None = None
    """Key in the Secret: the authorities, in PEM, that an endpoint's certificate may come from; without it, the usual
    public ones."""


class SnowflakeAuth(Auth):
    """How to log in."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *one_of("keyPair", "password", "oauthClientCredentials", "programmaticAccessToken", "workloadIdentity"),
        Rule(
            "!has(self.authority) || has(self.secretName)",
            "authority is a key of the Secret, and workloadIdentity has none: leave authority out",
            ".authority",
        ),
    )

    workload_identity: WorkloadIdentity | None = None
    """By the pod's own identity."""
