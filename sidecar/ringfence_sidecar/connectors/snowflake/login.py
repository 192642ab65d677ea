"""How a session logs in. Every file is read anew: a Secret rotates in place."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from ringfence_sidecar.configuration import Auth
from ringfence_sidecar.errors import BackendError


def credentials(auth: Auth) -> dict[str, Any]:
    """Return the driver's options that prove who the session is.

    Raises BackendError (`CredentialUnusable`) if a file is missing or is not what the method takes.
    """
    method = _METHODS.get(auth.method)
    if method is None:
        raise _unusable(f"auth method {auth.method!r} is none of {', '.join(_METHODS)}")
    try:
        return method(auth)
    except KeyError as error:
        raise _unusable(f"auth method {auth.method} needs {error}") from None
    except (OSError, UnicodeDecodeError):
        raise _unusable(f"a file of auth method {auth.method} cannot be read: look at the Connector's Secret") from None


def _key_pair(auth: Auth) -> dict[str, Any]:
    options = {"authenticator": "SNOWFLAKE_JWT", "user": auth.settings["user"], "private_key": _key(auth)}
    if "passphrase" in auth.files:
        options["private_key_password"] = _text(auth, "passphrase")
    return options


def _password(auth: Auth) -> dict[str, Any]:
    return {"authenticator": "SNOWFLAKE", "user": auth.settings["user"], "password": _text(auth, "password")}


def _oauth(auth: Auth) -> dict[str, Any]:
    options = {
        "authenticator": "OAUTH_CLIENT_CREDENTIALS",
        "oauth_client_id": auth.settings["clientId"],
        "oauth_client_secret": _text(auth, "clientSecret"),
        "oauth_token_request_url": auth.settings["tokenUrl"],
    }
    optional = {"user": auth.settings.get("user"), "oauth_scope": auth.settings.get("scope")}
    return options | {name: value for name, value in optional.items() if value}


def _access_token(auth: Auth) -> dict[str, Any]:
    return {
        "authenticator": "PROGRAMMATIC_ACCESS_TOKEN",
        "user": auth.settings["user"],
        "token": _text(auth, "token"),
    }


def _workload(auth: Auth) -> dict[str, Any]:
    # The token says which user it is.
    return {
        "authenticator": "WORKLOAD_IDENTITY",
        "workload_identity_provider": "OIDC",
        "token": _text(auth, "token"),
    }


_METHODS: dict[str, Callable[[Auth], dict[str, Any]]] = {
    "keyPair": _key_pair,
    "password": _password,
    "oauthClientCredentials": _oauth,
    "programmaticAccessToken": _access_token,
    "workloadIdentity": _workload,
}


def _text(auth: Auth, purpose: str) -> str:
    """Return a secret without the line break that editors put at a file's end."""
    return auth.read(purpose).decode().rstrip("\r\n")


def _key(auth: Auth) -> str | bytes:
    raw = auth.read("privateKey")
    if b"-----BEGIN" in raw:
        return raw.decode()
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error:
        return raw


def _unusable(message: str) -> BackendError:
    return BackendError(message, code="CredentialUnusable")
