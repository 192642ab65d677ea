"""Write what is made from models, values, dashboards, metrics and operations: `python -m tools.generate [--check]`."""

import argparse
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy
from tools.chart import chart_values, crd_template, schema_text, user_roles_template
from tools.chart_page import chart_page
from tools.cli_page import cli_page
from tools.crd import KINDS, build_crd
from tools.dashboards import dashboard_files
from tools.metrics_page import metrics_page
from tools.operations_page import openapi_document, operations_page
from tools.rbac import build_user_roles
from tools.reference import conditions_page, kind_page, matrix_section

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = "charts/ringfence/templates"
HEADER = "# Made by `make generate` from operator/ringfence_operator/api and tools: change it there.\n"


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of the base class
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def manifest(*objects: dict[str, Any]) -> str:
    """Return `objects` as one YAML file that says where it comes from."""
    documents = (yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True) for each in objects)
    return HEADER + "---\n".join(documents)


@functools.cache
def generated_files() -> Mapping[str, str]:
    """Return the text of each generated file by its path from the repository's root. The models do not change."""
    crds = {f"{kind.plural}.yaml": manifest(build_crd(kind)) for kind in KINDS}
    user_roles = manifest(*build_user_roles())
    return {
        **{f"crds/{name}": text for name, text in crds.items()},
        "deploy/rbac-users.yaml": user_roles,
        **{f"{TEMPLATES}/crds/{name}": crd_template(text) for name, text in crds.items()},
        f"{TEMPLATES}/user-roles.yaml": user_roles_template(user_roles),
        "charts/ringfence/values.schema.json": schema_text(),
        "charts/ringfence/README.md": chart_page(chart_values()),
        **dashboard_files(),
        "docs/reference/agent.md": kind_page(Agent),
        "docs/reference/agent-pool.md": kind_page(AgentPool),
        "docs/reference/cli.md": cli_page(),
        "docs/reference/connector.md": kind_page(Connector),
        "docs/reference/metrics.md": metrics_page(),
        "docs/reference/openapi.json": openapi_document(),
        "docs/reference/operations.md": operations_page(),
        "docs/reference/quota.md": kind_page(Quota, matrix_section()),
        "docs/reference/security-policy.md": kind_page(SecurityPolicy),
        "docs/reference/conditions.md": conditions_page(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check say which differ; return 1 where one does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in generated_files().items() if _read(ROOT / path) != text}
    for path, text in stale.items():
        sys.stdout.write(f"{path}: {'differs from the models: run make generate' if check else 'written'}\n")
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
    return 1 if check and stale else 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
