"""Run every check and every test, step by step: `python3 -m tools.test_runner`. Needs nothing but Python.

Each step's output goes to .logs/STEP.log; of a step that fails, the end is shown. Steps that need nothing of a failed
one go on. The last lines say how many tests passed and failed.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.cluster import cache_home

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".logs"
BIN = ROOT / ".venv/bin"
TAIL_LINES = 60
SAY_AGAIN_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
"""How long a step may clean up after Ctrl-C."""
WITH_BACKENDS = ("tests/sidecar", "tests/client", "tests/conformance", "tests/operator/egress")
"""Where tests are that need real back ends."""
IMAGES = ("operator", "gateway", "sidecar", "sidecar-kv", "starter", "backends")
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile")
"""Two workers, for tests that share nothing. A file's tests stay together."""
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass(frozen=True)
class Step:
    """A command, and what must have gone well before it."""

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    directory: str = "."
    counts_tests: bool = False

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return LOGS / f"{self.name}.log"


@dataclass
class Tally:
    """What has come of the steps so far."""

    ended: dict[str, str] = field(default_factory=dict)
    """Step → "passed", "FAILED" or "skipped"."""
    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})

    @property
    def is_good(self) -> bool:
        """True if nothing failed and nothing was left out."""
        return set(self.ended.values()) == {"passed"} and not self.tests["failed"]

    def count(self, summary: str) -> None:
        """Add the figures of a closing line in pytest's words."""
        for number, word in COUNT.findall(summary):
            self.tests["failed" if word.startswith("error") else word] += int(number)


def _pytest(name: str, *arguments: str, needs: tuple[str, ...]) -> Step:
    return Step(name, (str(BIN / "pytest"), "-q", "--durations=25", *arguments), needs=needs, counts_tests=True)


def steps(*, long: bool) -> list[Step]:
    """Return the steps of `make test`, or of `make test-long`."""
    tool = {name: str(BIN / name) for name in ("ruff", "mypy", "lint-imports", "python")}
    ready = ("setup",)
    running = ("setup", "cluster", "image")
    before = [
        Step("setup", (sys.executable, "-m", "tools.bootstrap")),
        Step("cluster", (sys.executable, "-m", "devcluster", "up")),
        Step("image", (sys.executable, "-m", "devcluster", "build", *IMAGES), needs=("cluster",)),
    ]
    if long:
        return [
            *before,
            _pytest("long", "tests", "-m", "long", "--timeout=3600", needs=running),
            Step("netpol-e2e", (sys.executable, "-m", "devcluster", "netpol-e2e"), ("cluster",), counts_tests=True),
        ]
    setup, cluster, image = before
    unit = (
        "tests/cli",
        "tests/operator",
        "tests/gateway",
        "tests/sidecar",
        "tests/client",
        "tests/kube",
        "tests/conformance",
        "tests/devcluster",
        "tests/tools",
        "tests/bench",
        "tests/gitops",
    )
    return [
        setup,
        Step("lint", (tool["ruff"], "check", "."), needs=ready),
        Step("format", (tool["ruff"], "format", "--check", "."), needs=ready),
        Step("types", (tool["mypy"],), needs=ready),
        Step("imports", (tool["lint-imports"],), needs=ready),
        Step("check-diff", (tool["python"], "-m", "tools.generate", "--check"), needs=ready),
        _pytest("unit", *unit, *SIDE_BY_SIDE, "-m", "not cluster and not long and not backend", needs=ready),
        _pytest("chart", "tests/chart", *SIDE_BY_SIDE, needs=ready),
        _pytest("monitoring", "tests/monitoring", *SIDE_BY_SIDE, needs=ready),
        Step("docs-pages", (tool["python"], "-m", "tools.pictures.site"), needs=ready),
        _pytest("docs", "tests/docs", needs=ready),
        _pytest("release", "tests/release", needs=ready),
        Step("backends", (sys.executable, "-m", "devcluster", "backends"), needs=ready),
        _pytest("sidecar", *WITH_BACKENDS, "-m", "backend and not long", needs=("setup", "backends")),
        Step(
            "go-vet",
            ("go", "vet", "./cmd/node-agent", "./cmd/outside", "./cmd/fetch", "./internal/..."),
            directory="devcluster/node",
        ),
        Step("go-vet-load", ("go", "vet", "./..."), directory="bench/load"),
        Step("go-vet-judge", ("go", "vet", "./..."), directory="devcluster/judge"),
        Step("go-vet-starter", ("go", "vet", "./..."), directory="starter"),
        Step("go-test", ("go", "test", "./internal/..."), directory="devcluster/node"),
        Step("go-test-starter", ("go", "test", "./..."), directory="starter"),
        cluster,
        image,
        _pytest("cluster-test", "tests/cluster", "-m", "not long", needs=running),
        _pytest("e2e", "tests/e2e", "-m", "not long", needs=running),
        _pytest("quickstart", "tests/quickstart", "-x", needs=running),
        Step("demo", (sys.executable, "-m", "demo"), needs=running),
    ]


