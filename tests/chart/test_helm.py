import re
import subprocess

from devcluster.binaries import HELM, binary


def test_helm_is_of_the_version_that_is_pinned() -> None:
    pinned = re.search(r"^\s+helm\.sh/helm/v3 (\S+)", (HELM / "go.mod").read_text(), re.MULTILINE)

    said = subprocess.run(
        [binary("helm"), "version", "--short"], capture_output=True, text=True, timeout=30, check=True
    )

    assert pinned is not None
    assert said.stdout.strip() == pinned[1]
