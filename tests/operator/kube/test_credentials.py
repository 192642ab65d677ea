import base64
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.errors import UnavailableError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.credentials import BearerToken, Credentials


@dataclass
class FakeConnectionInfo:
    server: str = "https://kube:6443/"
    insecure: bool | None = None
    ca_path: Any = None
    ca_data: Any = None
    certificate_path: Any = None
    certificate_data: Any = None
    private_key_path: Any = None
    private_key_data: Any = None
    token: str | None = None


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate that is its own CA, and its key."""
    folder = tmp_path_factory.mktemp("pki")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=admin", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


def test_a_login_is_taken_over_by_its_attributes() -> None:
    info = FakeConnectionInfo(ca_path=Path("/ca.crt"), token="secret")

    credentials = Credentials.from_connection(info, token_path="/var/run/token")

    assert credentials == Credentials(
        server="https://kube:6443", ca_path="/ca.crt", token="secret", token_path="/var/run/token"
    )


@pytest.mark.parametrize("encode", [bytes, base64.b64encode, lambda pem: base64.b64encode(pem).decode()])
def test_certificates_given_as_data_are_used(pair: tuple[Path, Path], encode: Any) -> None:
    certificate, key = (encode(path.read_bytes()) for path in pair)
    info = FakeConnectionInfo(ca_data=certificate, certificate_data=certificate, private_key_data=key)

    context = Credentials.from_connection(info).ssl_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509"] == 1


def test_certificates_given_as_files_are_used(pair: tuple[Path, Path]) -> None:
    certificate, key = map(str, pair)

    context = Credentials(
        server="https://kube", ca_path=certificate, certificate_path=certificate, private_key_path=key
    ).ssl_context()

    assert context.cert_store_stats()["x509"] == 1


def test_the_server_is_verified_unless_told_otherwise() -> None:
    assert Credentials(server="https://kube").ssl_context().verify_mode is ssl.CERT_REQUIRED
    assert Credentials(server="https://kube", insecure=True).ssl_context().verify_mode is ssl.CERT_NONE


def test_a_rotated_token_is_used_as_soon_as_its_file_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    bearer = BearerToken(Credentials(server="https://kube", token="of the login", token_path=str(token)))
    before = bearer.header()

    (tmp_path / "new").write_text("second")
    (tmp_path / "new").replace(token)  # as the kubelet does it

    assert before == "Bearer first"
    assert bearer.header() == "Bearer second"


def test_without_a_token_there_is_no_header() -> None:
    assert BearerToken(Credentials(server="https://kube")).header() is None


async def test_a_token_that_cannot_be_read_is_an_error_that_passes() -> None:
    async with Client(Credentials(server="http://127.0.0.1:1", token_path="/nonexistent/token")) as client:
        with pytest.raises(UnavailableError, match="bearer token"):
            await client.get("/api")
