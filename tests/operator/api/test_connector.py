import pytest

from ringfence_operator.api.connector import Connector
from ringfence_operator.api.connector_auth import OAuthClientCredentials
from ringfence_operator.errors import InvalidSpecError
from tests.operator.resources.connectors import IDENTITY, connector_body, make_connector, plugin, rabbitmq, snowflake


@pytest.mark.parametrize(
    ("spec", "kind", "secret"),
    [
        (snowflake(), "snowflake", "snow"),
        (snowflake(auth=IDENTITY), "snowflake", ""),
        (rabbitmq(), "rabbitmq", "rabbit"),
        (plugin(), "echo", ""),
        (plugin(auth={"secretName": "s", "password": {"user": "u"}}), "echo", "s"),
    ],
)
def test_a_connector_knows_its_kind_and_the_secret_that_it_uses(
    spec: dict[str, object], kind: str, secret: str
) -> None:
    found = make_connector(spec=spec)

    assert (found.backend_kind, found.secret) == (kind, secret)
    assert [each.name for each in found.endpoints] == ["main"]


def test_a_connector_with_fields_of_a_later_version_is_read_all_the_same() -> None:
    body = connector_body()
    body["spec"]["rabbitmq"]["novelty"] = {"x": 1}

    assert Connector.from_body(body).spec == make_connector().spec


def test_a_connector_that_does_not_fit_says_where() -> None:
    body = connector_body(spec=rabbitmq(limits={"prefetch": "many"}))

    with pytest.raises(InvalidSpecError, match=r"spec\.rabbitmq\.limits\.prefetch"):
        Connector.from_body(body)


def test_the_host_that_tokens_come_from_is_a_part_of_its_address() -> None:
    client = OAuthClientCredentials(client_id="x", token_url="https://login.example.com/oauth2/token")

    assert client.token_host == "login.example.com"
