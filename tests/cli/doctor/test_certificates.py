from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence_cli.doctor.certificates import gateway_certificate

ENDS = datetime(2027, 1, 1, tzinfo=UTC)


def signed(key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(ENDS)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def keys() -> list[ec.EllipticCurvePrivateKey]:
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def test_a_certificate_of_an_authority_beside_it_is_trusted(keys: list[ec.EllipticCurvePrivateKey]) -> None:
    authority, leaf, other = keys
    bundle = signed(other, other, "authority") + signed(authority, authority, "authority")

    found = gateway_certificate(signed(leaf, authority, "gateway"), bundle)

    assert (found.ends, found.is_trusted) == (ENDS, True)


def test_a_certificate_of_another_authority_is_not(keys: list[ec.EllipticCurvePrivateKey]) -> None:
    authority, leaf, other = keys

    found = gateway_certificate(signed(leaf, authority, "gateway"), signed(other, other, "authority"))

    assert (found.ends, found.is_trusted) == (ENDS, False)


@pytest.mark.parametrize("text", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_cannot_be_read_never_was_good(text: bytes) -> None:
    assert gateway_certificate(text, text).ends.year == 1970
