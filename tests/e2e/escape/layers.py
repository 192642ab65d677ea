"""What keeps the gateway from private addresses, one layer after the other, in a running installation."""

from collections.abc import Collection

from tests.e2e.installation import DEPLOYMENTS, GATEWAY, OPERATOR, Installation, is_rolled_out
from tests.e2e.kube import Body, address_of
from tests.e2e.replica import SYSTEM_NAMESPACE

RESOLVER, ENVOY, NETWORK_POLICY = "resolver", "Envoy", "NetworkPolicy"
LAYERS = (RESOLVER, ENVOY, NETWORK_POLICY)
_STRATEGIC = "application/strategic-merge-patch+json"
_ALLOW_ALL: Body = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "test-opens-the-gateway", "namespace": SYSTEM_NAMESPACE},
    "spec": {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": GATEWAY}},
        "policyTypes": ["Egress"],
        "egress": [{}],
    },
}


class Layers:
    """Takes layers out, and all back in at the end."""

    def __init__(self, installed: Installation) -> None:
        self._kube = installed.kube
        self._out: set[str] = set()

    def leave(self, kept: Collection[str]) -> None:
        """Have these layers in force and no others."""
        out = set(LAYERS) - set(kept)
        changed, self._out = out ^ self._out, out
        if not changed:
            return
        if NETWORK_POLICY in changed:
            self._open_gateway(is_open=NETWORK_POLICY in out)
        if ENVOY in changed:
            self._roll_out(OPERATOR, "control", "RINGFENCE_CONTROL_TEST_UNCHECKED_ADDRESSES", is_on=ENVOY in out)
        # Always, and last: what a new pod serves is the present configuration, and no other.
        self._roll_out(GATEWAY, "names", "RINGFENCE_GATEWAY_TEST_UNFILTERED_RESOLVER", is_on=RESOLVER in out)

    def _open_gateway(self, *, is_open: bool) -> None:
        """Policies add up: one that opens everything leaves nothing of the gateway's own."""
        if is_open:
            self._kube.create(_ALLOW_ALL)
        else:
            self._kube.delete(address_of(_ALLOW_ALL))

    def _roll_out(self, deployment: str, container: str, variable: str, *, is_on: bool) -> None:
        env = [{"name": variable, "value": "true" if is_on else "false"}]
        template = {
            "metadata": {"annotations": {"layers-out": " ".join(sorted(self._out))}},
            "spec": {"containers": [{"name": container, "env": env}]},
        }
        path = DEPLOYMENTS[deployment]
        self._kube.request("PATCH", path, {"spec": {"template": template}}, content_type=_STRATEGIC)
        self._kube.until(path, is_rolled_out, seconds=180)
