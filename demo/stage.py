"""What every scene needs: the cluster, the screen, and a list of what was checked."""

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from demo.errors import DemoError
from demo.fleet import Fleet, look
from demo.kubectl import NAMESPACE, Kubectl
from demo.screen import Screen

QUICKSTART = Path(__file__).resolve().parent.parent / "examples/quickstart"
MANIFESTS = Path(__file__).resolve().parent / "manifests"
POLL_SECONDS = 0.2
NEIGHBOURS = ("library", "vault", "explorer")


@dataclass
class Stage:
    """One scene's view of the demo; `failures` is empty if all that it checked was so."""

    kube: Kubectl
    screen: Screen
    failures: list[str] = field(default_factory=list)

    def apply(self, path: Path) -> float:
        """Apply a manifest, and return when that was done, as time.monotonic() counts."""
        self.screen.command(f"kubectl apply -f {path.relative_to(QUICKSTART.parent.parent)}")
        self.kube.apply(path)
        return time.monotonic()

    def show(self, *arguments: str) -> str:
        """Run kubectl, show the command, and return what it printed."""
        self.command(*arguments)
        return self.kube.run(*arguments)

    def command(self, *arguments: str) -> None:
        """Show a command without running it."""
        self.screen.command(f"kubectl -n {NAMESPACE} {shlex.join(arguments)}")

    def check(self, passed: bool, what: str) -> bool:
        """Write down whether `what` is so."""
        self.screen.verdict(passed, what)
        if not passed:
            self.failures.append(what)
        return passed

    def wait(self, what: str, is_so: Callable[[Fleet], bool], *, seconds: float) -> Fleet:
        """Return the agents once `is_so`, redrawing their table meanwhile. Raises DemoError after `seconds`."""
        deadline = time.monotonic() + seconds
        fleet = look(self.kube)
        if is_so(fleet):
            return fleet
        try:
            while time.monotonic() < deadline:
                self.screen.redraw(fleet.rows())
                time.sleep(POLL_SECONDS)
                fleet = look(self.kube)
                if is_so(fleet):
                    self.screen.redraw(fleet.rows())
                    return fleet
        finally:
            self.screen.settle()
        raise DemoError(f"{what}: not within {seconds:.0f} s")

    def neighbours(self) -> dict[str, tuple[str, int]]:
        """Return the lives of the agents that nothing should happen to."""
        fleet = look(self.kube)
        return {name: fleet[name].life for name in NEIGHBOURS}
