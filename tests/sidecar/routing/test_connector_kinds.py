from pathlib import Path

import pytest

from ringfence_sidecar.routing.kinds import UnusableConnectorError, load, make
from tests.sidecar.plugin.bed import connector
from tests.sidecar.plugin.installation import installed


def package(target: Path, name: str, entry: str, source: str = "") -> None:
    """A package of a third party with one kind."""
    info = target / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[ringfence.connectors]\n{entry}\n")
    (target / f"{name}.py").write_text(source)


def test_a_kind_that_no_package_has_is_answered_with_those_that_are_installed() -> None:
    with pytest.raises(UnusableConnectorError, match="rabbitmq, snowflake") as raised:
        load("oracle")

    assert raised.value.reason == "UnknownKind"


def test_settings_are_checked_by_the_kinds_schema_and_the_error_names_the_setting(tmp_path: Path) -> None:
    with installed(tmp_path), pytest.raises(UnusableConnectorError, match=r"settings\.prefix: .*string") as raised:
        make(connector(settings={"prefix": 7}))

    assert raised.value.reason == "InvalidSettings"


def test_a_kind_of_ours_cannot_be_replaced_by_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "impostor", "snowflake = impostor:Snowflake", "raise SystemExit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    load.cache_clear()

    found = load("snowflake")

    assert found.__module__.startswith("ringfence_sidecar.")


def test_a_kind_that_two_packages_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "first", "graph = first:Graph")
    package(tmp_path, "second", "graph = second:Graph")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(UnusableConnectorError) as raised:
        load("graph")

    assert raised.value.reason == "AmbiguousKind"


def test_a_package_that_cannot_be_imported_is_refused_without_its_errors_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "broken", "broken = broken:Kind", "raise RuntimeError('password=hunter2')\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(UnusableConnectorError) as raised:
        load("broken")

    assert raised.value.reason == "KindNotLoadable"
    assert "hunter2" not in raised.value.message


def test_what_is_no_connector_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "other", "other = other:Kind", "class Kind: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(UnusableConnectorError, match="no subclass"):
        load("other")
