"""`ringfence get`."""

from collections.abc import Callable
from datetime import UTC, datetime

import click

from ringfence_cli.names import names_of
from ringfence_cli.options import Context, all_namespaces, cluster_options, output_option
from ringfence_cli.output.ages import age
from ringfence_cli.output.document import Form, document
from ringfence_cli.output.screen import err, out, table
from ringfence_cli.standing import Standing
from ringfence_cli.usage import Use, holding_for, of_agent, tightest, uses
from ringfence_kube.api import Api
from ringfence_kube.errors import ForbiddenError, NotFoundError
from ringfence_kube.objects import KINDS, Raw, collection, condition, name_of, namespace_of, status_of

_WORDS = {
    **dict.fromkeys(("agents", "agent", "rfagent"), "agents"),
    **dict.fromkeys(("pools", "pool", "agentpools", "agentpool", "rfpool"), "agentpools"),
    **dict.fromkeys(("connectors", "connector", "rfconn"), "connectors"),
    **dict.fromkeys(("quotas", "quota", "rfquota"), "quotas"),
    **dict.fromkeys(("policies", "policy", "securitypolicies", "securitypolicy", "rfpolicy"), "securitypolicies"),
}
_KINDS = ("agents", "pools", "connectors", "quotas", "policies", "all")


def _kinds(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    return [each for each in _KINDS if each.startswith(begun)]


def _names(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[click.shell_completion.CompletionItem]:
    resource = _WORDS.get(str(ctx.params.get("kind")))
    return names_of(resource)(ctx, parameter, begun) if resource else []


@click.command(short_help="List agents, pools, connectors, quotas and policies, with use against limits.")
@click.argument("kind", default="all", shell_complete=_kinds)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_names)
@all_namespaces
@output_option
@cluster_options
def get(context: Context, kind: str, names: tuple[str, ...], everywhere: bool, form: Form) -> None:
    """List agents, pools, connectors, quotas and policies, with how near each agent is to a limit.

    KIND is agents, pools, connectors, quotas, policies or all, which it is where it is not given; singular words and
    kubectl's short names do, too.

    \b
      ringfence get                     # all kinds, in the context's namespace
      ringfence get agents -A
      ringfence get agent researcher -o yaml
    """
    if kind != "all" and kind not in _WORDS:
        raise click.UsageError(f"there is no kind {kind}: write {', '.join(_KINDS[:-1])} or {_KINDS[-1]}")
    if kind == "all" and names:
        raise click.UsageError("names need a kind: ringfence get agents NAME")
    connection = context.connection()
    namespace = "" if everywhere else connection.namespace
    wanted = list(KINDS) if kind == "all" else [_WORDS[kind]]
    found = {each: _chosen(connection.api.items(collection(each, namespace)), names, KINDS[each]) for each in wanted}
    if form is Form.TABLE:
        _print(connection.api, namespace, found)
        return
    items = [_bare(each) for objects in found.values() for each in objects]
    one = items[0] if len(names) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}
    click.echo(document(form, one), nl=False)


def _chosen(found: list[Raw], names: tuple[str, ...], kind: str) -> list[Raw]:
    missing = set(names) - {name_of(each) for each in found}
    if missing:
        raise NotFoundError(404, f"there is no {kind} {', '.join(sorted(missing))}")
    return [each for each in found if not names or name_of(each) in names]


def _bare(found: Raw) -> Raw:
    """Return the object without who wrote which field, which nobody asks for here."""
    return {**found, "metadata": {key: text for key, text in found["metadata"].items() if key != "managedFields"}}


