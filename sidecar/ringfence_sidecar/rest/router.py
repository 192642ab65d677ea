"""Paths of REST, and what serves each."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ringfence_sidecar.asgi import HttpError, Request, Response
from ringfence_sidecar.correlation import Correlation


@dataclass(frozen=True, slots=True)
class Visit:
    """A request on its way to what serves it."""

    request: Request
    response: Response
    correlation: Correlation
    names: tuple[str, ...]
    """The path's parts that its route leaves open."""


Handler = Callable[[Visit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path; `{}` in it is any one part."""

    method: str
    path: str
    handler: Handler
    summary: str

    def names(self, parts: Sequence[str]) -> tuple[str, ...] | None:
        """Return the parts that the path leaves open, or None if it is another path."""
        own = self.path.split("/")
        if len(own) != len(parts) or any(mine not in ("{}", part) for mine, part in zip(own, parts, strict=True)):
            return None
        return tuple(part for mine, part in zip(own, parts, strict=True) if mine == "{}")


def find(routes: Sequence[Route], method: str, parts: Sequence[str]) -> tuple[Route, tuple[str, ...]]:
    """Return the first route of a request, and what its path names. Raises HttpError (404, 405)."""
    allowed: list[str] = []
    for route in routes:
        names = route.names(parts)
        if names is not None and all(names):
            if route.method == method:
                return route, names
            allowed.append(route.method)
    if allowed:
        listed = ", ".join(dict.fromkeys(allowed))
        raise HttpError(405, "MethodNotAllowed", f"this path takes {listed}", headers={"allow": listed})
    raise HttpError(404, "NotFound", "there is no such path: GET /v1/openapi.json lists those that there are")
