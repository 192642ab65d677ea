"""What a projected service-account token says of itself, before anybody has vouched for it. Pure."""

import binascii
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any

import orjson

AUDIENCE = "ringfence-control"
LONGEST = 8_192
_PARTS = 3
_ALGORITHMS = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"}


class BadTokenError(ValueError):
    """Not a token that could be good; the text says why, without the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it says it is, and until when (Unix seconds)."""

    pod_uid: str
    expires: float


def claims_of(token: str, *, issuer: str | None, now: float) -> Claims:
    """Return what an unverified token claims, if that could be let through (RFC 7519). Raises BadTokenError.

    `issuer` is who signs the cluster's tokens, None if that is not known.
    """
    if not token or len(token) > LONGEST or not token.isascii():
        raise BadTokenError("the token has no form of one")
    parts = token.split(".")
    if len(parts) != _PARTS or not all(parts):
        raise BadTokenError("the token is no JWT of three parts")
    if _object(parts[0]).get("alg") not in _ALGORITHMS:
        raise BadTokenError("the token is not signed by an algorithm of the API server")
    claims = _object(parts[1])
    if issuer is not None and claims.get("iss") != issuer:
        raise BadTokenError("the token is another issuer's")
    audience = claims.get("aud")
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise BadTokenError(f"the token's audience is not {AUDIENCE}: mount one that is projected for it")
    expires, begins = _number(claims, "exp"), _number(claims, "nbf")
    if not begins - 60 <= now < expires:
        raise BadTokenError("the token has expired, or does not hold yet: read its file again")
    return Claims(_pod_uid(claims), expires)


def _pod_uid(claims: dict[str, Any]) -> str:
    bound = claims.get("kubernetes.io")
    pod = bound.get("pod") if isinstance(bound, dict) else None
    uid = pod.get("uid") if isinstance(pod, dict) else None
    if not isinstance(uid, str) or not uid:
        raise BadTokenError("the token is not bound to a pod")
    return uid


def _object(part: str) -> dict[str, Any]:
    try:
        found = orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError) as error:
        raise BadTokenError("the token is no JWT: it holds no JSON") from error
    if not isinstance(found, dict):
        raise BadTokenError("the token is no JWT: it holds no JSON object")
    return found


def _number(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise BadTokenError("the token does not say from when and until when it holds")
    return float(value)
