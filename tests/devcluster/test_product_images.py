import re

from devcluster.cluster import REPOSITORY
from devcluster.product_images import KIND, extended_sidecar, gateway, operator, sidecar


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


def test_the_extended_sidecar_is_another_image_for_each_sidecar_and_takes_the_pinned_uv() -> None:
    pinned, own = (
        re.findall(r"^ARG UV=(\S+)$", (directory / "Dockerfile").read_text(), re.MULTILINE)
        for directory in (REPOSITORY, KIND)
    )

    assert own == pinned
    assert extended_sidecar().reference.startswith("docker.io/ringfence/sidecar-kv:")
    assert extended_sidecar().digest() != sidecar().digest()
