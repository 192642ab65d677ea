import base64
from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.egress.certificates import Authorities, Pair
from ringfence_operator.egress.identity import AUTHORITY, GATEWAY_TLS, Identities
from ringfence_operator.errors import AlreadyExistsError
from tests.operator.reconcile.api_server import FakeApiServer
from tests.operator.resources.objects import NOW

Raw = dict[str, Any]
SYSTEM = "ringfence-system"


class Kept:
    """The Secrets as a leader keeps them; `leader` begins a new one."""

    def __init__(self) -> None:
        self.api = FakeApiServer(lambda: NOW)
        self.leader()

    def leader(self) -> None:
        self.identities = Identities(self.api, SYSTEM)

    def data(self, name: str) -> dict[str, str]:
        raw = self.api.objects["secrets", SYSTEM, name]
        return {key: base64.b64decode(value).decode() for key, value in raw["data"].items()}

    def spoil(self, name: str, **data: str) -> None:
        encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.api.change(("secrets", SYSTEM, name), lambda raw: raw["data"].update(encoded))


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_both_secrets_are_made_and_nothing_is_written_while_all_is_good(kept: Kept) -> None:
    first = await kept.identities.current(NOW)
    written = list(kept.api.writes)
    again = await kept.identities.current(NOW + timedelta(days=1))
    kept.leader()
    await kept.identities.current(NOW + timedelta(days=2))

    assert written == kept.api.writes == ["create secrets"] * 2
    assert again == first


async def test_each_end_trusts_the_other(kept: Kept) -> None:
    found = await kept.identities.current(NOW)

    gateway, authority = kept.data(GATEWAY_TLS), Authorities.from_data(kept.data(AUTHORITY)).current
    assert gateway["ca.crt"] == found.authority
    assert Pair.from_pem(gateway["tls.crt"], gateway["tls.key"]).is_from(authority)
    assert Pair.from_pem(found.certificate, found.key).is_from(authority)


async def test_certificates_are_renewed_in_time_and_the_authority_stays(kept: Kept) -> None:
    first = await kept.identities.current(NOW)
    before = kept.data(GATEWAY_TLS)

    second = await kept.identities.current(NOW + timedelta(days=21))

    assert first.authority == second.authority
    assert first.certificate != second.certificate
    assert before["tls.crt"] != kept.data(GATEWAY_TLS)["tls.crt"]
    assert kept.api.writes == ["create secrets"] * 2 + ["replace secrets"]


@pytest.mark.parametrize("name", [AUTHORITY, GATEWAY_TLS])
async def test_a_secret_that_somebody_deleted_comes_back(kept: Kept, name: str) -> None:
    await kept.identities.current(NOW)
    kept.api.remove(("secrets", SYSTEM, name))

    found = await kept.identities.current(NOW)

    assert kept.data(GATEWAY_TLS)["ca.crt"] == found.authority


@pytest.mark.parametrize("spoilt", [{"current_key": "no key"}, {"current_crt": "no certificate"}, {"current_key": "x"}])
async def test_an_authority_that_somebody_broke_is_made_anew_once(kept: Kept, spoilt: dict[str, str]) -> None:
    await kept.identities.current(NOW)
    kept.spoil(AUTHORITY, **spoilt)

    await kept.identities.current(NOW)
    after = list(kept.api.writes)
    await kept.identities.current(NOW)

    assert kept.api.writes == after


async def test_another_authoritys_key_is_not_signed_with(kept: Kept) -> None:
    await kept.identities.current(NOW)
    other = Kept()
    await other.identities.current(NOW)
    kept.spoil(AUTHORITY, current_key=other.data(AUTHORITY)["current.key"])

    await kept.identities.current(NOW)
    after = list(kept.api.writes)
    await kept.identities.current(NOW)

    assert kept.api.writes == after


async def test_what_is_no_text_is_made_anew(kept: Kept) -> None:
    await kept.identities.current(NOW)
    nonsense = base64.b64encode(b"\xff\xfe").decode()
    kept.api.change(("secrets", SYSTEM, GATEWAY_TLS), lambda raw: raw["data"].update({"tls.crt": nonsense}))

    await kept.identities.current(NOW)

    assert kept.data(GATEWAY_TLS)["tls.crt"].startswith("-----BEGIN CERTIFICATE-----")


async def test_of_two_leaders_that_make_the_authority_one_wins(kept: Kept) -> None:
    other = Identities(kept.api, SYSTEM)
    kept.api.fuse = (0, True, AlreadyExistsError("made a moment ago"))

    with pytest.raises(AlreadyExistsError):
        await kept.identities.current(NOW)
    one, two = await kept.identities.current(NOW), await other.current(NOW)

    assert one.authority == two.authority


async def test_the_seed_stays_while_certificates_rotate_and_is_another_for_each_installation(kept: Kept) -> None:
    first = await kept.identities.current(NOW)
    kept.leader()
    later = await kept.identities.current(NOW + timedelta(days=300))
    other = await Kept().identities.current(NOW)

    assert first.seed == later.seed == kept.data(AUTHORITY)["seed"]
    assert first.authority != later.authority
    assert len(first.seed) == 64
    assert other.seed != first.seed


async def test_a_secret_of_an_earlier_version_gets_a_seed_and_keeps_its_certificates(kept: Kept) -> None:
    before = await kept.identities.current(NOW)
    kept.api.change(("secrets", SYSTEM, AUTHORITY), lambda raw: raw["data"].pop("seed"))
    kept.leader()

    after = await kept.identities.current(NOW)

    assert after.authority == before.authority
    assert len(kept.data(AUTHORITY)["seed"]) == 64
    assert kept.api.writes[2:] == ["replace secrets"]


async def test_neither_key_nor_seed_is_shown_where_an_identity_is_printed(kept: Kept) -> None:
    found = await kept.identities.current(NOW)

    assert found.seed not in repr(found)
    assert found.key not in repr(found)
