"""Every combination of resource, window, scope and enforcement, held against the API server itself."""

from itertools import product

import pytest

from ringfence_operator.api.quota_matrix import MATRIX, Enforcement, Resource, Scope, Window
from tests.cluster.api_server import ApiServer
from tests.cluster.rows import quota

pytestmark = pytest.mark.cluster

Cell = tuple[str, str, str, str]
SAMPLE: tuple[tuple[Cell, str], ...] = (
    (("memory", "None", "PerAgent", "Hard"), ""),
    (("memory", "None", "PerAgent", "Warn"), "memory goes with enforcement Hard: write one of them"),
    (("memory", "Hour", "PerAgent", "Hard"), "memory goes with window None: write one of them"),
    (("memory", "None", "Shared", "Hard"), "memory goes with scope PerAgent: write one of them"),
    (("cpu", "None", "PerAgent", "Hard"), ""),
    (("cpu", "None", "PerAgent", "Soft"), "cpu goes with enforcement Hard: write one of them"),
    (("ephemeralStorage", "None", "PerAgent", "Hard"), ""),
    (("ephemeralStorage", "Day", "PerAgent", "Hard"), "ephemeralStorage goes with window None: write one of them"),
    (("pids", "None", "PerAgent", "Hard"), "set podPidsLimit in the kubelet's configuration"),
    (("agents", "None", "Shared", "Hard"), ""),
    (("agents", "None", "PerAgent", "Hard"), "agents goes with scope Shared: write one of them"),
    (("agents", "None", "Shared", "Soft"), "agents goes with enforcement Hard or Warn: write one of them"),
    (("podSeconds", "Day", "Shared", "Warn"), ""),
    (("podSeconds", "Minute", "Shared", "Hard"), "podSeconds goes with window Hour or Day or Month: write one of them"),
    (("podSeconds", "None", "Shared", "Hard"), "podSeconds goes with window Hour or Day or Month: write one of them"),
    (("networkBytes", "Minute", "PerAgent", "Hard"), ""),
    (("networkBytes", "Second", "PerAgent", "Hard"), "networkBytes goes with window Minute or Hour or Day or Month"),
    (("networkBytes", "Hour", "Shared", "Soft"), "networkBytes goes with enforcement Hard or Warn: write one of them"),
    (("networkBandwidth", "None", "PerAgent", "Hard"), ""),
    (("networkBandwidth", "Second", "PerAgent", "Hard"), "networkBandwidth goes with window None: write one of them"),
    (("networkConnections", "None", "PerAgent", "Warn"), ""),
    (("networkConnections", "None", "Shared", "Hard"), "networkConnections goes with scope PerAgent: write one of"),
    (("apiCalls", "Second", "PerAgent", "Soft"), ""),
    (("apiCalls", "None", "PerAgent", "Hard"), "apiCalls goes with window Second or Minute or Hour or Day or Month"),
    (("concurrentCalls", "None", "Shared", "Soft"), ""),
    (("concurrentCalls", "Hour", "Shared", "Hard"), "concurrentCalls goes with window None: write one of them"),
    (("connectorConnections", "None", "Shared", "Hard"), ""),
    (("connectorConnections", "None", "Shared", "Soft"), "connectorConnections goes with enforcement Hard or Warn"),
    (("bytesScanned", "Month", "Shared", "Soft"), ""),
    (("credits", "Day", "Shared", "Hard"), ""),
    (("messagesReceived", "Day", "PerAgent", "Warn"), ""),
    (("unackedLeases", "None", "PerAgent", "Hard"), ""),
    (("unackedLeases", "Day", "PerAgent", "Hard"), "unackedLeases goes with window None: write one of them"),
    (("cacheBytes", "None", "PerAgent", "Warn"), ""),
    (("cacheBytes", "None", "Shared", "Hard"), "cacheBytes goes with scope PerAgent: write one of them"),
)
"""What people would look up; written by hand, so that a matrix that lost something does not agree with itself."""


def refusal(crds: ApiServer, namespace: str, cell: Cell) -> str:
    """Return the words with which a limit is refused, or nothing."""
    resource, window, scope, enforcement = cell
    limit = {"resource": resource, "max": "5Mi", "window": window, "scope": scope, "enforcement": enforcement}
    answer = crds.create(quota(namespace, {"limits": [limit]}), dry_run=True)
    assert answer.status in (201, 422), answer.body
    return answer.message if answer.status == 422 else ""


@pytest.mark.parametrize(("cell", "says"), SAMPLE, ids=lambda it: "-".join(it) if isinstance(it, tuple) else "")
def test_what_goes_with_what_is_as_people_were_told(crds: ApiServer, namespace: str, cell: Cell, says: str) -> None:
    found = refusal(crds, namespace, cell)

    assert (says in found) if says else not found


@pytest.mark.parametrize("resource", Resource, ids=str)
def test_every_combination_is_accepted_or_refused_as_the_matrix_says(
    crds: ApiServer, namespace: str, resource: Resource
) -> None:
    row = MATRIX[resource]
    every: list[Cell] = [
        (resource.value, window.value, scope.value, enforcement.value)
        for window, scope, enforcement in product(Window, Scope, Enforcement)
    ]

    accepted = [cell for cell in every if not refusal(crds, namespace, cell)]

    assert accepted == [
        (resource.value, window.value, scope.value, enforcement.value)
        for window, scope, enforcement in product(Window, Scope, Enforcement)
        if window in row.windows and scope in row.scopes and enforcement in row.enforcements
    ]


def test_the_sample_has_every_resource() -> None:
    assert {cell[0] for cell, _ in SAMPLE} >= {
        each.value for each in Resource if MATRIX[each].windows != MATRIX[Resource.API_CALLS].windows
    }
