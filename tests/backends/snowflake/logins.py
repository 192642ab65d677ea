"""Who may log in: everyone, until a test names users."""

import base64
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

REFUSED = ("390100", "Incorrect username or password was specified.")
Users = Mapping[str, Mapping[str, Any]]
"""Name → `password`, `publicKey` (PEM), `token` or `oauth` (`client`, `secret`), `subject` of a workload's token."""


def refuse(data: Mapping[str, Any], users: Users) -> tuple[str, str] | None:
    """Return code and message if the login's `data` does not prove who it is, else None."""
    if not users:
        return None
    method = str(data.get("AUTHENTICATOR") or "SNOWFLAKE").upper()
    name = str(data.get("LOGIN_NAME") or "")
    known = users.get(name, {})
    check = {
        "SNOWFLAKE": _has_password,
        "SNOWFLAKE_JWT": _has_key,
        "PROGRAMMATIC_ACCESS_TOKEN": _has_token,
    }.get(method)
    if method == "WORKLOAD_IDENTITY":
        return None if any(_is_workload(data, user) for user in users.values()) else REFUSED
    if method == "OAUTH":
        # The token says whose it is; a name that is given besides must be the same.
        return None if any(_has_grant(data, user) for user in ([known] if name else users.values())) else REFUSED
    return None if check and check(data, known) else REFUSED


def access_token(form: str, authorization: str, users: Users) -> str | None:
    """Return an access token for a client that proves itself (RFC 6749, section 4.4), else None."""
    fields = dict(urllib.parse.parse_qsl(form))
    client, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    if authorization.startswith("Basic "):
        client, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        client, secret = urllib.parse.unquote_plus(client), urllib.parse.unquote_plus(secret)
    for user in users.values():
        grant = user.get("oauth") or {}
        if grant and (grant["client"], grant["secret"]) == (client, secret):
            return f"access-{client}"
    return None


def _has_password(data: Mapping[str, Any], user: Mapping[str, Any]) -> bool:
    return "password" in user and data.get("PASSWORD") == user["password"]


def _has_token(data: Mapping[str, Any], user: Mapping[str, Any]) -> bool:
    return "token" in user and data.get("TOKEN") == user["token"]


def _has_grant(data: Mapping[str, Any], user: Mapping[str, Any]) -> bool:
    return "oauth" in user and data.get("TOKEN") == f"access-{user['oauth']['client']}"


def _has_key(data: Mapping[str, Any], user: Mapping[str, Any]) -> bool:
    import jwt  # noqa: PLC0415 - fakesnow's environment has it, the tests' need not

    try:
        claims = jwt.decode(str(data.get("TOKEN")), user["publicKey"], algorithms=["RS256"])
    except (jwt.PyJWTError, KeyError):
        return False
    return str(claims["sub"]).upper().endswith("." + str(data.get("LOGIN_NAME")).upper())


def _is_workload(data: Mapping[str, Any], user: Mapping[str, Any]) -> bool:
    parts = str(data.get("TOKEN") or "").split(".")
    if data.get("PROVIDER") != "OIDC" or len(parts) != 3:
        return False
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    return bool(claims.get("sub")) and claims["sub"] == user.get("subject")
