"""A cluster that answers from memory: what a real one said once, and what a test has changed since."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from click.testing import CliRunner, Result

from ringfence_cli.app import app
from ringfence_cli.options import Context
from ringfence_kube.api import Api
from ringfence_kube.connection import Connection, Target
from ringfence_kube.errors import UnreachableError
from ringfence_kube.objects import KINDS, Raw, collection
from ringfence_kube.transport import Answer, Channel

RECORDED = Path(__file__).parent / "recorded/cluster.json"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
NAMESPACE = "lab"


class Cluster:
    """Implements Transport. Collections may be asked for whole, for a namespace, and for one object."""

    def __init__(self, documents: Mapping[str, Raw], collections: Mapping[str, Raw]) -> None:
        self.documents = dict(documents)
        self.collections = dict(collections)
        self.logs: dict[str, list[bytes]] = {}
        self.forbidden: Callable[[str, str], bool] = lambda *_: False
        self.may: Callable[[Raw], bool] = lambda _: True
        """Whether the operator has a right, by a review's resourceAttributes."""
        self.is_away = False
        self.next_statuses: list[Raw] = []
        self.asked: list[str] = []
        self.made: list[Raw] = []
        self.targets: list[Target] = []
        self.begin: Callable[[Sequence[str]], Channel] | None = None
        """What becomes of a command in a pod."""

    @classmethod
    def recorded(cls) -> "Cluster":
        """Return one that has everything installed, with two agents, as the real one had when it was asked."""
        found = json.loads(RECORDED.read_text())
        return cls(found["documents"], found["collections"])

    @classmethod
    def empty(cls) -> "Cluster":
        """Return one that has our kinds, and no objects."""
        found = json.loads(RECORDED.read_text())
        ours = {
            collection(resource): {"apiVersion": "ringfence.dev/v1alpha1", "kind": kind, "items": []}
            for resource, kind in KINDS.items()
        }
        pods = {"/api/v1/pods": {"apiVersion": "v1", "kind": "Pod", "items": []}}
        return cls(found["documents"], {**ours, **pods})

    def items(self, path: str) -> list[Raw]:
        """Return the objects of a collection, to be changed."""
        found: list[Raw] = self.collections[path]["items"]
        return found

    def one(self, path: str, name: str) -> Raw:
        """Return an object of a collection, to be changed."""
        return next(each for each in self.items(path) if each["metadata"]["name"] == name)

    def remove(self, path: str, name: str) -> None:
        """Take an object away."""
        self.items(path).remove(self.one(path, name))

    def add(self, resource: str, name: str, spec: Raw, status: Raw | None = None, **metadata: Any) -> Raw:
        """Put an object of one of our kinds into the namespace."""
        made = {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": f"uid-{name}",
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": "2026-11-29T12:00:00Z",
                **metadata,
            },
            "spec": spec,
            "status": status or {},
        }
        self.items(collection(resource)).append(made)
        return made

    def send(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Answer:
        self.asked.append(f"{method} {path}" + (f"?{urlencode(query)}" if query else ""))
        if self.is_away:
            raise UnreachableError("no answer from the API server at https://far.example: Connection refused")
        if self.forbidden(method, path):
            return answer(403, f'it is forbidden: User "ann" cannot {method.lower()} {path}')
        if path == REVIEWS:
            return answer(201, status={"allowed": self.may(body["spec"]["resourceAttributes"])})
        if path in self.documents:
            return answer(200, **self.documents[path])
        if method == "POST":
            return self._create(path, body)
        if method == "DELETE":
            parent, _, name = path.rpartition("/")
            self.remove(_everywhere(parent), name)
            return answer(200)
        return self._of_collection(path, query)

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[bytes] | Answer:
        self.asked.append(f"STREAM {path}?{urlencode(query)}")
        if self.forbidden("GET", path):
            return answer(403, f'it is forbidden: User "ann" cannot get {path}')
        if query.get("watch"):
            return self._watch(path)
        lines = self.logs.get(f"{path}?container={query.get('container')}")
        if lines is None:
            return answer(400, f"container {query.get('container')} is not valid for pod {path.split('/')[-2]}")
        return self._log(lines)

    def channel(self, path: str, query: Sequence[tuple[str, str]]) -> Channel | Answer:
        self.asked.append(f"CHANNEL {path}?{urlencode(query)}")
        if self.begin is None or self.forbidden("GET", path):
            return answer(403, f'it is forbidden: User "ann" cannot get {path}')
        return self.begin([value for name, value in query if name == "command"])

    def _create(self, path: str, body: Raw) -> Answer:
        self.made.append(body)
        made = copy.deepcopy(body)
        made["metadata"] |= {"uid": "uid-1", "resourceVersion": "1", "creationTimestamp": "2026-11-29T12:00:00Z"}
        self.items(_everywhere(path)).append(made)
        return answer(201, **made)

    def _log(self, lines: list[bytes]) -> Iterator[bytes]:
        """Yield the lines; where a test has told what comes next, that has come with their end."""
        yield from lines
        for found in self.items(collection("agents"))[:1] if self.next_statuses else ():
            found["status"] = self.next_statuses.pop(0)

    def _watch(self, path: str) -> Iterator[bytes]:
        """Tell of the next status that a test has put into `next_statuses`, if there is one."""
        for found in self.items(_everywhere(path)) if self.next_statuses else ():
            found["status"] = self.next_statuses.pop(0)
            yield json.dumps({"type": "MODIFIED", "object": found}).encode()

    def _of_collection(self, path: str, query: Mapping[str, str]) -> Answer:
        if (found := self._list(path)) is not None:
            wanted = [each for each in found["items"] if _matches(each, query)]
            return answer(200, **{**found, "kind": f"{found['kind']}List", "metadata": {}, "items": wanted})
        parent, _, name = path.rpartition("/")
        group = self._list(parent) or {"items": []}
        one = next((each for each in group["items"] if each["metadata"]["name"] == name), None)
        if one is None:
            return answer(404, f"{path} not found")
        return answer(200, **{"apiVersion": group["apiVersion"], "kind": group["kind"], **one})

    def _list(self, path: str) -> Raw | None:
        if path in self.collections:
            return self.collections[path]
        head, word, rest = path.partition("/namespaces/")
        namespace, _, resource = rest.partition("/")
        everywhere = self.collections.get(f"{head}/{resource}")
        if not word or everywhere is None:
            return None
        items = [each for each in everywhere["items"] if each["metadata"].get("namespace") == namespace]
        return {**everywhere, "items": items}

    def connect(self, target: Target) -> Connection:
        """Stands for `kube.connection.connect`."""
        self.targets.append(target)
        return Connection(Api(self), target.namespace or NAMESPACE)

    def run(self, *words: str, terminal: bool = False, **environment: str) -> Result:
        """Run a command line against this cluster."""
        variables = {"NO_COLOR": None, "FORCE_COLOR": "1" if terminal else None, "TERM": "xterm", **environment}
        return CliRunner().invoke(app, list(words), obj=Context(self.connect), env=variables)


def now_of_recording() -> datetime:
    """Return when the recorded cluster was asked."""
    return datetime.fromisoformat(json.loads(RECORDED.read_text())["now"])


def condition(kind: str, status: str, reason: str, message: str = "") -> Raw:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-29T12:00:00Z",
    }


def _everywhere(path: str) -> str:
    """Return the path of a namespace's collection without its namespace."""
    head, _, rest = path.partition("/namespaces/")
    return f"{head}/{rest.partition('/')[2]}"


def _matches(found: Raw, query: Mapping[str, str]) -> bool:
    field, _, name = query.get("fieldSelector", "").partition("=")
    if field and found["metadata"]["name"] != name:
        return False
    label, _, text = query.get("labelSelector", "").partition("=")
    return not label or (found["metadata"].get("labels") or {}).get(label) == text


def answer(code: int, message: str = "", **body: Any) -> Answer:
    content = copy.deepcopy(body) if code < 400 else {"kind": "Status", "code": code, "message": message}
    return Answer(code, json.dumps(content).encode())
