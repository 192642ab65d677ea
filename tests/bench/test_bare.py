import json
import subprocess

from bench.egress.bare import bare_config
from tests.operator.control.envoy_process import ENVOY


def test_envoy_takes_the_configuration_of_the_one_that_stands_beside_the_gateway() -> None:
    words = [str(ENVOY), "--mode", "validate", "--config-yaml", json.dumps(bare_config()), "--log-level", "error"]

    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stderr
