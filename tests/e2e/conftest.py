"""The operator under test, from source, on a real cluster; tests that take `world` run side by side."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import yaml

from tests.e2e.installation import (
    DEPLOYMENTS,
    OPERATOR,
    REDIS,
    REDIS_SECRET,
    Installation,
    built_image,
    manifests,
)
from tests.e2e.kube import Kube, address
from tests.e2e.operator_slot import SETTINGS, OperatorSlot
from tests.e2e.replica import ROOT, SYSTEM_NAMESPACE
from tests.e2e.together import HERE, MakeWorld, Together, runs_together
from tests.e2e.world import World, is_true, namespace_body

GUARDS = tuple(
    address("ValidatingAdmissionPolicyBinding", name=name) for name in ("ringfence-guard", "ringfence-labels")
)
INSTALLATIONS = ("installed", "extended")
"""Fixtures: what is installed for the session, and what a folder makes of it for its own tests."""
TOGETHER = pytest.StashKey[Together]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOGETHER] = Together()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[TOGETHER].stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with an operator from source come first, since an installed one stays; at last those that change it.

    In a folder, those that run side by side come first.
    """
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            # Each wait has a bound of its own; this one holds for all waits of a test, on a busy machine.
            item.add_marker(pytest.mark.timeout(300))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, str, bool]:
    if HERE not in item.path.parents:
        return 0, "", False
    names = getattr(item, "fixturenames", ())
    return sum(each in names for each in INSTALLATIONS), str(item.path.parent), not runs_together(item)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not runs_together(pyfuncitem):
        return None
    make_world = cast("MakeWorld", pyfuncitem.funcargs["world"])
    pyfuncitem.config.stash[TOGETHER].outcome(pyfuncitem, make_world)
    return True


@pytest.fixture(scope="session")
def kube(kubeconfig: Path) -> Iterator[Kube]:
    """The API server, with this tree's CRDs, without another operator."""
    kube = Kube(kubeconfig)
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yaml.safe_load(path.read_text())
        kube.apply(crd)
        kube.until(
            address("CustomResourceDefinition", name=crd["metadata"]["name"]), lambda it: is_true(it, "Established")
        )
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
    yield kube
    kube.close()


@pytest.fixture(scope="session")
def without_deployed_operator(kube: Kube) -> Iterator[None]:
    """One that is installed in the cluster rests while the one from source works, which its guards do not know."""
    there = {path: found for path in DEPLOYMENTS.values() if (found := kube.get(path))}
    guards = [found for path in GUARDS if (found := kube.get(path))]
    for path in GUARDS:
        kube.delete(path)
    for path in there:
        kube.merge(path, {"spec": {"replicas": 0}})
    for path in there:
        kube.until(path, lambda it: it is not None and not it["status"].get("replicas"))
    yield
    for path, found in there.items():
        kube.merge(path, {"spec": {"replicas": found["spec"]["replicas"]}})
    for guard in guards:
        kube.apply({**guard, "metadata": {"name": guard["metadata"]["name"]}})


@pytest.fixture(scope="session")
def namespace(kube: Kube) -> Iterator[str]:
    """A namespace for the session's agents, in which Pod Security `restricted` is enforced."""
    name = f"rf-e2e-{secrets.token_hex(3)}"
    kube.create(namespace_body(name))
    yield name
    kube.delete(address("Namespace", name=name))


@pytest.fixture(scope="session")
def operator_slot(kubeconfig: Path, without_deployed_operator: None) -> Iterator[OperatorSlot]:
    slot = OperatorSlot(kubeconfig)
    yield slot
    slot.stop()


@pytest.fixture(scope="session")
def installed(kube: Kube, kubeconfig: Path, operator_slot: OperatorSlot) -> Iterator[Installation]:
    """Two replicas of operator and gateway from this tree's manifests, instead of the operator from source.

    Their sidecars and starters are of this tree, too.
    """
    operator_slot.stop()
    was_there = kube.get(DEPLOYMENTS[OPERATOR]) is not None
    images = {name: built_image(kubeconfig, name) for name in ("operator", "gateway", "sidecar", "starter")}
    found = Installation(kube, [REDIS_SECRET, *manifests(images, **REDIS)])
    found.apply()
    yield found
    found.remove(keep=was_there)


@pytest.fixture
def world(kube: Kube, namespace: str, operator_slot: OperatorSlot) -> MakeWorld:
    """For tests that run side by side, under the usual settings."""
    operator_slot.running(**SETTINGS)
    return lambda: World(kube, namespace)


@pytest.fixture
def alone(kube: Kube, namespace: str, operator_slot: OperatorSlot) -> Iterator[World]:
    """A world for a test that measures time, or counts writes: no other runs beside it."""
    operator_slot.running(**SETTINGS)
    with World(kube, namespace) as world:
        yield world
