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
    # The host's own configuration would make a server's certificate an authority's, which some libraries refuse.
    plain = directory / "openssl.cnf"
    plain.write_text("[req]\ndistinguished_name = name\n[name]\n")
    curve = ("-config", plain, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    authority_key = directory / "ca.key"
    root = ("-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE")
    _openssl("req", "-x509", *curve, *root, "-keyout", authority_key, "-out", issued.authority)
    names = ("-subj", "/CN=server", "-addext", f"subjectAltName=IP:{address},DNS:{name}")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
    signing = ("-CA", issued.authority, "-CAkey", authority_key)
    _openssl("req", "-x509", *curve, *names, *leaf, *signing, "-keyout", issued.key, "-out", issued.certificate)
    return issued


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
