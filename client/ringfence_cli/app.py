"""The command that all commands belong to."""

import click

from ringfence_cli import __version__
from ringfence_cli.commands.completion import completion
from ringfence_cli.commands.doctor import doctor
from ringfence_cli.commands.explain import explain
from ringfence_cli.commands.get import get
from ringfence_cli.commands.logs import logs
from ringfence_cli.commands.policy import policy
from ringfence_cli.commands.run import run
from ringfence_cli.commands.top import top
from ringfence_cli.options import Context, cluster_options


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="More: docs/reference/cli.md. `ringfence COMMAND --help` has examples.",
)
@click.version_option(__version__, "-V", "--version", prog_name="ringfence")
@cluster_options
def app(context: Context) -> None:
    """Isolated AI agents on Kubernetes, from the command line; also as `kubectl ringfence`.

    Which cluster, which namespace and who asks is what kubectl's kubeconfig says. But for `run`, no command changes
    anything.
    """


for _command in (doctor, get, top, explain, policy, logs, run, completion):
    app.add_command(_command)