def _print(api: Api, namespace: str, found: dict[str, list[Raw]]) -> None:
    now = datetime.now(UTC)
    from_pools = any(each["spec"].get("poolRef") for each in found.get("agents", ()))
    pool = "POOL " if from_pools else ""
    rows = {
        "agents": (
            f"AGENT STATE REASON RESTARTS POLICY {pool}NEAREST-LIMIT AGE",
            _agent_row(api, namespace, found, now, with_pool=from_pools),
        ),
        "agentpools": ("POOL SIZE WARM STARTING CLAIMED HITS READY REASON AGE", _pool_row(now)),
        "connectors": ("CONNECTOR KIND READY REASON HEALTHY AGENTS AGE", _connector_row(now)),
        "quotas": ("QUOTA READY REASON NEAREST-LIMIT AGENTS AGE", _quota_row(now)),
        "securitypolicies": ("POLICY READY REASON MODE AGENTS ALLOWED DENIED AGE", _policy_row(now)),
    }
    is_first = True
    for resource, objects in found.items():
        if not objects:
            continue
        if not is_first:
            click.echo()
        is_first = False
        head, row = rows[resource]
        places = [] if namespace else ["NAMESPACE"]
        out().print(
            table([*places, *head.split()], [([namespace_of(each)] if places else []) + row(each) for each in objects])
        )
    if is_first:
        err().print(f"nothing in namespace {namespace}" if namespace else "nothing in any namespace")


_Row = Callable[[Raw], list[str]]


def _ready(found: Raw) -> list[str]:
    said = condition(found, "Ready") or condition(found, "Suspended") or {}
    return [str(said.get("status", "")), str(said.get("reason", ""))]


def _agent_row(
    api: Api, namespace: str, found: dict[str, list[Raw]], now: datetime, *, with_pool: bool = False
) -> _Row:
    quotas = found.get("quotas")
    if quotas is None and found.get("agents"):
        try:
            quotas = api.items(collection("quotas", namespace))
        except ForbiddenError as error:
            err().print(f"without limits: {error}")

    def row(agent: Raw) -> list[str]:
        status = status_of(agent)
        own = [use for each in holding_for(agent, quotas or []) for use in of_agent(name_of(agent), each)]
        policy = (agent["spec"].get("securityPolicyRef") or {}).get("name", "")
        restarts = str(status.get("restarts", 0))
        created = agent["metadata"]["creationTimestamp"]
        state = str(status.get("state", ""))
        pool = [(agent["spec"].get("poolRef") or {}).get("name", "")] if with_pool else []
        return [name_of(agent), state, _ready(agent)[1], restarts, policy, *pool, _nearest(own), age(created, now)]

    return row


def _pool_row(now: datetime) -> _Row:
    def row(found: Raw) -> list[str]:
        standing = Standing.of(found)
        figures = [standing.size, standing.warm, standing.starting, standing.claimed]
        created = found["metadata"]["creationTimestamp"]
        return [name_of(found), *map(str, figures), standing.share_of_hits, *_ready(found), age(created, now)]

    return row


def _connector_row(now: datetime) -> _Row:
    def row(found: Raw) -> list[str]:
        status = status_of(found)
        figures = [str(status.get("healthyEndpoints", "")), str(status.get("agents", 0))]
        created = found["metadata"]["creationTimestamp"]
        return [name_of(found), str(status.get("kind", "")), *_ready(found), *figures, age(created, now)]

    return row


def _quota_row(now: datetime) -> _Row:
    def row(found: Raw) -> list[str]:
        agents = str(status_of(found).get("agents", 0))
        created = found["metadata"]["creationTimestamp"]
        return [name_of(found), *_ready(found), _nearest(uses(found)), agents, age(created, now)]

    return row


def _policy_row(now: datetime) -> _Row:
    def row(found: Raw) -> list[str]:
        status, network = status_of(found), found["spec"].get("network") or {}
        mode = str(network.get("mode", "Enforce")) if network.get("enabled", True) else "closed"
        figures = [str(status.get("agents", 0)), str(len(network.get("allowedDomains") or ()))]
        denied = sum(each["count"] for each in status.get("deniedDomains") or ()) + status.get("deniedOthers", 0)
        created = found["metadata"]["creationTimestamp"]
        return [name_of(found), *_ready(found), mode, *figures, str(denied), age(created, now)]

    return row


def _nearest(found: list[Use]) -> str:
    use = tightest(found)
    return f"{use.limit} {use.used}/{use.max} ({use.percent}%)" if use else ""
