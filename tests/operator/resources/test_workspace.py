from ringfence_operator.resources.workspace import build_claim
from tests.operator.resources.objects import make_agent


def test_the_claim_of_a_workspace_goes_with_its_agent() -> None:
    built = build_claim(make_agent(workspace={"size": "2048Mi", "storageClassName": "fast"}))

    assert built == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "a-workspace",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/managed-by": "ringfence",
                "ringfence.dev/agent": "a",
                "ringfence.dev/agent-uid": "agent-uid",
            },
            "ownerReferences": [
                {
                    "apiVersion": "ringfence.dev/v1alpha1",
                    "kind": "Agent",
                    "name": "a",
                    "uid": "agent-uid",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
            "storageClassName": "fast",
        },
    }


def test_a_claim_to_retain_has_no_owner() -> None:
    built = build_claim(make_agent(workspace={"size": "1Gi", "reclaimPolicy": "Retain"}))

    assert built is not None
    assert "ownerReferences" not in built["metadata"]


def test_without_a_storage_class_the_cluster_chooses() -> None:
    built = build_claim(make_agent(workspace={"size": "1Gi"}))

    assert built is not None
    assert "storageClassName" not in built["spec"]


def test_an_agent_without_workspace_or_with_an_adopted_one_gets_no_claim() -> None:
    assert build_claim(make_agent()) is None
    assert build_claim(make_agent(workspace={"claimName": "kept"})) is None
