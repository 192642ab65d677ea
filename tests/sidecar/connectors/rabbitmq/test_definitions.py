"""Delivery limits, of brokers with one by default and of those without."""

from typing import Any

import pytest

from ringfence_sidecar.connectors.rabbitmq.arguments import QueueDeclaration
from ringfence_sidecar.connectors.rabbitmq.definitions import Definition
from ringfence_sidecar.connectors.rabbitmq.topology import queue_arguments

BEFORE_4, SINCE_4 = (3, 13, 7), (4, 0, 5)
QUORUM = {"x-queue-type": "quorum"}


@pytest.mark.parametrize(
    ("arguments", "version", "limit"),
    [
        (QUORUM, BEFORE_4, ""),
        (QUORUM, SINCE_4, "the broker's default"),
        ({**QUORUM, "x-delivery-limit": 3}, BEFORE_4, "3"),
        ({**QUORUM, "x-delivery-limit": 3}, SINCE_4, "3"),
        ({**QUORUM, "x-delivery-limit": -1}, SINCE_4, ""),
        ({}, SINCE_4, ""),
    ],
)
def test_a_queue_has_the_limit_that_it_was_declared_with_or_that_its_broker_gives_it(
    arguments: dict[str, Any], version: tuple[int, ...], limit: str
) -> None:
    definition = Definition(durable=True, auto_delete=False, arguments=arguments)

    assert definition.delivery_limit(version) == limit


@pytest.mark.parametrize(("version", "sent"), [(BEFORE_4, {}), (SINCE_4, {"x-delivery-limit": -1})])
def test_no_limit_is_said_to_brokers_that_would_have_one_and_to_no_other(
    version: tuple[int, ...], sent: dict[str, Any]
) -> None:
    wanted = QueueDeclaration(name="letters", delivery_limit=-1)

    arguments = queue_arguments(wanted, version)

    assert arguments == {**QUORUM, **sent}
    assert not Definition(durable=True, auto_delete=False, arguments=arguments).delivery_limit(version)
