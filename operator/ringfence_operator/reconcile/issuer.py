"""Who issues the cluster's service-account tokens, by its discovery document, and how Snowflake comes to trust them."""

import re
from datetime import datetime, timedelta

import structlog

from ringfence_operator.api.connector import Connector, WorkloadIdentityStatus
from ringfence_operator.api.connector_auth import SnowflakeAuth, WorkloadIdentity
from ringfence_operator.errors import KubeError
from ringfence_operator.reconcile.ports import Kube

DISCOVERY = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0; which the API server serves to whoever may ask."""
KEPT = timedelta(hours=1)
RETRY = timedelta(seconds=30)
_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")

log = structlog.get_logger()


class Issuer:
    """Asks once an hour, and only while somebody wants to know."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._issuer = ""
        self._asked: datetime | None = None

    async def current(self, now: datetime) -> str:
        """Return the issuer's URL; empty where the API server does not say it."""
        due = KEPT if self._issuer else RETRY
        if self._asked is None or now - self._asked > due:
            self._asked = now
            try:
                self._issuer = str((await self._kube.get(DISCOVERY))["issuer"])
            except (KubeError, KeyError) as error:
                log.warning("issuer.unknown", error=type(error).__name__)
        return self._issuer


def identity_of(connector: Connector) -> WorkloadIdentity | None:
    """Return the workload identity that the connector logs in with, if it does."""
    auth = connector.auth
    return auth.workload_identity if isinstance(auth, SnowflakeAuth) else None


def workload_identity(connector: Connector, issuer: str) -> WorkloadIdentityStatus | None:
    """Return the identity of the connector's sidecars, and the statement that makes its user in Snowflake."""
    identity = identity_of(connector)
    if identity is None or not issuer:
        return None
    subject = f"system:serviceaccount:{connector.metadata.namespace}:default"
    statement = (
        f"CREATE USER {_identifier(identity.user)} TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC "
        f"ISSUER = {_literal(issuer)} SUBJECT = {_literal(subject)} "
        f"OIDC_AUDIENCE_LIST = ({_literal(identity.audience)}));"
    )
    return WorkloadIdentityStatus(issuer=issuer, subject=subject, audience=identity.audience, create_user=statement)


def _identifier(name: str) -> str:
    return name if _SIMPLE.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
