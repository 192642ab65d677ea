import pytest

from ringfence_operator.__main__ import parse_arguments
from ringfence_operator.settings import Settings


def test_the_back_end_given_on_the_command_line_wins_over_the_environment() -> None:
    environment = {"RINGFENCE_OPERATOR_EGRESS_BACKEND": "none"}

    given = parse_arguments(["--egress-backend=cilium"])

    assert Settings.from_env(environment | given).egress_backend == "cilium"
    assert Settings.from_env(environment | parse_arguments([])).egress_backend == "none"


def test_a_back_end_that_there_is_not_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(["--egress-backend=calico"])

    told = capsys.readouterr().err
    assert all(name in told for name in ("envoy", "cilium", "none"))
