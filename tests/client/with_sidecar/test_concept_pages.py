"""What the pages for programs in an agent show, run as an agent would: every block with a request."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence import sync
from tests.client.with_sidecar.sidecar import ROOT, Sidecar

pytestmark = pytest.mark.backend
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sh": ["bash", "-euc"], "python": [sys.executable, "-W", "error", "-c"]}
FAILING = 'curl() { command curl --silent --show-error --fail-with-body "$@"; echo; }\n'
"""What has a request that is not served end the block."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and text of the blocks of a page that ask the sidecar for something."""
    found = BLOCK.findall((ROOT / "docs/concepts" / page).read_text())
    return [(language, text) for language, text in found if "RINGFENCE_" in text]


def run(sidecar: Sidecar, language: str, text: str) -> str:
    """Return what a block prints; it must succeed."""
    urls = {"RINGFENCE_API_URL": sidecar.url, "RINGFENCE_MCP_URL": sidecar.url.replace("/v1", "/mcp")}
    argv = [*RUN[language], (FAILING if language == "sh" else "") + text]
    ran = subprocess.run(
        argv, env={**os.environ, **urls}, cwd=Path("/"), capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, f"{text}{ran.stdout}{ran.stderr}"
    return ran.stdout


@pytest.fixture
def orders(sidecar: Sidecar) -> Sidecar:
    """A sidecar whose warehouse has two orders."""
    with sync.connect(sidecar.url) as connection:
        sales = connection.snowflake("sales")
        sales.execute("CREATE OR REPLACE TABLE orders (region VARCHAR, amount FLOAT)")
        sales.execute("INSERT INTO orders VALUES ('north', 120.0), ('south', 2.5)")
    return sidecar


def test_every_request_of_the_page_on_rest_is_served(orders: Sidecar) -> None:
    look, ask, program = blocks("rest.md")

    assert '"name":"sales"' in run(orders, *look)
    assert '"rows":[["north",120.0]]' in run(orders, *ask)
    assert "[[2]]" in run(orders, *program)


def test_every_request_of_the_page_on_the_cache_is_served(orders: Sidecar) -> None:
    (values,) = blocks("cache.md")

    assert '"value":{"step":3}' in run(orders, *values)


def test_the_client_of_the_page_on_mcp_lists_the_tools_and_calls_one(orders: Sidecar) -> None:
    (client,) = blocks("mcp.md")

    said = run(orders, *client)

    assert "sales_query - " in said
    assert "'rows': [[2]]" in said
