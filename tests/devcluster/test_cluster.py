import shutil
from pathlib import Path

import pytest

from devcluster.cluster import claim_cluster, cluster_name, find_cluster, state_home
from devcluster.errors import DevclusterError


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_clusters_have_networks_of_their_own() -> None:
    one, other = claim_cluster("one").addresses, claim_cluster("other").addresses

    for network in ("host", "node", "pods", "services", "exit", "outside"):
        assert not set(getattr(one, network)) & set(getattr(other, network))


def test_a_cluster_keeps_its_slot_and_a_freed_one_is_used_again() -> None:
    first, second = claim_cluster("one"), claim_cluster("other")

    shutil.rmtree(state_home() / "one")
    third = claim_cluster("third")

    assert third.slot == first.slot
    assert claim_cluster("other") == second == find_cluster("other")
    assert find_cluster("one") is None


@pytest.mark.parametrize("name", ["x", "Dev", "1st", "much-too-long-a-name", "dev-", "a/b", "../dev"])
def test_a_name_that_cannot_name_an_interface_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CLUSTER", name)

    with pytest.raises(DevclusterError, match="use 2 to 12 of"):
        cluster_name()
