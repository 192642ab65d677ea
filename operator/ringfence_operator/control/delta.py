"""The server's side of delta xDS for one type on one stream, without any I/O.

What the client has is known from its own word when it connects, and from its acknowledgements; only differences are
sent. Envoy refuses single resources of a response, keeps the others, and names no culprit that could be relied upon. So
what was refused together is sent once more one by one, and what is refused alone is not sent again before it changes.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import count

from ringfence_operator.control.resource import ROUTES, Resource, block_of

UNKNOWN = ""
"""Version of what the client may or may not have."""
WINDOW = 16
"""Responses of a type that may wait for their acknowledgement at once."""
BATCH_BYTES = 256 * 1024
"""Resources are put together up to this; a bigger one goes alone."""
ALL = "*"
BY_NAME = (ROUTES,)
"""Types of which a client that names nothing wants nothing, rather than all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client says of one type."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What the client is to be told of one type."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sent:
    versions: Mapping[str, str]
    removed: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [*self.versions, *self.removed]


class Delta:
    """One type on one stream. `must_stay` tells of a resource that is gone whether the client still needs it."""

    def __init__(
        self, type_url: str, resources: Mapping[str, Resource], *, must_stay: Callable[[str], bool] | None = None
    ) -> None:
        self._type_url = type_url
        self._resources = resources
        self._must_stay = must_stay or _never
        self._nonces = count(1)
        self._is_begun = False
        self._is_wildcard = False
        self._owes_answer = False
        self._subscribed: set[str] = set()
        self._sent: dict[str, str] = {}
        self._acknowledged: dict[str, str] = {}
        self._refused: dict[str, tuple[str, str]] = {}
        self._names: dict[int | None, set[str]] = {}
        self._in_flight: dict[str, _Sent] = {}
        self._alone: dict[str, None] = {}
        self._wanted: dict[str, None] = {}
        self._gone: dict[str, None] = {}

    # --- what comes in ---

    def receive(self, request: Request) -> set[int]:
        """Take the client's word; return the blocks of which it says something new."""
        touched: set[str] = set()
        if not self._is_begun:
            touched.update(self._begin(request))
        if request.nonce:
            touched.update(self._answered(request.nonce, request.error))
        if self._is_begun:
            touched.update(self._subscribe(request))
        return {block for name in touched if (block := block_of(name)) is not None}

    def changed(self, name: str) -> None:
        """The resource of this name is new, different or gone."""
        resource = self._resources.get(name)
        if resource is not None:
            self._gone.pop(name, None)
            if self._is_news(resource):
                self._wanted[name] = None
        else:
            self._wanted.pop(name, None)
            if name in self._sent:
                self._gone[name] = None

    # --- what the client has ---

    def has(self, resource: Resource) -> bool:
        """Return True if the client has acknowledged the resource as it is now, and been sent nothing else since."""
        name = resource.name
        return self._acknowledged.get(name) == resource.version == self._sent.get(name)

    def names_of(self, block: int | None) -> AbstractSet[str]:
        """Return the names of those resources of a block that the client may have."""
        return self._names.get(block, set())

    def refusal(self, resource: Resource) -> str | None:
        """Return the client's message if it refused the resource as it is now, else None."""
        version, message = self._refused.get(resource.name, (None, None))
        return message if version == resource.version else None

    @property
    def is_begun(self) -> bool:
        """True once the client has said what it has."""
        return self._is_begun

    @property
    def is_settled(self) -> bool:
        """True if nothing is to be sent and nothing waits for an acknowledgement."""
        return not (self._wanted or self._gone or self._in_flight)

    # --- what goes out ---

    def next_response(self) -> Response | None:
        """Return what is to be sent now, removals first, or None."""
        if not self._is_begun or len(self._in_flight) >= WINDOW:
            return None
        removed = [name for name in self._gone if not self._must_stay(name)]
        if removed:
            return self._respond((), tuple(removed))
        resources = self._take()
        if resources or self._owes_answer:
            return self._respond(tuple(resources), ())
        return None

    def _respond(self, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> Response:
        nonce = str(next(self._nonces))
        self._owes_answer = False
        for resource in resources:
            self._sent[resource.name] = resource.version
            self._names.setdefault(resource.block, set()).add(resource.name)
        for name in removed:
            del self._gone[name]
            self._sent.pop(name, None)
            self._refused.pop(name, None)
        self._in_flight[nonce] = _Sent({each.name: each.version for each in resources}, removed)
        return Response(self._type_url, nonce, resources, removed)

    def _take(self) -> list[Resource]:
        taken: list[Resource] = []
        size = 0
        while self._wanted:
            name = next(iter(self._wanted))
            resource = self._resources.get(name)
            if resource is None or not self._is_news(resource):
                del self._wanted[name]
                continue
            is_alone = name in self._alone
            if taken and (is_alone or size + len(resource.body) > BATCH_BYTES):
                break
            del self._wanted[name]
            taken.append(resource)
            size += len(resource.body)
            if is_alone:
                break
        return taken

    def _is_news(self, resource: Resource) -> bool:
        is_of_interest = self._is_wildcard or resource.name in self._subscribed
        is_known = self._sent.get(resource.name) == resource.version
        return is_of_interest and not is_known and self.refusal(resource) is None

    # --- the rest of what comes in ---

    def _begin(self, request: Request) -> Iterable[str]:
        self._is_begun = True
        self._is_wildcard = not request.subscribe and self._type_url not in BY_NAME
        # That there is nothing is an answer, too: Envoy is not live before it has one.
        self._owes_answer = self._is_wildcard and not request.initial
        for name, version in request.initial.items():
            self._sent[name] = self._acknowledged[name] = version
            self._names.setdefault(block_of(name), set()).add(name)
        for name in (*request.initial, *(self._resources if self._is_wildcard else ())):
            self.changed(name)
        return request.initial

    def _subscribe(self, request: Request) -> Iterable[str]:
        for name in request.subscribe:
            if name == ALL:
                self._is_wildcard = True
                for each in self._resources:
                    self.changed(each)
                continue
            self._subscribed.add(name)
            if name not in self._resources:
                # That it is not there is an answer, too; without it the client waits.
                self._sent.setdefault(name, UNKNOWN)
            self.changed(name)
        for name in request.unsubscribe:
            if name == ALL:
                self._is_wildcard = False
            self._subscribed.discard(name)
            if not self._is_wildcard:
                self._forget(name)
        return request.unsubscribe

    def _answered(self, nonce: str, error: str | None) -> Iterable[str]:
        sent = self._in_flight.pop(nonce, None)
        if sent is None:
            return ()
        if error is None:
            self._accepted(sent)
        else:
            self._rejected(sent, error)
        return sent.names

    def _accepted(self, sent: _Sent) -> None:
        for name, version in sent.versions.items():
            if name in self._sent:
                self._acknowledged[name] = version
                self._refused.pop(name, None)
            self._alone.pop(name, None)
            # What was refused before this one may be what is wanted again.
            self.changed(name)
        for name in sent.removed:
            self._acknowledged.pop(name, None)
            # It may be there again by now: sent once more, or about to be.
            if name not in self._sent:
                self._unlist(name)

    def _rejected(self, sent: _Sent, error: str) -> None:
        for name, version in sent.versions.items():
            if self._sent.get(name) == version:
                self._sent[name] = UNKNOWN
            if len(sent.versions) > 1:
                self._alone[name] = None
                self.changed(name)
            else:
                self._alone.pop(name, None)
                self._refused[name] = (version, error)
        for name in sent.removed:
            # Whatever it means by that: it has to be told once more when the resource is there again.
            self._acknowledged.pop(name, None)

    def _forget(self, name: str) -> None:
        self._sent.pop(name, None)
        self._acknowledged.pop(name, None)
        self._refused.pop(name, None)
        for names_of in (self._alone, self._wanted, self._gone):
            names_of.pop(name, None)
        self._unlist(name)

    def _unlist(self, name: str) -> None:
        block = block_of(name)
        names = self._names.get(block)
        if names is not None:
            names.discard(name)
            if not names:
                del self._names[block]


def _never(_: str) -> bool:
    return False
