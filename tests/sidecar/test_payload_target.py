from typing import Any

import msgspec
import pytest

from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.connectors.rabbitmq.arguments import Publish
from ringfence_sidecar.connectors.snowflake.arguments import ExecuteArguments
from ringfence_sidecar.errors import InvalidArgumentsError
from ringfence_sidecar.payload_target import check_target
from ringfence_sidecar.payloads import Registration


class Result(msgspec.Struct):
    pass


def check(path: str, arguments: type[msgspec.Struct]) -> None:
    operation = Operation(
        name="do", title="Do", description="Does.", effect=Effect.WRITE, arguments=arguments, result=Result
    )
    schema: dict[str, Any] = {}
    check_target(Registration(schema=schema, connector="c", operation="do", path=path), {"c": (operation,)})


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("", Publish),
        ("messages.*.payload", Publish),
        ("messages.*.payload.anything.*.below", Publish),
        ("messages.*.headers.any", Publish),
        ("binds", ExecuteArguments),
        ("binds.*", ExecuteArguments),
        ("binds.name", ExecuteArguments),
    ],
)
def test_a_path_leads_through_lists_unions_and_what_may_hold_anything(
    path: str, arguments: type[msgspec.Struct]
) -> None:
    check(path, arguments)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("message", "there is messages"),
        ("messages.payload", r"'payload' is nothing in arguments.messages: there is \*"),
        ("messages.0.payload", r"there is \*"),
        ("messages.*.body", "nothing in arguments.messages.*: there is bodyBase64, contentType"),
        ("messages.*.routingKey.x", "there is nothing"),
    ],
)
def test_a_path_that_leads_nowhere_is_answered_with_where_it_might(path: str, says: str) -> None:
    with pytest.raises(InvalidArgumentsError, match=says):
        check(path, Publish)
