"""Who has a block besides its Service: who is about to have it again, and whose pods reach it."""

from ringfence_operator import labels
from ringfence_operator.reconcile.view import BY_POD_POLICY, View
from ringfence_operator.resources.port_set import connector_holder, connector_of


def awaited_blocks(view: View) -> dict[str, str]:
    """Return the holders whose Service somebody deleted, by the name that their status gives of it.

    They get it back, at the address that their pods know. A new leader knows that much before any of them is published.
    """
    present = {service.meta.name for service in view.port_sets()}
    found: dict[str, str] = {}
    for key, policy in view.policies.cache.items():
        _note(found, policy.status.gateway.service if policy.status.gateway else "", "/".join(key), present, view)
    for key, connector in view.connectors.cache.items():
        gateway = connector.status.gateway
        _note(found, gateway.service if gateway else "", connector_holder(*key), present, view)
    return found


def _note(found: dict[str, str], service: str, holder: str, present: set[str], view: View) -> None:
    if service and service not in present and view.port_set_of(holder) is None:
        found[service] = holder


def is_reached(holder: str, address: str, view: View) -> bool:
    """Return True if a pod reaches what `holder` has, or had, at `address`.

    Under a policy that is there, by the address: it may have another port set by now.
    """
    connector = connector_of(holder)
    if connector is not None:
        namespace, label = connector[0], f"{labels.CONNECTORS}{connector[1]}"
        return any(label in pod.labels for key, pod in view.pods.cache.items() if key[0] == namespace)
    keys = [*view.pods.keys_by(BY_POD_POLICY, (labels.POLICY, holder))]
    if holder == view.settings.default_policy:
        keys += view.pods.keys_by(BY_POD_POLICY, (labels.CLUSTER_POLICY, holder.partition("/")[2]))
    if view.policies.get(*holder.split("/", 1)) is None:
        return bool(keys)
    return any(view.pods.cache[key].gateway_address == address for key in keys)
