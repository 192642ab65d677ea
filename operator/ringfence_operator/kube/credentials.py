"""How to reach the API server and who we are there."""

import base64
import os
import ssl
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Address of the API server and our identity; PEM texts win over paths."""

    server: str
    insecure: bool = False
    ca_path: str | None = None
    ca_pem: str | None = None
    certificate_path: str | None = None
    certificate_pem: str | None = None
    private_key_path: str | None = None
    private_key_pem: str | None = None
    token: str | None = None
    token_path: str | None = None

    @classmethod
    def from_connection(cls, info: Any, *, token_path: str | None = None) -> "Credentials":
        """Take over a login's result: any object with the attributes of kopf's `ConnectionInfo`.

        That object carries a token's text, which is good for an hour; name its file to follow rotation.
        """
        return cls(
            server=str(info.server).rstrip("/"),
            insecure=bool(info.insecure),
            ca_path=_text(info.ca_path),
            ca_pem=_pem(info.ca_data),
            certificate_path=_text(info.certificate_path),
            certificate_pem=_pem(info.certificate_data),
            private_key_path=_text(info.private_key_path),
            private_key_pem=_pem(info.private_key_data),
            token=_text(info.token),
            token_path=token_path,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """Build a context that trusts the server's CA and presents our certificate. Costs milliseconds: do it once."""
        context = ssl.create_default_context(cafile=self.ca_path if self.ca_pem is None else None, cadata=self.ca_pem)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with ExitStack() as stack:
            certificate = self.certificate_path
            private_key = self.private_key_path
            if self.certificate_pem is not None:
                certificate = _on_disk(stack, self.certificate_pem)
            if self.private_key_pem is not None:
                private_key = _on_disk(stack, self.private_key_pem)
            if certificate is not None:
                context.load_cert_chain(certificate, private_key)
        return context


class BearerToken:
    """The value for the Authorization header, read again whenever the token's file changes."""

    def __init__(self, credentials: Credentials) -> None:
        self._path = credentials.token_path
        self._header = None if credentials.token is None else f"Bearer {credentials.token}"
        self._seen: tuple[int, int] | None = None

    def header(self) -> str | None:
        """Return "Bearer …", or None if we prove who we are by certificate."""
        if self._path is None:
            return self._header
        stat = os.stat(self._path)  # noqa: PTH116 - runs before every request; Path costs ten times as much
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen != self._seen:
            self._header = "Bearer " + Path(self._path).read_text(encoding="utf-8").strip()
            self._seen = seen
        return self._header


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _pem(data: str | bytes | None) -> str | None:
    """Return PEM text for what a kubeconfig may hold: PEM or its base64, as text or bytes."""
    if data is None:
        return None
    raw = data.encode() if isinstance(data, str) else data
    if b"-----BEGIN" not in raw:
        raw = base64.b64decode(raw)
    return raw.decode()


def _on_disk(stack: ExitStack, pem: str) -> str:
    """Put `pem` into a file that lives as long as `stack`: OpenSSL's loader takes no text."""
    file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))  # noqa: SIM115 - the stack closes it
    file.write(pem)
    file.flush()
    return file.name
