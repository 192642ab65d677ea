import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from devcluster.oci import write_image, write_layer


def test_an_image_names_blobs_that_are_there_and_whole(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    write_layer(tmp_path / "layer.tar", {"bin/program": program}, {"bin/link": "program"})

    write_image(
        tmp_path / "image.tar", "docker.io/ringfence/x:1", tmp_path / "layer.tar", {"Entrypoint": ["/bin/program"]}
    )

    with tarfile.open(tmp_path / "image.tar") as archive:
        entry = _json(archive, "index.json")["manifests"][0]
        manifest = json.loads(_blob(archive, entry))
        image = json.loads(_blob(archive, manifest["config"]))
        layer = _blob(archive, manifest["layers"][0])
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/ringfence/x:1"
    assert image["config"] == {"Entrypoint": ["/bin/program"]}
    assert image["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_a_layer_of_the_same_files_is_the_same_to_the_byte(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")

    for name in ("one", "two"):
        write_layer(tmp_path / name, {"b": program, "a": program}, {})

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def _json(archive: tarfile.TarFile, path: str) -> Any:
    return json.loads(_read(archive, path))


def _blob(archive: tarfile.TarFile, descriptor: dict[str, Any]) -> bytes:
    digest = descriptor["digest"].removeprefix("sha256:")
    content = _read(archive, f"blobs/sha256/{digest}")
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    assert file
    return file.read()
