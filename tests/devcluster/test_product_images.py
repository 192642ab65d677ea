import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from devcluster import product_images
from devcluster.binaries import STARTER, STARTERS
from devcluster.cluster import REPOSITORY
from devcluster.product_images import KIND, extended_sidecar, gateway, operator, sidecar, starter


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


def test_the_starters_image_has_what_its_dockerfile_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in STARTERS:
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(product_images, "binary", lambda name: tmp_path / name)
    dockerfile = (STARTER / "Dockerfile").read_text()

    image = starter()
    image.make(tmp_path / "image.tar")

    with tarfile.open(tmp_path / "image.tar") as archive:
        blobs = [blob.read() for entry in archive if (blob := archive.extractfile(entry)) and "blobs/" in entry.name]
    config = next(found["config"] for found in map(json.loads, filter(_is_json, blobs)) if "os" in found)
    with tarfile.open(fileobj=io.BytesIO(next(blob for blob in blobs if not _is_json(blob)))) as layer:
        files = {entry.name: entry.mode for entry in layer}
    assert files == dict.fromkeys(STARTERS, 0o755)
    assert f"USER {config['User']}\nENTRYPOINT {json.dumps(config['Entrypoint'])}\n" in dockerfile
    assert {path.name for path in (STARTER / "cmd").iterdir()} == set(STARTERS)
    assert image.reference == f"docker.io/ringfence/starter:{image.digest()}"


def _is_json(blob: bytes) -> bool:
    return blob.startswith(b"{")
