"""What the tests against the API server share."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.api_server import INSTALLER, Answer, ApiServer, collection

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kube(kubeconfig: Path) -> Iterator[ApiServer]:
    """The API server, on one connection for the session."""
    server = ApiServer(kubeconfig)
    yield server
    server.close()


@pytest.fixture(scope="session")
def crds(kube: ApiServer) -> ApiServer:
    """The API server with this tree's CRDs established."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        crd = kube.apply(yaml.safe_load(path.read_text()), manager=INSTALLER).expect()
        kube.wait(f"{collection(crd)}/{crd['metadata']['name']}", _is_established)
    return kube


@pytest.fixture(scope="session")
def namespace(kube: ApiServer) -> Iterator[str]:
    """A namespace of the session's own."""
    name = f"rf-crds-{secrets.token_hex(3)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kube.create(body).expect()
    yield name
    kube.delete(body)


def _is_established(answer: Answer) -> bool:
    # A new CRD's status is there before anything is in it.
    conditions = (answer.body.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
