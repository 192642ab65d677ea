"""A policy opens one destination to a running agent, and that alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from subprocess import Popen
from threading import Thread

from demo import targets
from demo.errors import DemoError
from demo.stage import QUICKSTART, Stage
from demo.targets import Answer

EXPLORER, LIBRARY = "explorer", "library"
READ = 'import urllib.request; print(urllib.request.urlopen("{url}", timeout=2).read().decode().strip())'
ALLOWED_SECONDS = 1.0


def play(stage: Stage) -> None:
    """Knock all the time while the policy is applied, then on every door once more."""
    fleet = stage.wait("the agents run", lambda now: now[LIBRARY].is_ready and now[EXPLORER].is_ready, seconds=60)
    doors = targets.doors(stage.kube, fleet)
    address = fleet[LIBRARY].addresses[0]
    door = (
        {"library": doors["agent library, IPv4"]} if ":" not in address else {"library": doors["agent library, IPv6"]}
    )
    with _knocking(stage, door) as knocks:
        _next(knocks, reached=False, seconds=20)
        begun = time.monotonic()
        applied = stage.apply(QUICKSTART / "4-open.yaml")
        opened = _next(knocks, reached=True, seconds=20)
    took = f"{max(0.0, opened - applied):.2f} s after kubectl apply returned, {opened - begun:.2f} s after it began"
    stage.check(opened - applied <= ALLOWED_SECONDS, f"the library opened to the explorer {took}")
    said = stage.show(
        "exec", EXPLORER, "--", "python3", "-c", READ.format(url=door["library"].replace("tcp:", "http:"))
    ).strip()
    stage.check(said == "42 books", f"it answers over HTTP: {said}")
    _check_the_rest(stage, doors)
    now = stage.wait("the explorer runs", lambda now: now[EXPLORER].is_ready, seconds=20)
    stage.check(now[EXPLORER].life == fleet[EXPLORER].life, "the explorer's pod is the same one: nothing was restarted")


def _check_the_rest(stage: Stage, doors: dict[str, str]) -> None:
    agent = targets.knock_as_agent(stage.kube, EXPLORER, doors)
    stage.screen.show(targets.rows([("AGENT, POLICY IN FORCE", agent)]))
    opened = targets.reached(agent)
    wanted = [name for name in doors if name.startswith("agent library")]
    stage.check(opened == wanted, f"open: {', '.join(opened)}; the node, the API server, DNS and the outside stay shut")


@contextmanager
def _knocking(stage: Stage, door: dict[str, str]) -> Iterator["Queue[tuple[float, Answer]]"]:
    """Knock some ten times a second; yield when each knock was answered, and how."""
    argv = ["exec", EXPLORER, "--", "python3", targets.KNOCK, "--again", *targets.arguments(door)]
    knocks: Queue[tuple[float, Answer]] = Queue()
    process = stage.kube.start(*argv)
    reader = Thread(target=_read, args=(process, knocks), daemon=True)
    reader.start()
    try:
        yield knocks
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)


def _read(process: "Popen[str]", knocks: "Queue[tuple[float, Answer]]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        knocks.put((time.monotonic(), targets.answers(line)["library"]))


def _next(knocks: "Queue[tuple[float, Answer]]", *, reached: bool, seconds: float) -> float:
    """Return when the first knock from now on came to this."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            when, answer = knocks.get(timeout=max(0.01, deadline - time.monotonic()))
        except Empty:
            raise DemoError(
                f"the library was not {'reached' if reached else 'refused'} within {seconds:.0f} s"
            ) from None
        if answer.reached == reached:
            return when
