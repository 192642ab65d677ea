"""A real Prometheus on this machine that scrapes the cluster as docs/operations/monitoring.md says."""

import base64
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from tests.e2e.replica import ROOT
from tests.ports import free_port

PAGE = ROOT / "docs/operations/monitoring.md"
SCRAPE_SECONDS = 2
SECONDS = 30.0
STEP_SECONDS = 5
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """A series of an answer: its labels, and its values in time."""

    labels: dict[str, str]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    url: str

    def at_once(self, expr: str) -> list[Series]:
        """Return what an expression is now."""
        found = self._get("query", query=expr)["result"]
        return [Series(each["metric"], (float(each["value"][1]),)) for each in found]

    def in_time(self, expr: str, *, seconds: float) -> list[Series]:
        """Return what an expression has been for so long."""
        now = time.time()
        found = self._get("query_range", query=expr, start=now - seconds, end=now, step=STEP_SECONDS)["result"]
        return [Series(each["metric"], tuple(float(value) for _, value in each["values"])) for each in found]

    def values_of(self, label: str, selector: str) -> list[str]:
        """Return a label's values among the series that a selector matches."""
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": selector})
        return found

    def families(self) -> dict[str, str]:
        """Return the type of each metric that was scraped, by its name."""
        return {name: found[0]["type"] for name, found in self._get("metadata").items()}

    def targets(self) -> list[Body]:
        """Return what it scrapes."""
        found: list[Body] = self._get("targets", state="active")["activeTargets"]
        return found

    def until_scraped(self, *, after: float, jobs: set[str], seconds: float = 60) -> None:
        """Return once every target, of all these jobs, was scraped after a time, without an error."""
        end = time.monotonic() + seconds
        while True:
            found = self.targets()
            late = [each for each in found if each["health"] != "up" or scraped_at(each) < after]
            if not late and {each["labels"]["job"] for each in found} == jobs:
                return
            assert time.monotonic() < end, [(each["scrapeUrl"], each["lastError"], each["lastScrape"]) for each in late]
            time.sleep(0.5)

    def _get(self, path: str, **query: object) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error


def scraped_at(target: Body) -> float:
    """Return when a target was last scraped, in seconds since the epoch."""
    # The fraction has more digits than Python takes.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", target["lastScrape"])).timestamp()


@contextmanager
def running(program: Path, kubeconfig: Path, directory: Path) -> Iterator[Prometheus]:
    """Run it while the block runs."""
    port = free_port()
    configuration = directory / "prometheus.yaml"
    configuration.write_text(yaml.safe_dump(configured(kubeconfig, directory)))
    flags = [f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}"]
    log = (directory / "prometheus.log").open("w")
    process = subprocess.Popen(
        [program, *flags, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdout=log, stderr=log
    )
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        _until_ready(found, process, directory / "prometheus.log")
        yield found
    finally:
        process.terminate()
        process.wait(SECONDS)
        log.close()


def _until_ready(found: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{found.url}/-/ready", timeout=SECONDS):
                return
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def configured(kubeconfig: Path, directory: Path) -> Body:
    """Return the page's configuration, by way of the API server: this machine is no part of the pods' network."""
    (text,) = re.findall(r"^```yaml\n(scrape_configs:\n.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    body: Body = yaml.safe_load(text)
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {
        "ca_file": cluster["certificate-authority-data"],
        "cert_file": user["client-certificate-data"],
        "key_file": user["client-key-data"],
    }
    for name, data in files.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(data))
    for job in body["scrape_configs"]:
        job["scheme"] = "https"
        job["tls_config"] = {name: str(directory / name) for name in files}
        for each in job["kubernetes_sd_configs"]:
            each["kubeconfig_file"] = str(kubeconfig)
        job["relabel_configs"] += _through(urlsplit(cluster["server"]).netloc)
    return {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}, **body}


def _through(server: str) -> list[Body]:
    """Return how a target's address becomes one of the API server's, and stays what its series are called by."""
    meta = "__meta_kubernetes_pod"
    pod = ["__meta_kubernetes_namespace", f"{meta}_name", f"{meta}_container_port_number"]
    path = "/api/v1/namespaces/$1/pods/http:$2:$3/proxy/metrics"
    return [
        {"source_labels": ["__address__"], "target_label": "instance"},
        {"source_labels": pod, "regex": "(.+);(.+);(.+)", "target_label": "__metrics_path__", "replacement": path},
        {"target_label": "__address__", "replacement": server},
    ]
