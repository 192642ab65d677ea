"""The chart's README: how to install it, and a table of its values."""

import json
from itertools import groupby

from tools.chart import Value, leaves

_INTRODUCTION = """\
<!-- Made by `make generate` from values.yaml and tools/chart_page.py: change it there. -->
# The chart ringfence

It installs what [deploy/](../../deploy) does: the kinds, the operator, the egress gateway, the guard and the roles of
their users. It needs Kubernetes 1.33 or later with a network plug-in that enforces NetworkPolicy, and Helm 3.

```sh
helm install ringfence charts/ringfence --namespace ringfence-system --create-namespace
kubectl label namespace ringfence-system pod-security.kubernetes.io/enforce=restricted
```

- **One release per cluster, in whichever namespace**: names are fixed, since the product's own code refers to them.
  Agents live in other namespaces.
- **Coming from `kubectl apply -k deploy`**, or from a release of another name or namespace that left its kinds:
  `helm install --take-ownership` takes over what is there.
- **Upgrades** bring the kinds along, with `crds.enabled`. No running agent is replaced by one.
- **Uninstalling** leaves the kinds, and every Agent with them, with `crds.keep`. Delete the pools before it, while
  there is an operator (`kubectl delete agentpools --all --all-namespaces`): one with `deletionPolicy: Delete` has a
  finalizer that nobody else takes away. Agents' pods go on running, but nobody looks after them, and without the guard
  others' NetworkPolicies may open egress to them: `kubectl delete agents --all --all-namespaces` ends them. What the
  operator wrote itself goes with the namespace that it is in: Secrets and the gateway's Services with the release's,
  NetworkPolicies and the ConfigMap `ringfence-authority` with those of agents.
- **What lies in Secrets stays there**: values name Secrets that you make
  ([how](../../docs/operations/shared-services.md)).
- **A value that is not known, or does not fit,** is refused before anything is installed.
- **To try it out without a Redis and a broker of your own**: `--set demo.enabled=true` brings one replica of each, in a
  namespace of their own, with passwords that are made up and kept over upgrades. Sidecars share the Redis at once, and
  what Helm says after the installation has a Connector to the broker in it. Neither outlives its pod, and nothing is
  encrypted: not for production.
- With `settings.egressBackend: cilium`, there is no gateway ([more](../../docs/operations/cilium.md)).
"""


def chart_page(values: tuple[Value, ...]) -> str:
    """Return README.md for these values."""
    sections = [_INTRODUCTION, "## Values\n"]
    for heading, group in groupby(values, key=lambda each: each.heading):
        sections += [f"### {heading}\n", *(_section(each) for each in group)]
    return "\n".join(sections)


def _section(value: Value) -> str:
    rows = "".join(_row(each) for each in leaves((value,)))
    table = f"| Value | Default | Meaning |\n| --- | --- | --- |\n{rows}"
    return table if value.kind else f"{value.meaning}\n\n{table}"


def _row(value: Value) -> str:
    default = "" if value.default in ("", [], {}) else f"`{json.dumps(value.default, ensure_ascii=False)}`"
    if isinstance(value.default, str):
        default = default.replace('"', "")
    return f"| `{value.name}` | {default} | {value.meaning} |\n".replace("|  |", "| |")
