"""Of which pods a kubelet says what they move past the gateway: bookkeeping without I/O."""

from datetime import datetime, timedelta

SILENT_SECONDS = 60.0
"""Six looks at a kubelet: one that starts anew is heard within less, and closes nobody's ways."""


class DirectCounts:
    """By pod; each is known from when it is first asked about."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}
        self._heard: dict[str, datetime] = {}
        self._said: dict[str, bool | None] = {}
        """What was the answer when it was looked at last."""

    def clear(self) -> None:
        """Forget everything."""
        for kept in (self._since, self._heard, self._said):
            kept.clear()

    def follow(self, pod: str, *, now: datetime) -> None:
        """Expect figures of the pod from now on, or go on to."""
        self._since.setdefault(pod, now)
        self._said.setdefault(pod, None)

    def forget(self, pod: str) -> None:
        """Expect none any more."""
        for kept in (self._since, self._heard, self._said):
            kept.pop(pod, None)

    def hear(self, pod: str, *, now: datetime) -> bool:
        """Its kubelet has told a figure; return whether the answer is another for it."""
        if pod not in self._since:
            return False
        self._heard[pod] = now
        is_turn, self._said[pod] = self._said[pod] is not True, True
        return is_turn

    def is_counted(self, pod: str, *, now: datetime) -> bool | None:
        """Return whether figures come; None of a pod of which there were none yet, and none are late."""
        since = self._heard.get(pod) or self._since.get(pod)
        if since is None:
            return None
        if now - since >= timedelta(seconds=SILENT_SECONDS):
            return False
        return True if pod in self._heard else None

    def turned(self, *, now: datetime) -> list[str]:
        """Return the pods for which the answer is another than at the last look, as time has passed."""
        found = [pod for pod, said in self._said.items() if self.is_counted(pod, now=now) is not said]
        self._said.update({pod: self.is_counted(pod, now=now) for pod in found})
        return found
