"""The lists are by name, so that a new parser opens nothing; here a name that means nothing any more is found."""

import subprocess
import sys

import pytest
from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge import functions, nodes
from ringfence_sidecar.connectors.snowflake.judge.refusal import CODES


@pytest.mark.parametrize("name", sorted(nodes.SHAPES.keys() | nodes.OPERATORS))
def test_listed_node_is_one_of_the_parsers(name: str) -> None:
    node = getattr(exp, name)

    assert issubclass(node, exp.Expression)
    assert nodes.SHAPES.get(name, frozenset()) <= node.arg_types.keys()


@pytest.mark.parametrize("name", sorted(functions.CLASSES | functions.TABLE_CLASSES | functions.LISTABLE_CLASSES))
def test_listed_function_is_one_of_the_parsers(name: str) -> None:
    assert issubclass(getattr(exp, name), exp.Func)


@pytest.mark.parametrize("name", ["Command", "Set", "Use", "Copy", "Grant", "MultitableInserts", "DynamicIdentifier"])
def test_dangerous_node_is_on_no_list(name: str) -> None:
    assert issubclass(getattr(exp, name), exp.Expression)
    assert name not in nodes.SHAPES.keys() | nodes.OPERATORS | functions.CLASSES | functions.LISTABLE_CLASSES


def test_function_that_can_be_listed_is_not_open_without() -> None:
    assert not functions.LISTABLE_CLASSES & (functions.CLASSES | functions.TABLE_CLASSES)


def test_statement_is_no_node_that_any_place_may_hold() -> None:
    assert nodes.SHAPES.keys() >= nodes.STATEMENTS


def test_codes_differ() -> None:
    assert len(set(CODES.values())) == len(CODES)


def test_parser_is_imported_by_the_first_judgement_only() -> None:
    script = (
        "import sys\n"
        "from ringfence_sidecar.connectors.snowflake.judge import Defaults, Permissions, judge\n"
        "assert 'sqlglot' not in sys.modules\n"
        "judge('SELECT 1', Permissions(statements=('Select',)), Defaults('D', 'S'), row_cap=1)\n"
        "assert 'sqlglot' in sys.modules\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": "sidecar"}, capture_output=True, timeout=60, check=False
    )

    assert ended.returncode == 0, ended.stderr
