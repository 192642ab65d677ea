"""The chart's bill of materials: the package itself, by its hash, and the images that it can have pods run."""

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "charts/ringfence/values.yaml"


def chart_bill(package: Path, version: str, *, values: Path = VALUES) -> dict[str, Any]:
    """Return the bill of a packed chart in CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/).

    It depends on nothing but its input: the same package has the same bill.
    """
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    components = [_image(each, version) for each in images_in(yaml.safe_load(values.read_text()))]
    chart = {
        "type": "application",
        "bom-ref": f"pkg:helm/ringfence@{version}",
        "name": "ringfence",
        "version": version,
        "purl": f"pkg:helm/ringfence@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    needs = [each["bom-ref"] for each in components]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'pkg:helm/ringfence@{version}#{digest}')}",
        "version": 1,
        "metadata": {"component": chart},
        "components": components,
        "dependencies": [{"ref": chart["bom-ref"], "dependsOn": needs}, *({"ref": each} for each in needs)],
    }


def images_in(values: Any) -> Iterator[dict[str, str]]:
    """Yield each image that values name: a mapping with a `repository`, and a `tag` or `digest` where it has one."""
    if isinstance(values, dict):
        if isinstance(values.get("repository"), str):
            yield {key: str(values.get(key) or "") for key in ("repository", "tag", "digest")}
        for each in values.values():
            yield from images_in(each)


def _image(image: dict[str, str], version: str) -> dict[str, Any]:
    """Return the component; without a tag or a digest, the chart takes the tag of its own version."""
    repository = image["repository"]
    named = image["digest"] or image["tag"] or version
    tag = "" if image["digest"] else f"&tag={quote(named, safe='')}"
    at = f"@{quote(named, safe='')}" if image["digest"] else ""
    purl = f"pkg:oci/{repository.rpartition('/')[2]}{at}?repository_url={quote(repository, safe='')}{tag}"
    return {"type": "container", "bom-ref": purl, "name": repository, "version": named, "purl": purl}
