"""`ringfence policy suggest`."""

import click

from ringfence_cli.errors import CliError
from ringfence_cli.names import names_of
from ringfence_cli.options import Context, cluster_options
from ringfence_cli.output.document import Form, document
from ringfence_cli.output.screen import err, out, table
from ringfence_cli.suggest import Suggestion, suggest
from ringfence_kube.connection import Connection
from ringfence_kube.errors import NotFoundError
from ringfence_kube.objects import Raw, collection


@click.group()
@cluster_options
def policy(context: Context) -> None:
    """Write SecurityPolicies from what agents did."""


@policy.command("suggest")
@click.argument("name", metavar="AGENT|POLICY", shell_complete=names_of("agents", "securitypolicies"))
@click.option("--only-seen", is_flag=True, help="Leave out what the policy allows already and nobody has reached.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(Form, case_sensitive=False),
    default=Form.YAML,
    help="A manifest to apply (YAML, if it is not given), or a table to look at.",
)
@cluster_options
def suggest_policy(context: Context, name: str, only_seen: bool, form: Form) -> None:
    """Write the list of names that agents reached, while the policy was in mode Audit.

    Prints the SecurityPolicy as it would be: in mode Enforce, with the names of its status.observedDomains, and all
    that it says otherwise. Nothing is applied. What the list cannot hold is told on standard error.

    AGENT stands for the policy that it names. Where an agent and a policy have the same name, write agent/NAME or
    policy/NAME.

    \b
      ringfence policy suggest surveyor -o table
      ringfence policy suggest surveyor > policy.yaml    # look at it, then: kubectl apply -f policy.yaml
    """
    found = _policy(context.connection(), name)
    suggestion = suggest(found, only_seen=only_seen)
    if form is Form.TABLE:
        _print(suggestion)
    else:
        click.echo(document(form, suggestion.policy(found)), nl=False)
    for note in suggestion.notes:
        err().print(f"note: {note}")


def _print(suggestion: Suggestion) -> None:
    rows = [
        (each.name, ", ".join(map(str, each.ports)) or "80, 443", str(each.count), each.last_seen, each.why)
        for each in suggestion.names
    ]
    out().print(table(("NAME", "PORTS", "TIMES", "LAST", "WHY"), rows))


def _policy(connection: Connection, name: str) -> Raw:
    """Return the policy that is meant: by its name, or by that of an agent that names it."""
    kind, _, rest = name.rpartition("/")
    if kind not in ("", "agent", "policy"):
        raise click.UsageError(f"write agent/{rest} or policy/{rest}, not {name}")
    api, namespace = connection.api, connection.namespace
    policies = collection("securitypolicies", namespace)
    agent = None if kind == "policy" else api.find(f"{collection('agents', namespace)}/{rest}")
    direct = None if kind == "agent" else api.find(f"{policies}/{rest}")
    named = ((agent or {"spec": {}})["spec"].get("securityPolicyRef") or {}).get("name")
    if agent and direct and named != rest:
        raise CliError(
            f"there is an Agent and a SecurityPolicy of the name {rest}: write agent/{rest} or policy/{rest}"
        )
    if direct is None and agent is None:
        raise NotFoundError(404, f"namespace {namespace} has neither an Agent nor a SecurityPolicy {rest}")
    if direct is None and not named:
        raise CliError(f"Agent {rest} names no SecurityPolicy: nothing leaves it, and nothing was seen")
    return direct or api.get(f"{policies}/{named}")
