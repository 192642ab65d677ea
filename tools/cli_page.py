"""From the command line to its reference page: every command, what its help says, its options."""

import inspect
import re
from collections.abc import Iterator

import click

from ringfence_cli.app import app
from ringfence_cli.commands.completion import PROGRAM

HEADER = "<!-- Made by `make generate` from client/ringfence_cli: change it there. -->\n\n"
_INTRODUCTION = """\
Installed with `pip install '.[cli]'` in a checkout. One of its programs is called `kubectl-ringfence`, so that it is
`kubectl ringfence`, too. It needs Python and a kubeconfig, and nothing of the operator.

Who may `edit` a namespace may use all of it: where a right is missing, the commands say so and go on.
[docs/quickstart](../quickstart.md#10-the-command-line) shows it at work.
"""
_SHARED = ("kubeconfig", "context", "namespace")


def cli_page() -> str:
    """Return the reference page of the command line in Markdown."""
    parts = [f"# {PROGRAM}\n", *_help(app), _INTRODUCTION, "## Options of every command\n"]
    parts.append(_options(app, [each for each in _options_of(app) if each.name in _SHARED]))
    parts += [part for path, command in _commands(app, PROGRAM) for part in _section(path, command)]
    return HEADER + "\n".join(parts)


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that does something, by the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _section(path: str, command: click.Command) -> Iterator[str]:
    arguments = [
        each.make_metavar(click.Context(command)) for each in command.params if isinstance(each, click.Argument)
    ]
    yield f"## {path}\n"
    yield f"```text\n{' '.join([path, '[OPTIONS]', *arguments])}\n```\n"
    yield from _help(command)
    own = [each for each in _options_of(command) if each.name not in _SHARED]
    if own:
        yield _options(command, own)


def _help(command: click.Command) -> Iterator[str]:
    """Yield the paragraphs of a command's help; click's mark is before those that keep their lines."""
    text = inspect.cleandoc(command.help or "")
    for paragraph in re.split(r"\n\n+", text):
        if paragraph.startswith("\b\n"):
            yield f"```sh\n{inspect.cleandoc(paragraph[2:])}\n```\n"
        else:
            yield f"{paragraph}\n"


def _options_of(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def _options(command: click.Command, options: list[click.Option]) -> str:
    rows = ["| Option | Meaning |", "| --- | --- |"]
    for option in options:
        record = option.get_help_record(click.Context(command))
        if record:
            words, meaning = (each.replace("|", "\\|") for each in record)
            rows.append(f"| `{words}` | {meaning} |")
    return "\n".join(rows) + "\n"
