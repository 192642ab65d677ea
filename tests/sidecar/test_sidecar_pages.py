"""The reference pages say what there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from ringfence_sidecar import errors
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.mcp.protocol import HANDSHAKE, STATELESS
from ringfence_sidecar.problem import HTTP
from ringfence_sidecar.rest.app import Rest
from ringfence_sidecar.settings import variables

PAGES = Path(__file__).resolve().parents[2] / "docs/reference"


@pytest.fixture(scope="module")
def rest() -> str:
    return (PAGES / "sidecar-rest.md").read_text()


@pytest.fixture(scope="module")
def mcp() -> str:
    return (PAGES / "sidecar-mcp.md").read_text()


def tree(kind: type[errors.CallError]) -> Iterator[type[errors.CallError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from tree(each)


def test_every_setting_is_on_its_page() -> None:
    page = (PAGES / "sidecar-settings.md").read_text()

    assert set(variables()) <= set(re.findall(r"`(RINGFENCE_SIDECAR_\w+)`", page))


def test_every_path_is_on_the_page_of_rest(rest: str) -> None:
    routes = Rest(cast("Any", None)).routes

    told = {re.sub(r"\{\w+\}", "{}", path) for path in re.findall(r"`(/v1/[^`]+)`", rest)}
    assert {route.path for route in routes} <= told


def test_every_error_of_the_tree_is_on_the_page_of_rest_with_its_status(rest: str) -> None:
    rows = [line for line in rest.splitlines() if re.match(r"\| \d{3}", line)]

    missing = [
        kind.code
        for kind in tree(errors.CallError)
        if not any(f"| {kind.http} | `{kind.status}` |" in row and f"`{kind.code}`" in row for row in rows)
    ]
    assert missing == []


def test_the_status_of_an_error_is_that_of_its_class() -> None:
    differing = {kind.code for kind in tree(errors.CallError) if HTTP[kind.status] != kind.http}

    assert differing == {"InvalidPayload"}


def test_own_tools_and_revisions_are_on_the_page_of_mcp(mcp: str) -> None:
    own = {f"{name}_{each.name}" for name, operations in Builtin.operations.items() for each in operations}

    assert own | {*HANDSHAKE, *STATELESS} <= set(re.findall(r"`([\w-]+)`", mcp))
