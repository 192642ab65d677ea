"""Look at every page of the documentation in a browser: python -m tools.pictures.site [--site FOLDER] [PAGE ...].

Each page is opened in Chromium, as wide as a desktop's window and as a phone. A page is at fault if it is wider than
the window, if a picture does not load, if a script fails, if text is smaller than 10 px or cut off at an edge, if a
table squashes its words, or if it has no title. It prints a table and a sentence for each fault; the exit code is 1 if
there is one. It builds the site first, unless --site has it, and has apt-get install Chromium where there is no
browser. With --out, the first window of each page is kept as a picture.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.packages import install
from devcluster.step import Progress
from tools.pictures.browser import BrowserError, Tab, browser, found
from tools.pictures.drawn import served

ROOT = Path(__file__).resolve().parents[2]
BASE = "docs"
"""The path of site_url in mkdocs.yml, with which links of the page for what is not there begin."""
LOOK = (Path(__file__).parent / "look.js").read_text()
BROWSERS = 2


@dataclass(frozen=True, slots=True)
class Window:
    """How large a reader's window is, in CSS pixels."""

    name: str
    width: int
    height: int


WINDOWS = (Window("desktop", 1280, 800), Window("phone", 390, 844))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one page looks like in one window."""

    page: str
    """Its path on the site, as `concepts/pools/`."""
    window: Window
    faults: tuple[str, ...]


def pages_of(site: Path) -> list[str]:
    """Return the path of each page of a built site, none if it is not built."""
    paths = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return [path.removesuffix("index.html") for path in paths]


def look_at(site: Path, pages: list[str], *, out: Path | None = None) -> list[Seen]:
    """Return what each page looks like in each window; keep pictures in `out`. Raises a group of BrowserError."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / BASE).symlink_to(site.resolve())
        with served(Path(folder)) as address:
            seen = asyncio.run(_all_seen(f"{address}/{BASE}", pages, out))
    return sorted(seen, key=lambda each: (each.page, each.window.name))


async def _all_seen(site: str, pages: list[str], out: Path | None) -> list[Seen]:
    waiting = [(page, window) for page in reversed(pages) for window in reversed(WINDOWS)]
    seen: list[Seen] = []

    async def work() -> None:
        async with browser() as tab:
            while waiting:
                seen.append(await _seen(tab, site, *waiting.pop(), out))

    async with asyncio.TaskGroup() as group:
        for _ in range(BROWSERS):
            group.create_task(work())
    return seen


async def _seen(tab: Tab, site: str, page: str, window: Window, out: Path | None) -> Seen:
    is_phone = window.name == "phone"
    await tab.show(f"{site}/{page}", width=window.width, height=window.height, is_phone=is_phone)
    faults = [*await tab.value_of(LOOK), *(f"the browser says: {error}" for error in tab.errors)]
    if out:
        (out / f"{picture_name(page)}-{window.name}.png").write_bytes(await tab.picture())
    return Seen(page, window, tuple(faults))


def picture_name(page: str) -> str:
    """Return what a page's picture is called: `concepts-pools` of `concepts/pools/`."""
    return page.strip("/").removesuffix(".html").replace("/", "-") or "index"


def table(seen: list[Seen]) -> str:
    """Return one line for each page: how many faults it has in each window."""
    counts = {(each.page, each.window.name): len(each.faults) for each in seen}
    names = [window.name for window in WINDOWS]
    pages = sorted({each.page for each in seen})
    wide = max(len(page) for page in pages) + 1
    rows = [f"{'page':{wide}} " + " ".join(f"{name:>8}" for name in names)]
    for page in pages:
        said = " ".join(f"{counts[page, name] or 'ok':>8}" for name in names)
        rows.append(f"{page or '/':{wide}} {said}")
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    """Look at the pages; return the exit code."""
    said = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            site = said.site or _built(Path(folder))
            pages = pages_of(site)
            wanted = [page.lstrip("/") for page in said.page] or pages
            if not wanted or set(wanted) - set(pages):
                lacking = ", ".join(sorted(set(wanted) - set(pages))) or "none at all"
                print(f"✗ no such page in {site}: {lacking}", file=sys.stderr)
                return 1
            if found() is None:
                install({"chromium": "chromium"}, Progress("browser"))
            return _judge(site, wanted, said.out)
    except (DevclusterError, subprocess.CalledProcessError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition(": ")
    parser = argparse.ArgumentParser(
        prog="python -m tools.pictures.site",
        description=f"{summary}.\n{rest.partition(chr(10))[2]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--site", type=Path, help="folder of a built site (default: it is built now)")
    parser.add_argument("--out", type=Path, help="folder for a picture of each page in each window")
    parser.add_argument("page", nargs="*", help="only these, as concepts/pools/ or / (default: every page)")
    return parser


def _built(folder: Path) -> Path:
    """Build the site into a folder; return it. Raises CalledProcessError, after MkDocs has said why."""
    argv = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(argv, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True)
    return folder


def _judge(site: Path, pages: list[str], out: Path | None) -> int:
    begun = time.monotonic()
    seen: list[Seen] = []
    try:
        seen = look_at(site, pages, out=out)
    except* BrowserError as group:
        print(f"✗ {group.exceptions[0]}", file=sys.stderr)
    if not seen:
        return 1
    faults = [f"✗ {each.page or '/'} ({each.window.name}): {fault}" for each in seen for fault in each.faults]
    print("\n".join([table(seen), "", *faults]))
    seconds = time.monotonic() - begun
    print(f"{len(pages)} pages in {len(WINDOWS)} windows: {len(faults)} faults ({seconds:.0f} s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
