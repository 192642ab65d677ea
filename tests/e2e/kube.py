"""The API server for many threads at once: requests, waits that watch, and commands inside containers."""

import copy
import http.client
import json
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import websocket

from tests.cluster.wire import credentials_from

Body = dict[str, Any]
Holds = Callable[[Body | None], object]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
WATCH_SECONDS = 5
LONGEST_WATCH_SECONDS = 300

PLURALS = {
    "Agent": "/apis/ringfence.dev/v1alpha1/agents",
    "Connector": "/apis/ringfence.dev/v1alpha1/connectors",
    "Quota": "/apis/ringfence.dev/v1alpha1/quotas",
    "AgentPool": "/apis/ringfence.dev/v1alpha1/agentpools",
    "SecurityPolicy": "/apis/ringfence.dev/v1alpha1/securitypolicies",
    "Pod": "/api/v1/pods",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Service": "/api/v1/services",
    "Secret": "/api/v1/secrets",
    "ConfigMap": "/api/v1/configmaps",
    "Event": "/api/v1/events",
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "ServiceAccount": "/api/v1/serviceaccounts",
    "ResourceQuota": "/api/v1/resourcequotas",
    "LimitRange": "/api/v1/limitranges",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "Deployment": "/apis/apps/v1/deployments",
    "Lease": "/apis/coordination.k8s.io/v1/leases",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "PodMonitor": "/apis/monitoring.coreos.com/v1/podmonitors",
    "ServiceMonitor": "/apis/monitoring.coreos.com/v1/servicemonitors",
    "PrometheusRule": "/apis/monitoring.coreos.com/v1/prometheusrules",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}


class RefusedError(Exception):
    """The API server said no; `status` is the HTTP status, the text is its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command inside a container ended."""

    code: int
    out: str
    err: str


def address(kind: str, namespace: str = "", name: str = "") -> str:
    """Return the path of an object, or of a collection."""
    root, _, plural = PLURALS[kind].rpartition("/")
    place = f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
    return f"{place}/{name}" if name else place


def address_of(body: Body) -> str:
    meta = body["metadata"]
    return address(body["kind"], meta.get("namespace", ""), meta["name"])


