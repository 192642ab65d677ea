from pathlib import Path

import dns.name
import dns.rdatatype
import pytest

from ringfence_gateway.upstream import Resolvers, UnansweredError, system_resolvers


def test_the_pods_name_servers_are_read(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("search example\nnameserver 10.96.0.10\n# nameserver 1.1.1.1\nnameserver fd00::10\nnameserver\n")

    assert system_resolvers(file) == ["10.96.0.10", "fd00::10"]
    assert system_resolvers(tmp_path / "missing") == []


async def test_without_resolvers_nothing_is_answered() -> None:
    with pytest.raises(UnansweredError, match="no resolver is known"):
        await Resolvers([]).ask(dns.name.from_text("a.example"), dns.rdatatype.A)
