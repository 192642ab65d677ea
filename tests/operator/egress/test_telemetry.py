import asyncio
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.egress import telemetry
from ringfence_operator.egress.telemetry import Telemetry
from ringfence_operator.settings import Settings
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.connectors import broker_service


class Files:
    """The operator's Secret as it is mounted, and what is made of it."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.token, self.login = directory / "token", directory / "login"
        self.token.write_text("t-1\n")
        self.login.write_text("audit:p:1\n")
        self.changed = asyncio.Event()
        self.cluster = Cluster(Settings(**settings))
        self.it = Telemetry(self.cluster.view, on_change=self.changed.set)

    @classmethod
    def with_both(cls, directory: Path) -> "Files":
        return cls(
            directory,
            collector_service="data/collector",
            collector_token=str(directory / "token"),
            audit_stream_service="data/rabbit",
            audit_stream_port=5671,
            audit_stream_virtual_host="audit",
            audit_stream_name="calls",
            audit_stream_credential=str(directory / "login"),
        )


def test_without_settings_sidecars_are_told_nothing(tmp_path: Path) -> None:
    assert Files(tmp_path).it.configuration() == {}


def test_sidecars_are_told_what_to_show_and_where_the_stream_is(tmp_path: Path) -> None:
    files = Files.with_both(tmp_path)
    without_broker = files.it.configuration()["auditStream"]["address"]

    files.cluster.have("services", broker_service())

    assert without_broker == ""
    assert files.it.configuration() == {
        "collectorToken": "t-1",
        "auditStream": {
            "address": "10.96.0.9",
            "port": 5671,
            "virtualHost": "audit",
            "name": "calls",
            "username": "audit",
            "password": "p:1",
        },
    }


async def test_another_credential_in_the_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "LOOK_SECONDS", 0.01)
    files = Files.with_both(tmp_path)
    following = asyncio.create_task(files.it.run())

    files.token.write_text("t-2")
    await asyncio.wait_for(files.changed.wait(), 5)

    following.cancel()
    assert files.it.configuration()["collectorToken"] == "t-2"


async def test_a_file_that_comes_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "LOOK_SECONDS", 0.01)
    settings = {"collector_service": "data/collector", "collector_token": str(tmp_path / "later")}
    files = Files(tmp_path, **settings)
    before = files.it.configuration()
    following = asyncio.create_task(files.it.run())

    (tmp_path / "later").write_text("t-3")
    await asyncio.wait_for(files.changed.wait(), 5)

    following.cancel()
    assert before == {"collectorToken": ""}
    assert files.it.configuration() == {"collectorToken": "t-3"}
