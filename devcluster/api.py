"""A small client of the API server for what `up` has to write."""

import http.client
import json
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from devcluster.cluster import Cluster
from devcluster.errors import ApiError, ApiUnavailableError

FIELD_MANAGER = "devcluster"
IDLE_SECONDS = 60.0
"""A connection that was idle for longer is opened anew: the server ends it after 90 s, and a request would fail."""


class Api:
    """Requests as the administrator; one connection per thread."""

    def __init__(self, cluster: Cluster, *, timeout: float = 15) -> None:
        self._address = urlsplit(cluster.server)
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
        self._tls.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
        self._local = threading.local()

    def request(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> tuple[int, str]:
        """Return status and body; ApiUnavailableError when the server does not answer."""
        connection = self._connection()
        headers = {"Content-Type": kind, "Accept": "application/json", "User-Agent": FIELD_MANAGER}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiUnavailableError(f"{method} {path}: {error}") from error

    def get(self, path: str) -> dict[str, Any] | None:
        """Return the object, or None if there is none."""
        status, text = self.request("GET", path)
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        return self._parsed("GET", path, status, text)

    def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Apply the object on the server's side; `path` is the object's own."""
        query = f"{path}?fieldManager={FIELD_MANAGER}&force=true"
        status, text = self.request("PATCH", query, body, kind="application/apply-patch+yaml")
        return self._parsed("PATCH", path, status, text)

    def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge `body` into the object."""
        status, text = self.request("PATCH", path, body, kind="application/merge-patch+json")
        return self._parsed("PATCH", path, status, text)

    def delete(self, path: str) -> None:
        """Delete the object if it exists."""
        status, text = self.request("DELETE", path, {"gracePeriodSeconds": 0})
        if status != http.HTTPStatus.NOT_FOUND:
            self._parsed("DELETE", path, status, text)

    def is_ready(self) -> bool:
        """True once the API server says so."""
        try:
            return self.request("GET", "/readyz")[0] == http.HTTPStatus.OK
        except ApiUnavailableError:
            return False

    def _connection(self) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            host, port = str(self._address.hostname), self._address.port
            connection = http.client.HTTPSConnection(host, port, context=self._tls, timeout=self._timeout)
            self._local.connection = connection
        elif time.monotonic() - self._local.used > IDLE_SECONDS:
            connection.close()  # the next request opens it again
        self._local.used = time.monotonic()
        return connection

    @staticmethod
    def _parsed(method: str, path: str, status: int, text: str) -> dict[str, Any]:
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiError(method, path, status, text)
        parsed: dict[str, Any] = json.loads(text)
        return parsed