class Runner:
    """Runs the steps one after the other and says how they end."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._tally = Tally()
        cluster = os.environ.get("RINGFENCE_CLUSTER") or "dev"
        given = {
            "RINGFENCE_CLUSTER": cluster,
            "KUBECONFIG": str(ROOT / f".devcluster/{cluster}.kubeconfig"),
            # What mypy knows of the libraries outlives a clone.
            "MYPY_CACHE_DIR": str(cache_home() / "mypy"),
        }
        self._environment = {**os.environ, **given, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}

    def run(self, wanted: list[Step]) -> int:
        """Run `wanted`; return the exit code."""
        LOGS.mkdir(exist_ok=True)
        try:
            for number, step in enumerate(wanted, 1):
                self._run_one(step, f"[{number}/{len(wanted)}]")
        except KeyboardInterrupt:
            self._say(f"interrupted after {self._elapsed:.0f} s; run it again at any time")
            return 130
        return self._verdict()

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    def _run_one(self, step: Step, place: str) -> None:
        lacking = [name for name in step.needs if self._tally.ended.get(name) != "passed"]
        if lacking:
            self._tally.ended[step.name] = "skipped"
            self._say(f"{place} - {step.name}: skipped, because {lacking[0]} did not pass")
            return
        self._say(f"{place} … {step.name}  [{self._elapsed:.0f} s]")
        begun = time.monotonic()
        code = self._execute(step)
        took = self._tally.seconds[step.name] = time.monotonic() - begun
        lines = step.log.read_text(errors="replace").splitlines()
        self._tally.ended[step.name] = "FAILED" if code else "passed"
        if code:
            self._say("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]))
        if step.counts_tests:
            summary = next((line for line in reversed(lines) if COUNT.search(line)), "")
            self._tally.count(summary)
            if not code:  # otherwise it has just been shown, as the end of the log
                self._say(f"    {summary}")
        said = f"FAILED, exit code {code}; the whole log: {_relative(step.log)}" if code else "passed"
        self._say(f"{place} {'✗' if code else '✓'} {step.name}: {said} ({took:.1f} s)")

    def _execute(self, step: Step) -> int:
        """Run the step in a session of its own, so that Ctrl-C reaches it once, from here, and it may clean up."""
        with step.log.open("w") as log:
            try:
                process = subprocess.Popen(
                    step.argv,
                    cwd=ROOT / step.directory,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                log.write(f"{error}\n")
                return 127
            done = threading.Event()
            threading.Thread(target=self._keep_saying, args=(step, done), daemon=True).start()
            try:
                return process.wait()
            except KeyboardInterrupt:
                self._say(f"    stopping {step.name} …")
                _end(process)
                raise
            finally:
                done.set()

    def _keep_saying(self, step: Step, done: threading.Event) -> None:
        """Say now and then what a long step is at."""
        begun = time.monotonic()
        while not done.wait(SAY_AGAIN_SECONDS):
            lines = step.log.read_text(errors="replace").splitlines() or [""]
            self._say(f"    {step.name}: {time.monotonic() - begun:.0f} s; {lines[-1].strip()[:90]}")

    def _verdict(self) -> int:
        tally = self._tally
        self._say("")
        for name, word in tally.ended.items():
            took = f"{tally.seconds[name]:7.1f} s" if name in tally.seconds else " " * 9
            self._say(f"  {word:8} {took}  {name}")
        word = "PASSED" if tally.is_good else "FAILED"
        skipped = f", {tally.tests['skipped']} tests skipped" if tally.tests["skipped"] else ""
        self._say(f"\n{word} in {self._elapsed:.0f} s{skipped}; logs: {_relative(LOGS)}/")
        self._say(f"{tally.tests['passed']} passed, {tally.tests['failed']} failed")
        return 0 if tally.is_good else 1

    @staticmethod
    def _say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the step's processes to end as Ctrl-C would, then make them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE_SECONDS)
        except ProcessLookupError:
            return
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue
        return


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run `make test`, `make test-long`, or single steps of it."""
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.test_runner", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--long", action="store_true", help="the kill loops and Kubernetes' own specs instead")
    parser.add_argument("step", nargs="*", help="run these steps only, whatever they need")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    wanted = steps(long=options.long)
    if options.step:
        unknown = set(options.step) - {step.name for step in wanted}
        if unknown:
            parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in wanted)}")
        wanted = [Step(s.name, s.argv, (), s.directory, s.counts_tests) for s in wanted if s.name in options.step]
    return Runner().run(wanted)


if __name__ == "__main__":
    sys.exit(main())
