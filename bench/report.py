"""What came of a run of measurements: a table of each, and in the end a verdict and files with results and samples."""

import argparse
import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.row import Row, table
from devcluster.cluster import REPOSITORY
from devcluster.step import Progress

OUT = REPOSITORY / "bench/out"


class Measured:
    """A cluster in which things are measured."""

    def __init__(self, progress: Progress, *, is_quick: bool) -> None:
        self.progress = progress
        self.is_quick = is_quick
        self.raw: dict[str, Any] = {}
        """Samples by name."""

    def keep(self, name: str, samples: Any) -> None:
        """Keep raw samples for the file beside the results."""
        self.raw[name] = samples

    def eventually(self, is_true: Callable[[], bool], what: str, *, timeout: float = 60, step: float = 0.1) -> None:
        """Return once `is_true`. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while not is_true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout:.0f} s: {what}")
            time.sleep(step)


Bed = TypeVar("Bed", bound=Measured)


def parser_of(module: str, description: str | None, measures: Iterable[str], *, quick: str) -> argparse.ArgumentParser:
    """Return the options that all measurements have; `quick` says what is left of them."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--only", action="append", choices=list(measures), help="measure this; may be given again")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


class Report(Generic[Bed]):
    """Measures with `bed`, and keeps what was found under `name`; `on_failure` is called if a measurement fails."""

    def __init__(self, name: str, bed: Bed, *, on_failure: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._bed = bed
        self._on_failure = on_failure
        self._rows: list[Row] = []
        self._failed: list[str] = []

    def measure(self, measures: Mapping[str, Callable[[Bed], Iterable[Row]]], only: Iterable[str] | None) -> None:
        """Measure one after the other; what goes wrong in one takes away nothing of the others."""
        for name in only or measures:
            self._measure(name, measures[name])

    def _measure(self, name: str, measure: Callable[[Bed], Iterable[Row]]) -> None:
        found: list[Row] = []
        try:
            with self._bed.progress.step(name, announce=True):
                found.extend(measure(self._bed))
        except Exception as error:  # noqa: BLE001 - reported in the verdict
            self._failed.append(f"{name}: {_innermost(error)}")
            self._bed.progress.note(f"✗ {self._failed[-1]}")
            self._on_failure()
        self._rows += found
        print(table(found), flush=True)

    def write(self) -> None:
        """Write `bench/out/NAME.json`, and the samples beside it."""
        OUT.mkdir(parents=True, exist_ok=True)
        write_json(self._file, [row.as_json() for row in self._rows])
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        said = {"taken": taken, "cpus": os.cpu_count(), "is_quick": self._bed.is_quick, "samples": self._bed.raw}
        write_json(self._file.with_suffix(".raw.json"), said)

    def verdict(self) -> int:
        """Print the table; return 1 if a row is missed, 2 if one could not be measured."""
        missed = [row.measure.strip() for row in self._rows if row.holds is False]
        held = sum(row.holds is True for row in self._rows)
        seconds = self._bed.progress.elapsed
        print(f"\n{table(self._rows)}\n")
        print(f"{held} rows hold, {len(missed)} missed, {len(self._failed)} not measured ({seconds:.0f} s)")
        for text in (*missed, *self._failed):
            print(f"  ✗ {text}")
        print(f"results: {self._file.relative_to(REPOSITORY)}, samples beside it")
        return 2 if self._failed else int(bool(missed))

    @property
    def _file(self) -> Path:
        return OUT / f"{self._name}.json"


def _innermost(error: BaseException) -> str:
    """Return the errors that a group holds, at any depth, or the one that it is, with where each was raised."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_innermost(each) for each in error.exceptions)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def write_json(path: Path, content: Any) -> None:
    """Write the file as a whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
