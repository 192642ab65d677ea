"""An agent whose pod is killed by hand comes back, as confined and as reachable as before."""

import time

from demo import targets
from demo.stage import Stage

LIBRARY = "library"


def play(stage: Stage) -> None:
    """Delete a pod; the operator makes another one."""
    before = stage.wait("the library runs", lambda now: now[LIBRARY].is_ready, seconds=60)[LIBRARY]
    begun = time.monotonic()
    stage.show("delete", "pod", LIBRARY, "--wait=false")
    after = stage.wait(
        "it comes back",
        lambda now: now[LIBRARY].is_ready and now[LIBRARY].pod_uid not in ("", before.pod_uid),
        seconds=60,
    )
    took = time.monotonic() - begun
    stage.check(
        True,
        f"back and ready after {took:.1f} s: pod {before.pod_uid[:8]} was replaced by {after[LIBRARY].pod_uid[:8]}",
    )
    doors = targets.doors(stage.kube, after)
    wanted = [name for name in doors if name.startswith("agent library")]
    opened = targets.reached(targets.knock_as_agent(stage.kube, "explorer", doors))
    stage.check(
        opened == wanted,
        f"the explorer reaches it at its new address ({', '.join(after[LIBRARY].addresses)}), and nothing else",
    )
