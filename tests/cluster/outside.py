"""The outside as tests see it: pods that use its name servers, the programs people fetch with, and its log."""

import json
import subprocess
from pathlib import Path
from typing import Any

from devcluster.cluster import Cluster
from devcluster.images import CLIENTS
from devcluster.outside import RESOLVERS
from tests.cluster.api_server import Body
from tests.cluster.pod_network import build_pod, kubectl

CA_PATH = "/etc/outside/ca.crt"
CA_VARIABLES = (
    *("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "PIP_CERT"),
)
"""By one of these, each of the programs takes the authority of the outside."""


def _python(text: str) -> list[str]:
    return ["python3", "-c", f"import sys; url = sys.argv[1]\n{text}"]


_AIOHTTP = """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as answer:
        print(await answer.text())
asyncio.run(main())
"""
_NODE = """
fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)
"""

FETCHERS = {
    "curl": ["curl", "--silent", "--show-error", "--fail", "--max-time", "20"],
    "urllib": _python("from urllib.request import urlopen\nprint(urlopen(url, timeout=20).read().decode())"),
    "requests": _python("import requests\nprint(requests.get(url, timeout=20).text)"),
    "httpx": _python("import httpx\nprint(httpx.get(url, timeout=20).text)"),
    "aiohttp": _python(_AIOHTTP),
    "node": ["node", "-e", _NODE],
    "go": ["fetch"],
}
"""Commands of the image `clients` that print what the URL behind them gives."""
GIT = ["git", "clone", "https://git.test/sample.git", "/tmp/sample"]
PIP = ["pip", "download", "--quiet", "--index-url=https://pypi.test/simple", "--dest=/tmp", "ringfence-sample"]


def build_ca(namespace: str, cluster: Cluster) -> Body:
    """Return a ConfigMap with the authority of the outside."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "outside-ca"},
        "data": {"ca.crt": cluster.outside_ca.read_text()},
    }


def build_guest(namespace: str, name: str, *, resolver: str = RESOLVERS[0], image: str = CLIENTS) -> Body:
    """Return a pod that trusts the outside (see `build_ca`), asks its name server, and waits for commands."""
    env = [{"name": variable, "value": CA_PATH} for variable in CA_VARIABLES]
    mount = {"name": "ca", "mountPath": str(Path(CA_PATH).parent)}
    pod = build_pod(namespace, name, {}, ["sleep", "infinity"], image=image, env=env, volumeMounts=[mount])
    pod["spec"] |= {
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": [resolver]},
        "volumes": [{"name": "ca", "configMap": {"name": "outside-ca"}}],
    }
    return pod


def in_pod(kubeconfig: Path, pod: Body, command: list[str]) -> str:
    """Return what the command prints in the pod; fail with its last words."""
    where = [f"--kubeconfig={kubeconfig}", "exec", f"--namespace={pod['metadata']['namespace']}"]
    done = subprocess.run(
        [*kubectl(), *where, pod["metadata"]["name"], "--", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Journal:
    """What comes into one of the outside's logs from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = path.stat().st_size

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries so far; one is there before its answer is sent."""
        with self._path.open() as file:
            file.seek(self._begin)
            return [json.loads(line) for line in file]

    def names(self) -> set[str]:
        """Return the names that were asked for."""
        return {entry["qname"] for entry in self.entries()}
