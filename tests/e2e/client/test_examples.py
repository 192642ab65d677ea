"""The example that makes agents, run as people run it; the others are in tests/client."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.kube import address
from tests.e2e.replica import ROOT
from tests.e2e.tenant import tenant_kubeconfig
from tests.e2e.world import World


def test_whoever_may_edit_a_namespace_has_words_counted_in_it_and_nothing_is_left(
    alone: World, kubeconfig: Path, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("a rose is a rose is a rose")
    ours = tenant_kubeconfig(alone, kubeconfig, tmp_path / "kubeconfig")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client"), "KUBECONFIG": str(ours)}
    argv = [sys.executable, str(ROOT / "examples/client/sandbox.py"), str(tmp_path / "text")]

    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["8 words", '[["a", 3], ["rose", 3]]', "a 3", "rose 3"]
    assert "waiting for Agent" in ran.stderr
    assert alone.kube.items(address("Agent", alone.namespace)) == []
