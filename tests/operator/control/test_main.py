"""What the control process reads from its environment."""

import pytest

from ringfence_operator.control.__main__ import Settings
from ringfence_operator.control.gateway import GatewaySettings, Wiring
from ringfence_operator.errors import SettingsError

UNCHECKED = "RINGFENCE_CONTROL_TEST_UNCHECKED_ADDRESSES"


def test_addresses_are_checked_unless_a_test_says_exactly_true() -> None:
    assert not Settings.from_env({}).test_unchecked_addresses
    assert not Settings.from_env({UNCHECKED: "false"}).test_unchecked_addresses
    assert Settings.from_env({UNCHECKED: "true"}).test_unchecked_addresses


@pytest.mark.parametrize("text", ["1", "yes", "True", " true"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=UNCHECKED):
        Settings.from_env({UNCHECKED: text})


def test_what_the_settings_reserve_is_closed_with_what_always_is() -> None:
    settings = GatewaySettings(reserved=("203.0.113.0/24",))

    assert Wiring(closed=("10.0.0.0/8",)).closed_by(settings) == ("10.0.0.0/8", "203.0.113.0/24")
    assert Wiring(is_checking=False).closed_by(settings) is None
