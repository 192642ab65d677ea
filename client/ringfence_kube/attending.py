"""Stays with an agent that somebody here made: sees how it fares, and takes it away."""

import time
from collections.abc import Callable, Iterator

from ringfence_kube.api import Api
from ringfence_kube.errors import ClusterError, ExpiredError, UnreachableError
from ringfence_kube.objects import Raw, name_of
from ringfence_kube.throwaway import NOT_RUN, Outcome, is_same, outcome

_WATCH_SECONDS = 5
"""A watch ends after so long, so that somebody who waits sees that we are there."""
_PAUSE = 1.0
_GONE_SECONDS = 45.0
_GLANCE = 0.2


def _nothing() -> None:
    pass


def states(api: Api, path: str, agent: Raw, *, idle: Callable[[], None] = _nothing) -> Iterator[Raw]:
    """Yield the agent of a collection as it is, and each time that it changes, until it is gone.

    `idle` is called now and then meanwhile.
    """
    name = name_of(agent)
    while True:
        yield agent
        try:
            for event in api.watch(path, name, version=agent["metadata"]["resourceVersion"], seconds=_WATCH_SECONDS):
                if event["type"] == "DELETED":
                    return
                agent = event["object"]
                yield agent
        except (ExpiredError, UnreachableError):
            time.sleep(_PAUSE)
        idle()
        found = api.find(f"{path}/{name}")
        if found is None:
            return
        agent = found


def remove(api: Api, path: str, body: Raw, *, idle: Callable[[], None] = _nothing) -> None:
    """Delete the agent that the manifest `body` made in a collection, if it is there, and wait until it is gone.

    Another agent of that name is left alone. Raises ClusterError if it may be left behind.
    """
    path = f"{path}/{name_of(body)}"
    try:
        found = api.find(path)
        if found is None or not is_same(body, found):
            return
        api.delete(path, uid=found["metadata"]["uid"])
    except ClusterError as error:
        raise ClusterError(f"Agent {name_of(body)} may be left behind until its time is over: {error}") from error
    deadline = time.monotonic() + _GONE_SECONDS
    while api.find(path) is not None and time.monotonic() < deadline:
        idle()
        time.sleep(_GLANCE)


def how_it_ended(api: Api, path: str, agent: Raw, *, seconds: float) -> Outcome | None:
    """Return how the agent of a collection ended; None if it goes on for so many seconds. Raises ClusterError."""
    deadline = time.monotonic() + seconds
    while True:
        found = api.find(f"{path}/{name_of(agent)}")
        if found is None or found["metadata"]["uid"] != agent["metadata"]["uid"]:
            return Outcome(NOT_RUN, "somebody deleted it")
        if ended := outcome(found):
            return ended
        if time.monotonic() > deadline:
            return None
        time.sleep(_GLANCE)
