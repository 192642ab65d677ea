import hashlib
import re
import zipfile
from ipaddress import ip_address
from pathlib import Path

import pytest

from devcluster.cluster import Cluster
from devcluster.outside import ADDRESSES, PRIVATE, PUBLIC, names
from devcluster.outside_sites import write_git_repository, write_package_index

NAMES = names(Cluster("unit", slot=7))
LABEL = re.compile(r"\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?")
IN_THE_CLUSTER = {"api-server": "10.96.7.1", "node": "10.201.7.2", "node6": "fd52:f:7:1::2", "pod": "10.244.7.250"}


def answers(name: str) -> list[tuple[str, ...]]:
    return list(NAMES[name].answers)


def test_every_name_is_below_a_reserved_one() -> None:
    for name in NAMES:
        assert name.endswith((".test", ".example"))
        assert all(LABEL.fullmatch(label) for label in name.split("."))


def test_a_name_outside_the_private_ones_leads_to_an_address_that_answers() -> None:
    led_to = {
        address
        for name, entry in NAMES.items()
        for addresses in entry.answers
        for address in addresses
        if not name.endswith(".inside.test") and name != "down.test"
    }

    assert led_to <= set(ADDRESSES)


def test_every_alias_leads_to_a_name() -> None:
    assert {entry.alias for entry in NAMES.values() if entry.alias} <= set(NAMES)


@pytest.mark.parametrize(("name", "address"), IN_THE_CLUSTER.items())
def test_the_cluster_own_addresses_have_names(name: str, address: str) -> None:
    assert answers(f"{name}.inside.test") == [(address,)]


def test_names_that_mix_public_and_private_come_in_both_orders_and_families() -> None:
    for family in ("", "6"):
        ((public, private),) = answers(f"public-first{family}.mixed.test")
        assert public in PUBLIC
        assert private in PRIVATE
        assert answers(f"private-first{family}.mixed.test") == [(private, public)]
        assert {ip_address(each).version for each in (public, private)} == {6 if family else 4}


@pytest.mark.parametrize("name", ["*.flip.test", "*.flip6.test", "*.metadata.flip.test"])
def test_a_name_that_flips_begins_in_public_and_is_not_kept(name: str) -> None:
    (public,), (private,) = answers(name)

    assert public in PUBLIC
    assert private in PRIVATE
    assert NAMES[name].ttl == 0


def test_the_internationalised_names_are_what_their_letters_encode_to() -> None:
    written = {name.encode().decode("idna") for name in NAMES if "xn--" in name}

    assert written == {"bücher.test", "аpi.test"}  # noqa: RUF001  (a Cyrillic letter: the twin of api.test)


def test_the_repository_holds_a_commit_its_tree_and_a_file(tmp_path: Path) -> None:
    write_git_repository(tmp_path)

    objects = [path for path in (tmp_path / "objects").rglob("*") if len(path.name) == 38]
    head = (tmp_path / "info/refs").read_text().split()

    assert len(objects) == 3
    assert head == [(tmp_path / "refs/heads/main").read_text().strip(), "refs/heads/main"]
    assert (tmp_path / "objects" / head[0][:2] / head[0][2:]).is_file()


def test_the_index_names_the_wheel_with_its_hash_and_writes_it_once(tmp_path: Path) -> None:
    write_package_index(tmp_path)
    page = (tmp_path / "simple/ringfence-sample/index.html").read_text()

    write_package_index(tmp_path)

    (wheel,) = (tmp_path / "files").iterdir()
    found = re.search(r'href="([^"#]+)#sha256=(\w+)"', page)
    assert found
    assert (tmp_path / "simple/ringfence-sample" / found[1]).resolve() == wheel
    assert found[2] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        assert "ringfence_sample.py" in archive.namelist()
    assert (tmp_path / "simple/ringfence-sample/index.html").read_text() == page
