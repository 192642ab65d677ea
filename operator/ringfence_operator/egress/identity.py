"""The certificates, kept in two Secrets of the operator's namespace; and what the control process serves with."""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from ringfence_operator import labels
from ringfence_operator.egress.certificates import Authorities, Pair, issue, new_authority
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.ports import CORE, Kube, path

AUTHORITY = "ringfence-authority"
GATEWAY_TLS = "ringfence-gateway-tls"
CONTROL = "ringfence-control"
CHECK_SECONDS = 3600.0
_SEED = "seed"
_SEED_BYTES = 32

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """What the control process serves with, and which authorities gateways' certificates come from; PEM."""

    authority: str
    certificate: str
    key: str = field(repr=False)
    seed: str = field(default="", repr=False)
    """What credentials are made of (`egress.derived`); it stays when certificates rotate."""


class Identities:
    """Keeps what is there and good; makes what is missing, broken or due."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._server: Pair | None = None

    async def current(self, now: datetime) -> Identity:
        """Have both Secrets in place, and return what to serve with; nothing is written while all is good."""
        authorities, seed = await self._authorities(now)
        await self._gateway(authorities, now)
        server = self._server
        if server is None or server.is_due(now) or not server.is_from(authorities.current):
            host = f"{CONTROL}.{self._namespace}"
            server = self._server = issue(authorities.current, [f"{host}.svc", host, CONTROL], now)
        return Identity(authorities.bundle, server.certificate_pem, server.key_pem, seed)

    async def _authorities(self, now: datetime) -> tuple[Authorities, str]:
        secret, data = await self._read(AUTHORITY)
        try:
            present = Authorities.from_data(data)
        except (KeyError, ValueError):
            present = None
        wanted = present.rotated(now) if present else Authorities(new_authority(now))
        had = data.get(_SEED, "")
        seed = had if len(had) >= _SEED_BYTES else secrets.token_hex(_SEED_BYTES)
        if wanted != present or seed != had:
            await self._write(AUTHORITY, wanted.to_data() | {_SEED: seed}, secret)
        return wanted, seed

    async def _gateway(self, authorities: Authorities, now: datetime) -> None:
        secret, data = await self._read(GATEWAY_TLS)
        try:
            present = Pair.from_pem(data["tls.crt"], data["tls.key"])
        except (KeyError, ValueError):
            present = None
        is_good = present is not None and not present.is_due(now) and present.is_from(authorities.current)
        if is_good and data.get("ca.crt") == authorities.bundle:
            return
        pair = present if is_good and present else issue(authorities.current, [labels.GATEWAY], now)
        fresh = {"ca.crt": authorities.bundle, "tls.crt": pair.certificate_pem, "tls.key": pair.key_pem}
        await self._write(GATEWAY_TLS, fresh, secret)

    def _path(self, *name: str) -> str:
        return path(CORE, self._namespace, "secrets", *name)

    async def _read(self, name: str) -> tuple[dict[str, Any] | None, dict[str, str]]:
        try:
            secret = await self._kube.get(self._path(name))
        except NotFoundError:
            return None, {}
        data = secret.get("data") or {}
        return secret, {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}

    async def _write(self, name: str, data: dict[str, str], present: dict[str, Any] | None) -> None:
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": self._namespace,
            "labels": {labels.MANAGED_BY: labels.MANAGER},
        }
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded}
        if present is None:
            await self._kube.create(self._path(), body)
        else:
            metadata["resourceVersion"] = present["metadata"]["resourceVersion"]
            await self._kube.replace(self._path(name), body)
        log.info("secret.written", secret=name)
