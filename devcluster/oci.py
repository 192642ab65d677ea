"""Image archives in the OCI image layout, made without a container engine."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import BinaryIO

LAYER = "application/vnd.oci.image.layer.v1.tar"
CHUNK = 1 << 20


def write_image(target: Path, reference: str, layer: Path, config: dict[str, object]) -> None:
    """Write a one-layer image; `layer` is an uncompressed tar, `config` as in the image specification."""
    digest = _file_digest(layer)
    image = _encoded(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "devcluster"}],  # buildah wants one entry per layer
        }
    )
    manifest = _encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", image),
            "layers": [{"mediaType": LAYER, "digest": f"sha256:{digest}", "size": layer.stat().st_size}],
        }
    )
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    index = _encoded({"schemaVersion": 2, "manifests": [entry]})
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", _encoded({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", index)
        for blob in (image, manifest):
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        with layer.open("rb") as content:
            _add_stream(archive, f"blobs/sha256/{digest}", content, layer.stat().st_size)


def write_layer(target: Path, files: dict[str, Path], links: dict[str, str]) -> None:
    """Write a layer of executable files (path in the image: file here) and symbolic links (path: destination)."""
    with tarfile.open(target, "w") as archive:
        for path, source in sorted(files.items()):
            with source.open("rb") as content:
                _add_stream(archive, path, content, source.stat().st_size, mode=0o755)
        for path, destination in sorted(links.items()):
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, destination
            archive.addfile(link)


def _add(archive: tarfile.TarFile, path: str, content: bytes) -> None:
    _add_stream(archive, path, io.BytesIO(content), len(content))


def _add_stream(archive: tarfile.TarFile, path: str, content: BinaryIO, size: int, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, mode
    archive.addfile(entry, content)


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _encoded(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
