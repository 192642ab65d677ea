"""What is written for Argo CD and Flux, against the real API server and Flux's own kinds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.foreign_kinds import crd_of, made_of
from tests.e2e.gitops.kubectl import Kubectl
from tests.e2e.kube import Kube, address
from tests.e2e.world import World
from tests.gitops.judge import SCRIPTS

ROOT = Path(__file__).resolve().parents[3]
FLUX = ROOT / "examples/gitops/flux"
FLUX_KINDS = {
    "github.com/fluxcd/source-controller@v1.9.6": "source.toolkit.fluxcd.io_gitrepositories.yaml",
    "github.com/fluxcd/kustomize-controller@v1.9.6": "kustomize.toolkit.fluxcd.io_kustomizations.yaml",
}
"""Go modules, which the go command checks by the checksum database, and what of them is asked."""


@pytest.fixture
def flux(kube: Kube) -> Iterator[None]:
    """Flux's kinds, without Flux, and its namespace."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}
    kinds = [crd_of(module, f"config/crd/bases/{file}") for module, file in FLUX_KINDS.items()]
    with made_of(kube, [namespace, *kinds]):
        yield


def test_flux_takes_the_example(kubectl: Kubectl, flux: None) -> None:
    said = kubectl.output("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", FLUX)

    made = {line.partition(" ")[0] for line in said.splitlines()}
    assert made == {
        "gitrepository.source.toolkit.fluxcd.io/agents",
        "gitrepository.source.toolkit.fluxcd.io/ringfence",
        "kustomization.kustomize.toolkit.fluxcd.io/agents-production",
        "kustomization.kustomize.toolkit.fluxcd.io/agents-staging",
        "kustomization.kustomize.toolkit.fluxcd.io/ringfence",
    }


def test_argo_cds_settings_keep_what_they_hold_beside_our_checks(
    kubectl: Kubectl, alone: World, tmp_path: Path
) -> None:
    namespace = alone.new_namespace("argocd")
    meta = {"name": "argocd-cm", "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "argocd"}}
    data = {"url": "https://argocd.example.com"}
    alone.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    manifest = kubectl.output("kustomize", SCRIPTS).replace("namespace: argocd", f"namespace: {namespace}")

    kubectl.output("apply", "--server-side", "--field-manager=ringfence-checks", "-f", "-", stdin=manifest)

    found = alone.kube.get(address("ConfigMap", namespace, "argocd-cm")) or {}
    checks = {
        f"resource.customizations.health.ringfence.dev_{path.parent.name}": path.read_text()
        for path in SCRIPTS.rglob("health.lua")
    }
    assert found["data"] == {**data, **checks}
    assert len(checks) == 5
