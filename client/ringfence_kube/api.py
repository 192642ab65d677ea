"""Requests to the API server by path: JSON in and out, refusals as our own errors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ringfence_kube.errors import (
    ClusterError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from ringfence_kube.objects import Raw
from ringfence_kube.transport import Answer, Channel, Transport

FIELD_MANAGER = "ringfence-client"
_BY_STATUS: dict[int, type[RefusedError]] = {403: ForbiddenError, 404: NotFoundError, 410: ExpiredError}
_PAGE = "500"


class Api:
    """What a command asks of the cluster. All methods raise RefusedError, its subclasses, or UnreachableError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, path: str, **query: str) -> Raw:
        """Return the object at `path`."""
        return _parsed(self._transport.send("GET", path, query))

    def find(self, path: str) -> Raw | None:
        """Return the object at `path`; None if there is none."""
        try:
            return self.get(path)
        except NotFoundError:
            return None

    def items(self, path: str, **query: str) -> list[Raw]:
        """Return all objects of a collection, each with its kind and apiVersion, which lists leave out."""
        found: list[Raw] = []
        token = ""
        while True:
            page = self.get(path, **query, limit=_PAGE, **({"continue": token} if token else {}))
            kind = {"apiVersion": page["apiVersion"], "kind": page["kind"].removesuffix("List")}
            found += [{**kind, **item} for item in page["items"] or ()]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    def create(self, path: str, body: Raw) -> Raw:
        """Create `body` in the collection at `path`; a field that its kind does not have is refused."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return _parsed(self._transport.send("POST", path, query, body))

    def review(self, path: str, body: Raw) -> Raw:
        """Return the answer to a question that is asked by creating an object, such as an access review."""
        return _parsed(self._transport.send("POST", path, {}, body))

    def delete(self, path: str, *, uid: str) -> None:
        """Delete the object at `path` if it is still that one; not being there is well, too."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        answer = self._transport.send("DELETE", path, {}, options)
        if answer.status not in (404, 409):
            _parsed(answer)

    def watch(self, path: str, name: str, *, version: str, seconds: int) -> Iterator[Raw]:
        """Yield the events about one object of a collection after `version`, for so many seconds at most."""
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        for line in self.lines(path, query):
            event = _json(line)
            if event["type"] == "ERROR":
                raise _refusal(int(event["object"].get("code", 500)), event["object"])
            yield event

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Return the lines that the server sends, as they come."""
        found = self._transport.stream(path, query)
        if isinstance(found, Answer):
            _parsed(found)
            raise UnreachableError(f"{path}: not a stream of lines")
        return found

    def channel(self, path: str, query: Sequence[tuple[str, str]]) -> Channel:
        """Return a connection for messages."""
        found = self._transport.channel(path, query)
        if isinstance(found, Answer):
            _parsed(found)
            raise UnreachableError(f"{path}: not a connection for messages")
        return found


def _parsed(answer: Answer) -> Raw:
    if answer.status >= 400:  # noqa: PLR2004
        try:
            status = _json(answer.body)
        except ClusterError:
            status = {"message": answer.body.decode(errors="replace").strip()[:500]}
        raise _refusal(answer.status, status)
    return _json(answer.body)


def _refusal(status: int, body: Mapping[str, Any]) -> RefusedError:
    message = str(body.get("message") or f"the API server answered {status}")
    return _BY_STATUS.get(status, RefusedError)(status, message)


def _json(text: bytes) -> Raw:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UnreachableError(f"not an answer of an API server: {text[:80]!r}") from error
    if not isinstance(found, dict):
        raise UnreachableError(f"not an answer of an API server: {text[:80]!r}")
    return found
