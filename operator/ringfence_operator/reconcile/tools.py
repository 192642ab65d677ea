"""What a pass over an agent works with."""

from dataclasses import dataclass

from ringfence_operator.reconcile.gateway import Gateway
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.meters import Meters
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.ports import Kube
from ringfence_operator.reconcile.sidecar import SharedCache, Telemetry
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.starters import Starters
from ringfence_operator.reconcile.view import View


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass over an agent works with."""

    view: View
    kube: Kube
    networks: Networks
    claims: Locks
    gateway: Gateway | None = None
    sidecars: Sidecars | None = None
    """None where no control process is fed."""
    meters: Meters | None = None
    """None without an egress gateway."""
    starters: Starters | None = None
    """None where no control process is fed."""
    shared_cache: SharedCache = lambda _: None
    telemetry: Telemetry = dict
