"""The certificates with which gateway and control process know each other: made here, rotated in time. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=365)
LEAF_LIFE = timedelta(days=30)
OVERLAP = timedelta(days=1)
"""How long a new authority is trusted before anything comes from it: by then every mounted Secret holds it."""
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @classmethod
    def from_pem(cls, certificate: str, key: str) -> Self:
        """Read both. Raises ValueError."""
        try:
            private = serialization.load_pem_private_key(key.encode(), password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"not a key that can be read: {error}") from error
        if not isinstance(private, EllipticCurvePrivateKey):
            raise ValueError("not the key of an elliptic curve")  # noqa: TRY004
        found = cls(x509.load_pem_x509_certificate(certificate.encode()), private)
        # Halves that somebody mixed up would sign what nobody trusts.
        if found.certificate.public_key() != private.public_key():
            raise ValueError("the key is not the certificate's")
        return found

    @property
    def certificate_pem(self) -> str:
        """The certificate as PEM."""
        return _pem(self.certificate)

    @property
    def key_pem(self) -> str:
        """The key as PEM (PKCS #8, not encrypted)."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    def is_due(self, now: datetime) -> bool:
        """Return True if two thirds of its life are over."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return now >= begin + (end - begin) * 2 / 3

    def is_from(self, authority: "Pair") -> bool:
        """Return True if `authority` signed it."""
        try:
            self.certificate.verify_directly_issued_by(authority.certificate)
        except Exception:  # noqa: BLE001 - whatever the library finds wrong with it, it is not
            return False
        return True


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authority that certificates come from, and the ones before and after it, if there are such."""

    current: Pair
    following: Pair | None = None
    previous: x509.Certificate | None = None
    """Trusted until it ends: what it signed is replaced at once, but arrives in pods only later. Its key is gone."""

    @property
    def bundle(self) -> str:
        """What to trust, as PEM."""
        trusted = [self.current.certificate, self.following.certificate if self.following else None, self.previous]
        return "".join(_pem(each) for each in trusted if each is not None)

    def to_data(self) -> dict[str, str]:
        """Return the content of the Secret that keeps them."""
        data = {"current.crt": self.current.certificate_pem, "current.key": self.current.key_pem}
        if self.following:
            data |= {"following.crt": self.following.certificate_pem, "following.key": self.following.key_pem}
        if self.previous:
            data |= {"previous.crt": _pem(self.previous)}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, str]) -> Self:
        """Read what `to_data` wrote. Raises KeyError or ValueError."""
        following, previous = None, None
        if "following.crt" in data:
            following = Pair.from_pem(data["following.crt"], data["following.key"])
        if "previous.crt" in data:
            previous = x509.load_pem_x509_certificate(data["previous.crt"].encode())
        return cls(Pair.from_pem(data["current.crt"], data["current.key"]), following, previous)

    def rotated(self, now: datetime) -> "Authorities":
        """Return the authorities of this moment: the following one made in time, and taking over in time."""
        if self.previous is not None and now >= self.previous.not_valid_after_utc:
            return Authorities(self.current, self.following).rotated(now)
        if now >= self.current.certificate.not_valid_after_utc:
            # Nobody was here to rotate: there is nothing left that could go on meanwhile.
            return Authorities(self.following or new_authority(now)).rotated(now)
        if self.following is None:
            return Authorities(self.current, new_authority(now), self.previous) if self.current.is_due(now) else self
        is_known = now >= self.following.certificate.not_valid_before_utc + _SKEW + OVERLAP
        return Authorities(self.following, previous=self.current.certificate) if is_known else self


def new_authority(now: datetime) -> Pair:
    """Return a certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ringfence {now:%Y-%m-%d}")])
    builder = _builder(name, name, key, now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, names: Sequence[str], now: datetime) -> Pair:
    """Return a certificate for `names`, for both ends of a connection, signed by `authority`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    builder = _builder(subject, authority.certificate.subject, key, now, LEAF_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = builder.add_extension(alternatives, critical=False).add_extension(usage, critical=False)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )
