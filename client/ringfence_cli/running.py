"""Runs a throw-away agent: makes it, hands on what it writes, and takes it away whatever happens."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from ringfence_cli.output.progress import Progress
from ringfence_kube.api import Api
from ringfence_kube.attending import remove, states
from ringfence_kube.errors import RefusedError
from ringfence_kube.log import follow_log
from ringfence_kube.objects import Raw, collection, condition, name_of, namespace_of
from ringfence_kube.throwaway import INTERRUPTED, NOT_RUN, Outcome, has_begun, outcome, waiting_for

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)]


class InterruptedBySignal(BaseException):
    """Somebody wants us to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(api: Api, body: Raw, *, write: Callable[[bytes], None]) -> Outcome:
    """Run the agent of a manifest; each line that it writes goes to `write`. Nothing of it is left.

    Raises ClusterError if it cannot be made, watched or taken away.
    """
    path = collection("agents", namespace_of(body))
    with _Signals() as signals:
        try:
            # A signal in the very moment between the two `finally` raises nothing: nothing keeps the agent from going.
            try:
                return _attend(api, path, api.create(path, body), write)
            finally:
                signals.is_raising = False
        except InterruptedBySignal as interrupt:
            return Outcome(INTERRUPTED + interrupt.number, "interrupted")
        finally:
            _remove(api, path, body)


def _attend(api: Api, path: str, agent: Raw, write: Callable[[bytes], None]) -> Outcome:
    with Progress(waiting_for(agent)) as progress:
        for seen in states(api, path, agent, idle=progress.say):
            agent = seen
            if has_begun(agent) or outcome(agent):
                break
            progress.say(waiting_for(agent))
    ended = outcome(agent)
    if ended is None or has_begun(agent):
        _hand_on(api, path, agent, write)
        for seen in states(api, path, agent):
            if ended := outcome(seen):
                break
    return ended or Outcome(NOT_RUN, "somebody deleted the agent before it ended")


def _hand_on(api: Api, path: str, agent: Raw, write: Callable[[bytes], None]) -> None:
    """Write what the agent writes until it has ended. A pod that is gone, as at its deadline, has no more to say."""

    def has_ended() -> bool:
        found = api.find(f"{path}/{name_of(agent)}")
        return found is None or condition(found, "Complete") is not None

    try:
        for line in follow_log(api, namespace_of(agent), name_of(agent), container="agent", has_ended=has_ended):
            write(line)
    except RefusedError:
        if not has_ended():
            raise


def _remove(api: Api, path: str, body: Raw) -> None:
    with Progress(f"taking Agent {name_of(body)} away") as progress:
        remove(api, path, body, idle=progress.say)


class _Signals:
    """Has the first signal that would end the process raise InterruptedBySignal; those after it change nothing."""

    def __init__(self) -> None:
        self.is_raising = True
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.is_raising:
            self.is_raising = False
            raise InterruptedBySignal(number)
