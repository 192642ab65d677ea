"""An agent that never stops trying, while something happens to the cluster."""

import threading
from types import TracebackType
from typing import Self

from tests.e2e.escape.ways import Way
from tests.e2e.world import PodHandle

ROUND_SECONDS = 3


class Hammer:
    """Tries all ways again and again, from entry to exit; `seen` is what each has come to by then."""

    def __init__(self, pod: PodHandle, ways: dict[str, Way]) -> None:
        self._pod = pod
        self._ways = ways
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._try, name="hammer")
        self._failure: Exception | None = None
        self._round = threading.Condition()
        self.rounds = 0
        self.seen: dict[str, set[str]] = {name: set() for name in ways}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def wait(self, *, rounds: int, seconds: float = 120) -> None:
        """Return once there have been so many rounds."""
        with self._round:
            is_done = self._round.wait_for(lambda: self.rounds >= rounds or self._failure is not None, seconds)
        assert is_done, f"{self.rounds} rounds in {seconds} s"

    def _try(self) -> None:
        try:
            while not self._is_over.is_set():
                found = self._pod.script("fetch", list(self._ways.values()), ROUND_SECONDS, seconds=120)
                for name, outcomes in zip(self._ways, found, strict=True):
                    self.seen[name].update(outcomes)
                with self._round:
                    self.rounds += 1
                    self._round.notify_all()
        except Exception as error:  # noqa: BLE001 - it is raised where the hammer is held
            with self._round:
                self._failure = error
                self._round.notify_all()
