"""What Envoy is started with."""

from pathlib import Path

from ringfence_gateway.envoy import arguments


def test_envoy_does_not_fill_the_pods_disk_with_a_warning_for_each_listener() -> None:
    words = arguments(Path("bootstrap.yaml"), pod="gateway-0")

    assert words[words.index("--component-log-level") + 1] == "misc:error"
