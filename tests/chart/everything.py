"""Values that are all other than the defaults, as far as they go together."""

from functools import reduce

from tests.chart.chart import Body, merged, nested
from tests.chart.rows import rows

LEFT_OUT = {
    "crds.enabled": "there would be no kinds",
    "rbac.userRoles": "there would be no roles of people",
    "guard.enabled": "there would be no guard",
    "operator.podDisruptionBudget.enabled": "there would be none",
    "gateway.podDisruptionBudget.enabled": "there would be none",
    "sidecar.enabled": "there would be no image to name",
    "starter.enabled": "there would be no image to name",
    "settings.egressBackend": "there would be no gateway",
    "settings.probeImage": "there would be none to name",
    "settings.leaderElect": "it is for one replica",
    "authorities.redis.configMap": "it is a Secret",
    "authorities.upstreamProxy.secret": "it is a ConfigMap",
    "authorities.kubelet.secret": "it is a ConfigMap",
    "metrics.podMonitor.enabled": "it is a ServiceMonitor",
}
"""Values, and why they are as they are by default."""


def everything() -> Body:
    """Return these values; of two rows of a value, the later one gives it."""
    given = [nested(row.value, row.given) for row in rows() if row.value not in LEFT_OUT]
    return reduce(merged, given)
