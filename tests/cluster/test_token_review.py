"""Tokens as the real API server makes them: what the control process reads in them, and what it is told of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.control.token import BadTokenError, claims_of
from ringfence_operator.egress.token_review import TokenReviewer
from ringfence_operator.kube.client import Client
from ringfence_operator.reconcile.issuer import Issuer
from tests.cluster.api_server import ApiServer
from tests.cluster.wire import credentials_from
from tests.operator.resources.objects import NOW

pytestmark = pytest.mark.cluster

Raw = dict[str, Any]

SECONDS = 15
"""Longer than API servers remember that a token was good, which is 10 s."""


@pytest.fixture
async def client(kubeconfig: Path) -> AsyncIterator[Client]:
    async with Client(credentials_from(kubeconfig)) as client:
        yield client


@pytest.fixture
def pod(kube: ApiServer, namespace: str) -> Iterator[Raw]:
    """A pod that no node takes."""
    spec = {"containers": [{"name": "agent", "image": "none"}], "schedulerName": "nobody"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reviewed", "namespace": namespace}, "spec": spec}
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    kube.wait(account, lambda answer: "metadata" in answer.body)
    yield kube.create(body).expect()
    kube.delete(body)


async def token_of(client: Client, pod: Raw, *audiences: str) -> str:
    """Return what the kubelet would project."""
    meta = pod["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
    spec = {"audiences": list(audiences), "expirationSeconds": 3600, "boundObjectRef": bound}
    path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/default/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
    answer = await client.create(path, body)
    return str(answer["status"]["token"])


async def test_a_projected_token_is_read_as_what_it_is_and_vouched_for(client: Client, pod: Raw) -> None:
    token = await token_of(client, pod, "ringfence-control")
    issuer = await Issuer(client).current(NOW)

    claims = claims_of(token, issuer=issuer, now=time.time())
    uid = await TokenReviewer(client).review(token)

    assert claims.pod_uid == uid == pod["metadata"]["uid"]
    assert 3_000 < claims.expires - time.time() < 4_000


async def test_a_token_for_another_audience_is_refused_by_both(client: Client, pod: Raw) -> None:
    token = await token_of(client, pod, "snowflake")

    with pytest.raises(BadTokenError):
        claims_of(token, issuer=None, now=time.time())
    assert await TokenReviewer(client).review(token) == ""


async def test_a_token_whose_signature_is_another_is_not_vouched_for(client: Client, pod: Raw) -> None:
    one = await token_of(client, pod, "ringfence-control")
    other = await token_of(client, pod, "ringfence-control", "x")

    forged = ".".join([*one.split(".")[:2], other.split(".")[2]])

    assert claims_of(forged, issuer=None, now=time.time()).pod_uid == pod["metadata"]["uid"]
    assert await TokenReviewer(client).review(forged) == ""


async def test_the_token_of_a_pod_that_is_gone_is_not_vouched_for(
    kube: ApiServer, client: Client, pod: Raw, namespace: str
) -> None:
    token = await token_of(client, pod, "ringfence-control")

    await client.delete(f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}", grace_seconds=0)

    # The API server itself may see it a moment later.
    reviewer = TokenReviewer(client)
    async with asyncio.timeout(SECONDS):
        while await reviewer.review(token):  # noqa: ASYNC110 - the API server tells nobody
            await asyncio.sleep(0.1)
