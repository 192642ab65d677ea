"""What the driver does besides what it is asked: nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringfence_sidecar.connectors.snowflake.driver import load
from tests.backends.snowflake_server import ROOT, SnowflakeServer

LAZY = ("snowflake", "sqlglot", "google", "cryptography")


def python(*argv: str, **environment: str) -> Any:
    path = os.pathsep.join([str(ROOT / "sidecar"), str(ROOT)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SNOWFLAKE")}
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_importing_the_kind_imports_neither_driver_nor_parser() -> None:
    code = (
        "import json, sys; from ringfence_sidecar.connectors.snowflake import Snowflake; "
        f"print(json.dumps([name for name in {LAZY} if name in sys.modules]))"
    )

    assert python("-c", code) == []


def test_binding_a_connector_imports_no_parser_and_the_first_judgement_does_beside_the_loop(tmp_path: Path) -> None:
    code = f"""
import json, sys
from pathlib import Path
from ringfence_sidecar.connectors.snowflake import Snowflake
from tests.sidecar.connectors.snowflake.bench import configuration

connector = Snowflake(configuration(1, "SALES", Path({str(tmp_path)!r})))
(query,) = [each for each in connector.operations() if each.name == "query"]
said = ["sqlglot" in sys.modules, connector.is_long(query, query.arguments(sql="SELECT 1"))]
connector.bound.judge("SELECT 1", rows=1)
print(json.dumps([*said, "sqlglot" in sys.modules, connector.is_long(query, query.arguments(sql="SELECT 2"))]))
"""

    assert python("-c", code) == [False, True, True, False]


@pytest.mark.backend
def test_a_session_touches_no_metadata_service_and_no_file(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    arguments = (str(snowflake_server.port), database, str(tmp_path))

    done = python("-m", "tests.sidecar.connectors.snowflake.alone", *arguments, HOME=str(home))

    assert done == {"metadata": False, "driver": False}
    assert list(home.iterdir()) == []
    assert "/telemetry/send" not in snowflake_server.record["paths"]


def test_the_drivers_own_settings_are_the_ones_that_are_there() -> None:
    from ringfence_sidecar.connectors.snowflake.driver import PINNED  # noqa: PLC0415

    known = set(load().connection(account="a", user="u", password="p").config.__dataclass_fields__)

    assert set(PINNED) - known == set()
