from pathlib import Path

import pytest

from bench.upgrade import previous
from bench.upgrade.previous import images_of
from bench.upgrade.quickstart import first_commands
from devcluster.command import run
from tools import release

PAGE = """\
```sh
make up                # whoever has no cluster
kubectl version
```

```sh
# the chart
helm install ringfence charts/ringfence \\
  --wait
```

```sh
kubectl apply -f one.yaml
kubectl get agents
```

```console
$ kubectl wait --for=condition=Ready agent/one
condition met
$ kubectl get agents
```
"""


def test_what_is_typed_up_to_the_first_agent_is_counted_and_not_what_makes_a_cluster() -> None:
    assert [command.split() for command in first_commands(PAGE)] == [
        ["helm", "install", "ringfence", "charts/ringfence", "--wait"],
        ["kubectl", "apply", "-f", "one.yaml"],
        ["kubectl", "get", "agents"],
        ["kubectl", "wait", "--for=condition=Ready", "agent/one"],
    ]


def test_the_release_before_has_every_image_that_a_release_is_made_of() -> None:
    assert images_of("HEAD") == list(release.IMAGES)


def test_a_release_from_before_there_were_pools_has_no_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    for name in ("operator", "gateway", "sidecar", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "then"]):
        run([*git, *arguments], cwd=tmp_path)
    monkeypatch.setattr(previous, "REPOSITORY", tmp_path)

    assert images_of("HEAD") == ["operator", "gateway", "sidecar"]
