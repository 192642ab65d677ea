"""Draws dashboards from what a Prometheus has kept: it needs npm and Chromium."""

import functools
import json
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from devcluster.binaries import binary
from devcluster.npm import npm_installed

PAGE = Path(__file__).parent / "page"
DASHBOARDS = Path(__file__).resolve().parents[2] / "charts/ringfence/dashboards"
WIDTHS = {"desktop": 1440, "phone": 390}
END = "end"
STEP_SECONDS = 3
MOST_SECONDS = 900
_ROW, _GAP, _HEAD, _ONE_COLUMN = 30, 8, 96, 769
_SECONDS = 60.0


def draw(metrics: Path, out: Path) -> Iterator[Path]:
    """Yield each picture once it is made, of every dashboard in each width. Raises OSError, CalledProcessError.

    `metrics` has the folder of a Prometheus, and when the run was over, after which agents were taken away.
    """
    end = float((metrics / END).read_text())
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        _bundle(site)
        with _prometheus(metrics / "data", site / "prometheus.yaml") as prometheus, served(site) as page:
            seconds = int(min(MOST_SECONDS, end - _begin(prometheus)))
            asked = {"prometheus": prometheus, "end": end, "seconds": seconds, "step": STEP_SECONDS}
            for dashboard in sorted(DASHBOARDS.glob("*.json")):
                for name, width in WIDTHS.items():
                    picture = out / f"{dashboard.stem.removeprefix('ringfence-')}-{name}.png"
                    query = {**asked, "dashboard": dashboard.name, "width": width}
                    _shoot(f"{page}/index.html?{urlencode(query)}", picture, width, _height(dashboard, width))
                    yield picture


def _bundle(site: Path) -> None:
    home = npm_installed("pictures", PAGE)
    shutil.copytree(PAGE / "src", site / "src")
    (site / "node_modules").symlink_to(home / "node_modules")
    argv = ["node_modules/.bin/esbuild", "src/main.jsx", "--bundle", "--minify", "--outfile=main.js"]
    subprocess.run([*argv, '--define:process.env.NODE_ENV="production"'], cwd=site, check=True, capture_output=True)
    for each in (PAGE / "index.html", *DASHBOARDS.glob("*.json")):
        shutil.copy(each, site)


@contextmanager
def _prometheus(data: Path, configuration: Path) -> Iterator[str]:
    """Run one over `data` that scrapes nothing; yield its address."""
    configuration.write_text("scrape_configs: []\n")
    port = 19_090
    argv = [str(binary("prometheus")), f"--config.file={configuration}", f"--storage.tsdb.path={data}"]
    process = subprocess.Popen([*argv, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"])
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + _SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/-/ready", timeout=_SECONDS).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(_SECONDS)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on this machine; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _begin(prometheus: str) -> float:
    """Return when the run began, in seconds since the epoch."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/status/tsdb", timeout=_SECONDS) as answer:
        return float(json.load(answer)["data"]["headStats"]["minTime"]) / 1000


def _height(dashboard: Path, width: int) -> int:
    """Return how tall the page is: as Grafana lays it out, in one column where it is narrow."""
    places = [panel["gridPos"] for panel in json.loads(dashboard.read_text())["panels"]]
    rows = sum(each["h"] for each in places) if width < _ONE_COLUMN else max(each["y"] + each["h"] for each in places)
    return int(rows * (_ROW + _GAP) + _HEAD + _GAP)


def _shoot(url: str, picture: Path, width: int, height: int) -> None:
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--virtual-time-budget=20000"]
    argv = ["chromium", *flags, f"--window-size={width},{height}", f"--screenshot={picture}", url]
    subprocess.run(argv, check=True, timeout=_SECONDS, capture_output=True)
