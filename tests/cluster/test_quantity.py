"""Our canonical form of a quantity is the API server's own."""

import pytest

from ringfence_operator.api.quantity import canonical_quantity
from tests.cluster.api_server import ApiServer
from tests.cluster.rows import Body

pytestmark = pytest.mark.cluster

ORDINARY = (
    *("1", "1000", "1500", "1024", "2048", "1000000", "1234567", "0.5", ".5", "1.0", "100"),
    *("1m", "1000m", "1500m", "999m", "1000000u", "1000000000n", "1n", "0.1n", "1500u", "1.0000000001", "1.0001Ki"),
    *("1k", "1M", "1G", "1T", "1P", "1E", "1.5G", "1000k", "1024k", "0.001k", "1000P"),
    *("1Ki", "1024Ki", "1000Mi", "1.5Gi", "0.5Ki", "0.9Ki", "1.1Ki", "1Ti", "1Pi", "1Ei", "1024Pi", "1536Mi", "1023Ki"),
    *("1e3", "1.5e3", "15e2", "1e-3", "12e1", "1e6"),
)
# The API server keeps these as they are, though it means the same by them.
ODD = ("5.", "+7", "007", "1E3", "1e0", "1e+3")


@pytest.mark.parametrize("quantity", ORDINARY)
def test_quantity_is_written_as_the_api_server_writes_it(kube: ApiServer, namespace: str, quantity: str) -> None:
    assert canonical_quantity(quantity) == _kept(kube, namespace, quantity)


@pytest.mark.parametrize("quantity", [*ORDINARY, *ODD])
def test_canonical_quantity_is_kept_as_it_is(kube: ApiServer, namespace: str, quantity: str) -> None:
    canonical = canonical_quantity(quantity)

    assert _kept(kube, namespace, canonical) == canonical


@pytest.mark.parametrize(
    "text", ["", "x", "1 Gi", "1GB", "1gi", "1K", "--1", "1e", "1e3Gi", "1.2.3", "1_000", "٣", "1\n", "0x10", "NaN"]
)
def test_what_the_api_server_takes_for_no_quantity_is_none_for_us_either(
    kube: ApiServer, namespace: str, text: str
) -> None:
    answer = kube.create(_claim(namespace, text), dry_run=True)

    assert answer.status in (400, 422)
    with pytest.raises(ValueError, match="is not a quantity"):
        canonical_quantity(text)


def _kept(kube: ApiServer, namespace: str, quantity: str) -> str:
    stored = kube.create(_claim(namespace, quantity), dry_run=True).expect()
    return str(stored["spec"]["resources"]["requests"]["storage"])


def _claim(namespace: str, size: str) -> Body:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    metadata = {"name": "sample", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