class Kube:
    """Connections are shared between threads, one request on each at a time; each wait under way has its own."""

    def __init__(self, kubeconfig: Path) -> None:
        credentials = credentials_from(kubeconfig)
        self._url = urlsplit(credentials.server)
        self._tls = credentials.ssl_context()
        self._headers = {"Authorization": f"Bearer {credentials.token}"} if credentials.token else {}
        self._idle: deque[http.client.HTTPSConnection] = deque()
        self._is_closed = False

    def as_user(self, name: str) -> "Kube":
        """Return the same as that user, whose rights hold then."""
        other = copy.copy(self)
        other._headers = {**self._headers, "Impersonate-User": name}
        return other

    def request(self, method: str, path: str, body: Body | None = None, **query: str) -> Body:
        """Return the answer's body. Raises RefusedError."""
        types = {"Accept": query.pop("accept", JSON), "Content-Type": query.pop("content_type", JSON)}
        url = f"{path}?{urlencode(query)}" if query else path
        text = json.dumps(body) if body is not None else None
        status, answer = self._send(method, url, text, types)
        found: Body = json.loads(answer) if answer.startswith("{") else {"message": answer}
        if status >= 300:
            raise RefusedError(status, str(found.get("message", found)))
        return found

    def log(self, path: str, container: str = "") -> str:
        """Return what a container of the pod at `path` has written: the only one, unless another is named.

        One that has not begun has written nothing.
        """
        query = f"?{urlencode({'container': container})}" if container else ""
        status, answer = self._send("GET", f"{path}/log{query}", None, {"Accept": "*/*"})
        if status == 204 or (status == 400 and "is waiting to start" in answer):
            return ""
        if status != 200:
            raise RefusedError(status, answer)
        return answer

    def get(self, path: str) -> Body | None:
        """Return the object, or None if there is none."""
        try:
            return self.request("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Body]:
        return list(self.request("GET", path, None, **query)["items"])

    def create(self, body: Body) -> Body:
        collection = address_of(body).rpartition("/")[0]
        return self.request("POST", collection, body, fieldValidation="Strict", fieldManager="tests")

    def apply(self, body: Body) -> Body:
        return self.request("PATCH", address_of(body), body, content_type=APPLY, fieldManager="tests", force="true")

    def merge(self, path: str, body: Body) -> Body:
        return self.request("PATCH", path, body, content_type=MERGE, fieldManager="tests", fieldValidation="Strict")

    def delete(self, path: str, **options: object) -> None:
        """Delete the object, if it is there; returns before it is gone."""
        try:
            self.request("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except RefusedError as error:
            if error.status != 404:
                raise

    def until(self, path: str, holds: Holds, *, seconds: float = 90) -> Body | None:
        """Return the object at `path` once `holds` is true of it; None stands for its absence."""
        deadline = time.monotonic() + seconds
        seen = self.get(path)
        while not holds(seen):
            left = deadline - time.monotonic()
            assert not self._is_closed, f"interrupted while {path} was {summary(seen)}"
            assert left > 0, f"after {seconds} s: {path} is {summary(seen)}"
            for event in self._watch(path, min(left, WATCH_SECONDS)):
                seen = None if event["type"] == "DELETED" else event["object"]
                if holds(seen):
                    return seen
            seen = self.get(path)
        return seen

    @contextmanager
    def watching(self, path: str, version: str) -> Iterator[Iterator[Body]]:
        """Give the events of a collection after `version`, for another thread; they end when the context does."""
        connection = self._connection(timeout=LONGEST_WATCH_SECONDS)
        query = urlencode({"watch": "1", "resourceVersion": version})
        connection.request("GET", f"{path}?{query}", headers={**self._headers, "Accept": JSON})
        answer, stream = connection.getresponse(), connection.sock
        try:
            yield _events(connection, answer)
        finally:
            with suppress(OSError):  # its reader has closed it already
                stream.shutdown(socket.SHUT_RDWR)

    def exec(self, namespace: str, pod: str, argv: list[str], *, seconds: float = 20, container: str = "") -> Ran:
        """Run a command in the pod's container."""
        query = [("command", word) for word in argv] + [("stdout", "true"), ("stderr", "true")]
        query += [("container", container)] if container else []
        path = f"{address('Pod', namespace, pod)}/exec?{urlencode(query)}"
        socket = websocket.create_connection(
            f"wss://{self._url.netloc}{path}",
            header=self._headers,
            sslopt={"context": self._tls},
            subprotocols=["v5.channel.k8s.io"],
            timeout=seconds,
        )
        try:
            return _collect(socket)
        finally:
            socket.close()

    def close(self) -> None:
        """Close what is idle, and end the waits that are under way within seconds."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _connection(self, *, timeout: float = 20) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._url.hostname or "", self._url.port, context=self._tls, timeout=timeout)

    def _send(self, method: str, url: str, text: str | None, types: dict[str, str]) -> tuple[int, str]:
        """An idle connection may have been closed by the server: go on to the next, at last to a new one."""
        while True:
            try:
                connection, is_fresh = self._idle.pop(), False
            except IndexError:
                connection, is_fresh = self._connection(), True
            try:
                connection.request(method, url, text, {**self._headers, **types})
                with connection.getresponse() as response:
                    answer = response.status, response.read().decode()
            except (ConnectionError, ssl.SSLEOFError):
                connection.close()
                if is_fresh:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self._idle.append(connection)
                return answer

    def _watch(self, path: str, seconds: float) -> Iterator[Body]:
        """Yield what happens to one object, its present state first, for at most `seconds`."""
        collection, _, name = path.rpartition("/")
        query = urlencode({"watch": "1", "fieldSelector": f"metadata.name={name}"})
        connection = self._connection(timeout=seconds)
        try:
            connection.request("GET", f"{collection}?{query}", headers={**self._headers, "Accept": JSON})
            with connection.getresponse() as response:
                while line := response.readline():
                    yield json.loads(line)
        except TimeoutError:
            return
        finally:
            connection.close()


def _events(connection: http.client.HTTPSConnection, answer: http.client.HTTPResponse) -> Iterator[Body]:
    try:
        while line := answer.readline():
            yield json.loads(line)
    except (OSError, ValueError, http.client.HTTPException):
        return  # shut down while we read
    finally:
        connection.close()


def summary(body: Body | None) -> str:
    """Return what a failed wait prints: an object's status, and little else."""
    if body is None:
        return "absent"
    kept = {"metadata": {k: body["metadata"].get(k) for k in ("generation", "deletionTimestamp", "uid")}}
    status = {key: value for key, value in (body.get("status") or {}).items() if key != "effective"}
    return json.dumps({**kept, "status": status})


def _collect(socket: websocket.WebSocket) -> Ran:
    texts = {1: b"", 2: b"", 3: b""}
    while not texts[3]:
        frame = socket.recv()
        data = frame if isinstance(frame, bytes) else frame.encode()
        if not data:
            break
        texts[data[0]] += data[1:]
    outcome = json.loads(texts[3] or b"{}")
    return Ran(_exit_code(outcome), texts[1].decode(), texts[2].decode())


def _exit_code(outcome: Body) -> int:
    if outcome.get("status") == "Success":
        return 0
    causes = outcome.get("details", {}).get("causes", [])
    codes = [int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"]
    assert codes, f"the command could not be run: {outcome.get('message', outcome)}"
    return codes[0]
