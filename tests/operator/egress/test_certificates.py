from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_operator.egress.certificates import (
    AUTHORITY_LIFE,
    OVERLAP,
    Authorities,
    Pair,
    issue,
    new_authority,
)

START = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def trusts(bundle: str, certificate: x509.Certificate, now: datetime) -> bool:
    authorities = x509.load_pem_x509_certificates(bundle.encode())
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc and any(
        each.not_valid_before_utc <= now <= each.not_valid_after_utc and _signed(certificate, each)
        for each in authorities
    )


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


class Keeper:
    """Both ends' certificates over time, looked after now and then as a leader does."""

    def __init__(self) -> None:
        self.authorities = Authorities(new_authority(START))
        self.leaf = issue(self.authorities.current, ["gateway"], START)

    def check(self, now: datetime) -> tuple[str, x509.Certificate]:
        self.authorities = Authorities.from_data(self.authorities.rotated(now).to_data())
        if self.leaf.is_due(now) or not self.leaf.is_from(self.authorities.current):
            self.leaf = issue(self.authorities.current, ["gateway"], now)
        return self.authorities.bundle, self.leaf.certificate


@settings(max_examples=6, deadline=None)
@given(first=st.floats(1, 3), steps=st.lists(st.floats(0.5, 4), min_size=1, max_size=4))
def test_each_end_is_trusted_by_what_the_other_end_had_up_to_a_day_ago(first: float, steps: list[float]) -> None:
    keeper, now, seen = Keeper(), START, []
    days = [first, *steps]

    for number in range(240):
        now += timedelta(days=days[number % len(days)])
        before = keeper.check(now)
        now += OVERLAP - HOUR
        after = keeper.check(now)
        seen.append((trusts(before[0], after[1], now), trusts(after[0], before[1], now)))

    assert now - START > AUTHORITY_LIFE
    assert set(seen) == {(True, True)}


def test_a_new_authority_is_known_for_a_day_before_anything_comes_from_it() -> None:
    first = Authorities(new_authority(START))
    due = START + AUTHORITY_LIFE * 2 / 3

    announced = first.rotated(due)
    waiting = announced.rotated(due + OVERLAP - HOUR)
    taken_over = waiting.rotated(due + OVERLAP)

    assert first.rotated(due - HOUR) is first
    assert announced.current == first.current
    assert waiting is announced
    assert taken_over.current == announced.following
    assert taken_over.previous == first.current.certificate
    assert "previous.key" not in taken_over.to_data()


def test_the_previous_authority_is_trusted_until_it_ends_and_not_longer() -> None:
    first = Authorities(new_authority(START))
    due = START + AUTHORITY_LIFE * 2 / 3
    second = first.rotated(due).rotated(due + OVERLAP)

    kept = second.rotated(START + AUTHORITY_LIFE - HOUR)
    dropped = second.rotated(START + AUTHORITY_LIFE)

    assert kept is second
    assert dropped == Authorities(second.current)


def test_an_authority_that_ended_while_nobody_was_here_is_replaced_at_once() -> None:
    first = Authorities(new_authority(START))
    late = START + AUTHORITY_LIFE + HOUR

    found = first.rotated(late)

    assert found.current.certificate.not_valid_after_utc > late
    assert (found.following, found.previous) == (None, None)


def test_what_is_kept_is_read_as_it_was_written() -> None:
    due = START + AUTHORITY_LIFE * 2 / 3
    announced = Authorities(new_authority(START)).rotated(due)
    for each in (Authorities(new_authority(START)), announced, announced.rotated(due + OVERLAP)):
        assert Authorities.from_data(each.to_data()).to_data() == each.to_data()


def test_a_certificate_serves_both_ends_under_its_names() -> None:
    authority = new_authority(START)

    found = issue(authority, ["control.ns.svc", "control"], START).certificate

    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["control.ns.svc", "control"]
    assert len(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == 2
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_certificate_of_another_authority_is_not_from_this_one() -> None:
    one, other = new_authority(START), new_authority(START)

    assert issue(one, ["x"], START).is_from(one)
    assert not issue(one, ["x"], START).is_from(other)


def _encrypted(pair: Pair) -> str:
    secret = serialization.BestAvailableEncryption(b"x")
    return pair.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret).decode()


def _rsa() -> str:
    key = rsa.generate_private_key(65537, 2048)
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()


def test_a_pair_that_does_not_fit_together_is_refused() -> None:
    one, other = new_authority(START), new_authority(START)

    for key in (other.key_pem, _encrypted(one), _rsa(), "no key"):
        with pytest.raises(ValueError, match=r".+"):
            Pair.from_pem(one.certificate_pem, key)
