import json
from pathlib import Path
from typing import Any

import pytest

from devcluster.netpol_e2e import Spec, newest, specs_of


def entry(text: str, *, state: str = "passed", kind: str = "It", suite: str = "Netpol", **more: Any) -> dict[str, Any]:
    hierarchy = [f"[sig-network] {suite}", "NetworkPolicy between server and client"]
    return {"ContainerHierarchyTexts": hierarchy, "LeafNodeText": text, "LeafNodeType": kind, "State": state, **more}


def test_a_report_gives_the_suite_s_own_specs_and_how_they_ended(tmp_path: Path) -> None:
    entries = [
        entry("should deny", state="failed", Failure={"Message": "2 wrong\nand more"}),
        entry("should allow"),
        entry("", kind="SynchronizedBeforeSuite"),
        entry("should resize", state="skipped", suite="Services"),
    ]
    report = tmp_path / "report.json"
    report.write_text(json.dumps([{"SpecReports": entries}]))

    specs = specs_of(report)

    name = "[sig-network] Netpol NetworkPolicy between server and client"
    assert specs == [Spec(f"{name} should deny", "failed", "2 wrong"), Spec(f"{name} should allow", "passed", "")]


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_of_an_image_s_versions_is_what_pods_ask_for(order: int) -> None:
    listed = ["r/e2e/agnhost:2.9", "r/e2e/agnhost:2.10.1", "r/e2e/busybox:3.1"][::order]

    assert newest(listed, "agnhost") == "r/e2e/agnhost:2.10.1"
