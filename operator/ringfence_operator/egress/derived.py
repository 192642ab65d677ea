"""Credentials that the operator makes instead of keeping them: HMACs of one seed, which its Secret holds (RFC 2104)."""

import hmac
from hashlib import sha256


class Derived:
    """Makes the same credential each time; None before the seed is known."""

    def __init__(self) -> None:
        self._seed: bytes | None = None

    def know(self, seed: str) -> bool:
        """Take the seed; return True if it is another one than before."""
        before, self._seed = self._seed, seed.encode()
        return before != self._seed

    def proxy(self, connector_uid: str) -> tuple[str, str] | None:
        """Return user and password of a connector's proxy on the gateway."""
        password = self._make("proxy", connector_uid)
        return ("sidecar", password) if password is not None else None

    def redis(self, namespace: str) -> tuple[str, str] | None:
        """Return user and password of a namespace in the shared Redis."""
        password = self._make("redis", namespace)
        return (f"ringfence-{namespace}", password) if password is not None else None

    def _make(self, purpose: str, whose: str) -> str | None:
        if self._seed is None:
            return None
        return hmac.new(self._seed, f"{purpose}:{whose}".encode(), sha256).hexdigest()
