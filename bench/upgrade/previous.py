"""The release before this one: a former commit, and the images that its own tree builds."""

import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.cluster import REPOSITORY
from devcluster.command import run

CHART = "charts/ringfence"
IMAGES = ("operator", "gateway", "sidecar", "starter")
"""What a release may have. The sources of each are the directory of its name."""
CHANGED = ("operator", "sidecar")
"""Of these sources, the release before has others."""


@dataclass(frozen=True, slots=True)
class Release:
    """A tree, and its images by their names."""

    commit: str
    chart: Path
    images: dict[str, str]


@contextmanager
def previous_release(commit: str | None, *, cluster: str, other_than: Mapping[str, str]) -> Iterator[Release]:
    """The release of a commit, else of the newest with another operator and another sidecar, with images on the node.

    An image that is still the same has another name, so that it is rolled out, too. The chart is there until the block
    ends.
    """
    commit = _git("rev-parse", "--short", commit or _newest_other())
    with tempfile.TemporaryDirectory(prefix="ringfence-previous-") as scratch:
        tree = Path(scratch)
        archive = tree / "tree.tar"
        _git("archive", f"--output={archive}", commit)
        with tarfile.open(archive) as packed:
            packed.extractall(tree, filter="data")
        names = images_of(commit)
        build = [sys.executable, "-m", "devcluster", "build", *names]
        said = run(build, env={"RINGFENCE_CLUSTER": cluster}, cwd=tree, timeout=1800)
        built = dict(zip(names, said.split()[-len(names) :], strict=True))
        named = {name: _renamed(image) if image == other_than[name] else image for name, image in built.items()}
        yield Release(commit, tree / CHART, named)


def images_of(commit: str) -> list[str]:
    """Return the names of the images that the release of a commit has: the first ones had no starter."""
    there = _git("ls-tree", "--name-only", commit).split()
    return [name for name in IMAGES if name in there]


def _renamed(image: str) -> str:
    """Return another name of the image, as whoever runs it understands it."""
    return image.removeprefix("docker.io/")


def _newest_other() -> str:
    ours = _trees("HEAD")
    for commit in _git("rev-list", "HEAD").split():
        if all(theirs != own for theirs, own in zip(_trees(commit), ours, strict=True)):
            return commit
    raise LookupError(f"no commit has other sources of {' and '.join(CHANGED)}")


def _trees(commit: str) -> list[str]:
    return _git("rev-parse", *(f"{commit}:{path}" for path in CHANGED)).split()


def _git(*arguments: str) -> str:
    return run(["git", *arguments], cwd=REPOSITORY, timeout=120).strip()
