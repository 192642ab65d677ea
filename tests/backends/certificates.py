"""An authority and a server's certificate, for tests."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Issued:
    """Paths of PEM files."""

    authority: Path
    certificate: Path
    key: Path


def issue(directory: Path, address: str, name: str = "localhost") -> Issued:
    """Make an authority, and a certificate of it for the address and the name."""
    directory.mkdir(exist_ok=True)
    issued = Issued(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    authority_key = directory / "ca.key"
    _openssl("req", "-x509", *curve, "-subj", "/CN=test authority", "-keyout", authority_key, "-out", issued.authority)
    names = ("-subj", "/CN=server", "-addext", f"subjectAltName=IP:{address},DNS:{name}")
    signing = ("-CA", issued.authority, "-CAkey", authority_key)
    _openssl("req", "-x509", *curve, *names, *signing, "-keyout", issued.key, "-out", issued.certificate)
    return issued


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
