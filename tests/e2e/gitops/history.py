"""Every version of our objects that a watch delivers, and what GitOps tools make of each."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from tests.e2e.kube import Body, Kube, address
from tests.e2e.world import is_current
from tests.gitops.judge import SAME, Verdict, judged

KINDS = ("Agent", "AgentPool", "Connector", "Quota", "SecurityPolicy")


@dataclass(frozen=True, slots=True)
class Life:
    """The versions of one object, from its creation to its end, and the verdict on each."""

    versions: list[Body]
    verdicts: list[Verdict]

    @property
    def kstatus(self) -> list[str]:
        """What kstatus says, one word for as long as it stays the same."""
        return [word for word, _ in itertools.groupby(each.kstatus for each in self.verdicts)]

    @property
    def argo(self) -> list[str]:
        """The same of Argo CD."""
        return [word for word, _ in itertools.groupby(each.argo for each in self.verdicts)]

    def mistakes(self) -> list[str]:
        """Return what no moment of any life may show."""
        return [
            f"version {number}: {mistake}: {verdict} {body['metadata']} {body.get('status')}"
            for number, (body, verdict) in enumerate(zip(self.versions, self.verdicts, strict=True))
            for mistake in _mistakes(number, body, verdict)
        ]


def _mistakes(number: int, body: Body, verdict: Verdict) -> Iterator[str]:
    if number == 0 and verdict.kstatus != "InProgress":
        yield "done before anybody has looked"
    if verdict.kstatus == "Current" and not is_current(body):
        yield "done by the status of another spec"
    if (verdict.kstatus, verdict.argo) not in SAME:
        yield "kstatus and Argo CD contradict each other"


class History:
    """Watches our kinds in a namespace for as long as the context lasts."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._events: list[Body] = []
        self._news = threading.Condition()
        self._watches = ExitStack()
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for kind in KINDS:
            path = address(kind, self._namespace)
            version = self._kube.request("GET", path)["metadata"]["resourceVersion"]
            events = self._watches.enter_context(self._kube.watching(path, version))
            reader = threading.Thread(target=self._keep, args=(events,), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(self, *_: object) -> None:
        self._watches.close()
        for reader in self._readers:
            reader.join(10)

    def life(self, kind: str, name: str, *, seconds: float = 20) -> Life:
        """Return the life of an object that is gone: its end may reach us a little later than others."""
        with self._news:
            has_ended = self._news.wait_for(lambda: self._has_ended(kind, name), seconds)
            versions = [each["object"] for each in self._of(kind, name) if each["type"] != "DELETED"]
        assert has_ended, f"after {seconds} s the watch has not told of the end of {kind} {name}"
        return Life(versions, judged(versions))

    def _keep(self, events: Iterator[Body]) -> None:
        for event in events:
            with self._news:
                self._events.append(event)
                self._news.notify_all()

    def _of(self, kind: str, name: str) -> list[Body]:
        wanted = (kind, name)
        return [each for each in self._events if (each["object"]["kind"], _name(each["object"])) == wanted]

    def _has_ended(self, kind: str, name: str) -> bool:
        return any(each["type"] == "DELETED" for each in self._of(kind, name))


def _name(body: Body) -> str:
    return str(body.get("metadata", {}).get("name"))
