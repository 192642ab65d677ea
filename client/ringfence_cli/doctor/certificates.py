"""Reads the gateway's certificate, and whom gateway and sidecars trust."""

from datetime import UTC, datetime

from ringfence_cli.doctor.facts import Certificate

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def gateway_certificate(certificate: bytes, authorities: bytes) -> Certificate:
    """Return until when a certificate in PEM is good, and whether one of these authorities has signed it.

    What cannot be read is one that never was good.
    """
    from cryptography import x509  # noqa: PLC0415 - no other command needs it

    try:
        found = x509.load_pem_x509_certificate(certificate)
        trusted = x509.load_pem_x509_certificates(authorities)
    except ValueError:
        return Certificate(_NEVER, is_trusted=False, authorities_end=authorities_end(authorities))
    return Certificate(
        ends=found.not_valid_after_utc,
        is_trusted=any(_is_from(found, each) for each in trusted),
        authorities_end=authorities_end(authorities),
    )


def authorities_end(authorities: bytes) -> datetime:
    """Return when the last of the authorities in PEM ends; those that cannot be read never were good."""
    from cryptography import x509  # noqa: PLC0415 - no other command needs it

    try:
        return max(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(authorities))
    except ValueError:
        return _NEVER


def _is_from(certificate: object, authority: object) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - whatever the library finds wrong with it, it is not
        return False
    return True
