"""The installation with Cilium is the usual one without the gateway, and with one more right."""

from pathlib import Path
from typing import Any

import yaml

from ringfence_operator.reconcile.cilium import PLURAL

Raw = dict[str, Any]
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPONENT: Raw = yaml.safe_load((DEPLOY / "cilium/Kustomization").read_text())
PATCHES: list[Raw] = [yaml.safe_load(each["patch"]) for each in COMPONENT["patches"]]


def identity(raw: Raw) -> tuple[str, str, str, str]:
    return raw["apiVersion"], raw["kind"], raw["metadata"]["namespace"], raw["metadata"]["name"]


def objects(path: str) -> list[Raw]:
    return list(yaml.safe_load_all((DEPLOY / path).read_text()))


def test_nothing_is_left_of_the_gateway() -> None:
    deleted = {identity(each) for each in PATCHES if each.get("$patch") == "delete"}

    assert deleted == {identity(each) for each in objects("gateway.yaml")}


def test_the_operator_is_started_with_that_back_end() -> None:
    (patch,) = [each for each in PATCHES if each.get("$patch") != "delete"]
    (container,) = patch["spec"]["template"]["spec"]["containers"]

    assert identity(patch) in [identity(each) for each in objects("operator.yaml") if each["kind"] == "Deployment"]
    assert (container["name"], container["args"]) == ("operator", ["--egress-backend=cilium"])


def test_the_operator_may_write_cilium_network_policies_and_no_more() -> None:
    role, binding = objects("cilium/rbac.yaml")

    assert [(each["apiGroups"], each["resources"]) for each in role["rules"]] == [(["cilium.io"], [PLURAL])]
    assert "*" not in role["rules"][0]["verbs"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert PLURAL not in (DEPLOY / "operator.yaml").read_text()
