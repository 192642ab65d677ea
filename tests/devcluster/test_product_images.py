import re

from devcluster.cluster import REPOSITORY
from devcluster.product_images import gateway, operator, sidecar


def test_each_image_is_a_target_of_the_dockerfile_and_the_operator_is_the_default() -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)

    assert {operator().name, gateway().name, sidecar().name} <= set(targets)
    assert targets[-1] == operator().name


def test_an_image_carries_the_hash_of_its_own_sources_in_its_tag() -> None:
    references = [image.reference for image in (operator(), gateway(), sidecar())]

    assert [reference.partition(":")[0] for reference in references] == [
        "docker.io/ringfence/operator",
        "docker.io/ringfence/gateway",
        "docker.io/ringfence/sidecar",
    ]
    assert len({reference.partition(":")[2] for reference in references}) == 3
