"""A plain view of the API server: one connection, JSON in and out, no client library between test and answer."""

import base64
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import yaml

Body = dict[str, Any]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
# `kubectl apply --server-side` goes by this name: what it installs later must not conflict with what a test installed.
INSTALLER = "kubectl"
MERGE = "application/merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    body: Body

    @property
    def is_ok(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    def expect(self) -> Body:
        """Return the body of a success; fail the test with the server's own words otherwise."""
        assert self.is_ok, f"{self.status}: {self.message or self.body}"
        return self.body


class ApiServer:
    """Requests on one connection, as the kubeconfig's user or as somebody whom it impersonates."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        address = urlsplit(cluster["server"])
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        tls = _tls(cluster, user, kubeconfig.parent)
        self._connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=tls, timeout=20)

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        return cls(path)

    def close(self) -> None:
        self._connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        user: str = "",
        **query: str,
    ) -> Answer:
        headers = {**self._headers, "Accept": accept, "Content-Type": content_type}
        if user:
            headers["Impersonate-User"] = user
        url = f"{path}?{urlencode(query)}" if query else path
        text = json.dumps(body) if body is not None else None
        try:
            return self._send(method, url, text, headers)
        except (http.client.RemoteDisconnected, http.client.ImproperConnectionState, ConnectionError, ssl.SSLEOFError):
            return self._send(method, url, text, headers)  # the server closes a connection that was idle for long

    def _send(self, method: str, url: str, body: str | None, headers: dict[str, str]) -> Answer:
        try:
            self._connection.request(method, url, body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except BaseException:
            self._connection.close()  # half an exchange would spoil the next one
            raise
        return Answer(response.status, json.loads(text) if text.startswith(b"{") else {"message": text.decode()})

    def create(self, body: Body, *, dry_run: bool = False, user: str = "") -> Answer:
        """Create `body`; a field that the schema does not know is an error."""
        query = {"fieldValidation": "Strict", "fieldManager": "tests", **({"dryRun": "All"} if dry_run else {})}
        return self.request("POST", collection(body), body, user=user, **query)

    def apply(self, body: Body, *, user: str = "", manager: str = "tests") -> Answer:
        """Apply `body` on the server's side, taking over what others own."""
        path = f"{collection(body)}/{body['metadata']['name']}"
        return self.request(
            "PATCH",
            path,
            body,
            content_type=APPLY,
            user=user,
            fieldManager=manager,
            force="true",
            fieldValidation="Strict",
        )

    def delete(self, body: Body) -> Answer:
        return self.request("DELETE", f"{collection(body)}/{body['metadata']['name']}")

    def wait(self, path: str, holds: Callable[[Answer], bool], *, user: str = "", seconds: float = 20) -> Answer:
        """Ask for `path` until `holds` is true of the answer; fail after `seconds`."""
        deadline = time.monotonic() + seconds
        while not holds(answer := self.request("GET", path, user=user)):
            assert time.monotonic() < deadline, f"after {seconds} s: {answer.status}: {answer.body}"
            time.sleep(0.02)
        return answer


def collection(body: Body) -> str:
    """Return the path that objects like `body` are created at."""
    version, kind = body["apiVersion"], body["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = body["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def _named(entries: list[Body], name: str) -> Body:
    return next(entry for entry in entries if entry["name"] == name)


def _tls(cluster: Body, user: Body, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority := _pem(cluster, "certificate-authority", folder):
        context.load_verify_locations(cadata=authority)
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(certificate + "\n" + key)
            pair.flush()
            context.load_cert_chain(pair.name)
    return context


def _pem(entry: Body, field: str, folder: Path) -> str:
    if data := entry.get(f"{field}-data"):
        return base64.b64decode(data).decode()
    return (folder / entry[field]).read_text() if field in entry else ""
