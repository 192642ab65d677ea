"""The driver's options for a session with an endpoint."""

from pathlib import Path
from typing import Any

from ringfence_sidecar.configuration import Auth, Connector, Endpoint
from ringfence_sidecar.connectors.snowflake.driver import PINNED, SESSION_PARAMETERS
from ringfence_sidecar.connectors.snowflake.login import credentials
from ringfence_sidecar.connectors.snowflake.settings import account_of, settings_of


def connection_options(configuration: Connector, endpoint: Endpoint) -> dict[str, Any]:
    """Return all options, credentials among them. Raises BackendError if a credential cannot be read."""
    settings, account = settings_of(configuration), account_of(endpoint)
    options = {
        **PINNED,
        "account": account.account,
        "warehouse": account.warehouse,
        "database": settings.database,
        "schema": settings.schema,
        # Whatever roles the user has besides: the Connector's one decides.
        "secondary_roles": "NONE",
        "session_parameters": dict(SESSION_PARAMETERS),
        **_way(configuration, endpoint),
        **_authority(configuration.auth),
        **credentials(configuration.auth),
    }
    return options | ({"role": settings.role} if settings.role else {})


def needs_relay(endpoint: Endpoint) -> bool:
    """Return True if TLS must speak to one name and TCP to another address."""
    return bool(endpoint.address) and endpoint.tls


def _way(configuration: Connector, endpoint: Endpoint) -> dict[str, Any]:
    proxy = configuration.proxy
    there = {"host": endpoint.host, "port": endpoint.port, "protocol": "https" if endpoint.tls else "http"}
    if endpoint.address and not endpoint.tls:
        there |= {"host": endpoint.address, "port": endpoint.address_port or endpoint.port}
    if proxy is None or needs_relay(endpoint):
        return there
    through = {"proxy_host": proxy.host, "proxy_port": proxy.port}
    # An endpoint in the cluster is none of the gateway's: what is, is another endpoint, or who hands out tokens.
    past = {"no_proxy": endpoint.address} if endpoint.address else {}
    return there | through | {"proxy_user": proxy.username, "proxy_password": proxy.password} | past


def _authority(auth: Auth) -> dict[str, Any]:
    """An account behind a private name may have a certificate of one's own authority: its PEM is in the Secret."""
    if "authority" not in auth.files:
        return {}
    return {"custom_root_store_path": str(Path(auth.directory) / auth.files["authority"])}
