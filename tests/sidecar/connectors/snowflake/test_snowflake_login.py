"""Ways to log in, and ways to get there."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ringfence_sidecar.configuration import Auth
from ringfence_sidecar.connectors.snowflake import Snowflake
from ringfence_sidecar.errors import BackendError, BackendLostError
from tests.backends.snowflake.connect_proxy import ConnectProxy
from tests.backends.snowflake_server import SnowflakeServer, running_snowflake
from tests.gateway.certificates import Authority
from tests.ports import free_port
from tests.sidecar.connectors.snowflake.bench import Bench, auth, configuration, data, endpoint_of

pytestmark = pytest.mark.backend
HOST = "acme-main.snowflakecomputing.com"


def with_auth(server: SnowflakeServer, database: str, directory: Path, made: Auth) -> Snowflake:
    return Snowflake(msgspec.structs.replace(configuration(server.port, database, directory), auth=made))


async def logs_in(connector: Snowflake) -> None:
    session = await connector.connect(endpoint_of(connector))
    await connector.health_check(session)
    await connector.disconnect(session)


def key_pair(passphrase: str = "") -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
async def test_a_key_pair_logs_in(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path, passphrase: str
) -> None:
    private, public = key_pair(passphrase)
    files = {"privateKey": private} | ({"passphrase": passphrase} if passphrase else {})
    snowflake_server.users({"RINGFENCE": {"publicKey": public}})
    connector = with_auth(snowflake_server, database, tmp_path, auth("keyPair", tmp_path, files, user="RINGFENCE"))

    await logs_in(connector)

    assert snowflake_server.record["logins"][-1]["AUTHENTICATOR"] == "SNOWFLAKE_JWT"


async def test_a_credential_that_rotates_is_read_anew_for_the_next_session(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    old, new = key_pair(), key_pair()
    made = auth("keyPair", tmp_path, {"privateKey": old[0]}, user="RINGFENCE")
    connector = with_auth(snowflake_server, database, tmp_path, made)
    snowflake_server.users({"RINGFENCE": {"publicKey": old[1]}})
    await logs_in(connector)

    snowflake_server.users({"RINGFENCE": {"publicKey": new[1]}})
    with pytest.raises(BackendError):
        await connector.connect(endpoint_of(connector))
    (tmp_path / "privateKey").write_text(new[0])

    await logs_in(connector)


async def test_a_programmatic_access_token_logs_in(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    snowflake_server.users({"RINGFENCE": {"token": "pat-1"}})
    made = auth("programmaticAccessToken", tmp_path, {"token": "pat-1\n"}, user="RINGFENCE")

    await logs_in(with_auth(snowflake_server, database, tmp_path, made))


async def test_oauth_client_credentials_log_in(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    snowflake_server.users({"RINGFENCE": {"oauth": {"client": "ringfence", "secret": "s3cret"}}})
    url = f"http://127.0.0.1:{snowflake_server.port}/oauth/token-request"
    settings = {"user": "RINGFENCE", "clientId": "ringfence", "tokenUrl": url, "scope": "session:role:analyst"}
    made = auth("oauthClientCredentials", tmp_path, {"clientSecret": "s3cret"}, **settings)

    await logs_in(with_auth(snowflake_server, database, tmp_path, made))


async def test_a_refused_login_is_final_and_says_nothing_secret(
    snowflake_server: SnowflakeServer, database: str, tmp_path: Path
) -> None:
    snowflake_server.users({"RINGFENCE": {"password": "another one"}})
    connector = Snowflake(configuration(snowflake_server.port, database, tmp_path))

    with pytest.raises(BackendError) as caught:
        await connector.connect(endpoint_of(connector))

    assert caught.value.reason == "LoginRefused"
    assert not isinstance(caught.value, BackendLostError)
    assert "correct horse" not in caught.value.message


@pytest.mark.parametrize(
    "made",
    [
        {"method": "keyPair", "settings": {"user": "U"}},
        {"method": "keyPair", "files": {"privateKey": "nowhere"}, "settings": {"user": "U"}},
        {"method": "password", "files": {"password": "password"}},
        {"method": "none"},
    ],
)
async def test_a_credential_that_cannot_be_read_says_so(database: str, tmp_path: Path, made: dict[str, Any]) -> None:
    base = configuration(free_port(), database, tmp_path)
    connector = Snowflake(msgspec.structs.replace(base, auth=Auth(directory=str(tmp_path), **made)))

    with pytest.raises(BackendError) as caught:
        await connector.connect(endpoint_of(connector))

    assert caught.value.reason == "CredentialUnusable"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority()
    certificate, key = authority.issue(HOST)
    (tmp_path / "server.crt").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    return authority


def over_tls(server: SnowflakeServer, database: str, directory: Path, **changes: Any) -> Snowflake:
    endpoint = {"host": HOST, "port": 443, "tls": True, **changes.pop("endpoint", {})}
    made = configuration(server.port, database, directory, endpoint=endpoint, **changes)
    files = {**made.auth.files, "authority": "ca.crt"}
    return Snowflake(msgspec.structs.replace(made, auth=msgspec.structs.replace(made.auth, files=files)))


def tls_arguments(directory: Path) -> tuple[str, ...]:
    return ("--certificate", str(directory / "server.crt"), "--key", str(directory / "server.key"))


@pytest.mark.usefixtures("authority")
async def test_a_proxy_is_asked_for_the_accounts_name_with_its_credential(database: str, tmp_path: Path) -> None:
    proxy = ConnectProxy("sidecar", "only-sidecars", ("127.0.0.1", 0))
    with running_snowflake(*tls_arguments(tmp_path), scheme="https") as (server, _):
        proxy._destination = ("127.0.0.1", server.port)
        async with proxy.running(free_port()):
            way = {"host": "127.0.0.1", "port": proxy.port, "username": "sidecar", "password": "only-sidecars"}
            bench = await Bench.start(over_tls(server, database, tmp_path, proxy=way), server)
            outcome = await bench.ask("query", sql="SELECT 41")
            await bench.stop()

    assert data(outcome)["rows"] == [[41]]
    assert set(proxy.opened) == {f"{HOST}:443"}
    assert proxy.refused == 0


@pytest.mark.usefixtures("authority")
async def test_without_the_proxys_credential_there_is_no_way(database: str, tmp_path: Path) -> None:
    proxy = ConnectProxy("sidecar", "only-sidecars", ("127.0.0.1", 1))
    async with proxy.running(free_port()):
        way = {"host": "127.0.0.1", "port": proxy.port, "username": "sidecar", "password": "guessed"}
        connector = over_tls(SnowflakeServer(1), database, tmp_path, proxy=way)

        with pytest.raises(BackendLostError) as caught:
            await connector.connect(endpoint_of(connector))

    assert proxy.opened == []
    assert "guessed" not in caught.value.message


@pytest.mark.usefixtures("authority")
async def test_an_address_is_connected_to_while_tls_speaks_to_the_name(database: str, tmp_path: Path) -> None:
    with running_snowflake(*tls_arguments(tmp_path), scheme="https") as (server, _):
        there = {"address": "127.0.0.1", "addressPort": server.port}
        bench = await Bench.start(over_tls(server, database, tmp_path, endpoint=there), server)
        outcome = await bench.ask("query", sql="SELECT 41")
        await bench.stop()

    assert data(outcome)["rows"] == [[41]]


@pytest.mark.usefixtures("authority")
async def test_a_server_that_is_not_the_name_is_not_spoken_to(database: str, tmp_path: Path) -> None:
    certificate, key = Authority().issue(HOST)
    (tmp_path / "server.crt").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    with running_snowflake(*tls_arguments(tmp_path), scheme="https") as (server, _):
        there = {"address": "127.0.0.1", "addressPort": server.port}
        connector = over_tls(server, database, tmp_path, endpoint=there)

        with pytest.raises(BackendLostError):
            await connector.connect(endpoint_of(connector))

        assert server.record["logins"] == []


@pytest.mark.usefixtures("authority")
async def test_a_workloads_own_token_logs_in(database: str, tmp_path: Path) -> None:
    subject = "system:serviceaccount:research:reader"
    with running_snowflake(*tls_arguments(tmp_path), scheme="https") as (server, _):
        server.users({"RINGFENCE": {"subject": subject}})
        there = {"address": "127.0.0.1", "addressPort": server.port}
        made = over_tls(server, database, tmp_path, endpoint=there).configuration
        token = auth("workloadIdentity", tmp_path, {"token": projected_token(subject)})
        token = msgspec.structs.replace(token, files={**token.files, "authority": "ca.crt"})

        await logs_in(Snowflake(msgspec.structs.replace(made, auth=token)))

        assert server.record["logins"][-1]["PROVIDER"] == "OIDC"


def projected_token(subject: str) -> str:
    claims = {
        "iss": "https://kubernetes.default.svc",
        "sub": subject,
        "aud": ["snowflakecomputing.com"],
        "exp": 1 << 33,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])
