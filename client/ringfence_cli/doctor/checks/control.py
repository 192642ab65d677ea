"""What gateway and sidecars fetch their configuration through."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ringfence_cli.doctor.facts import Facts, is_served
from ringfence_cli.doctor.finding import Finding, broken, ok, unknown, warning
from ringfence_cli.output.ages import duration
from ringfence_kube.objects import named

_WHO = {"ringfence-control": "the gateway", "ringfence-sidecar-control": "sidecars"}
_LATE = timedelta(days=7)
"""The operator makes a new one ten days before the end."""
_LATE_AUTHORITY = timedelta(days=90)
"""The operator makes a new one four months before the end."""
_SECRET = "ringfence-gateway-tls"  # noqa: S105 - its name


def check_control(facts: Facts) -> Iterator[Finding]:
    """The Services of the control process lead to it."""
    wanted = _WHO if facts.setting("EGRESS_BACKEND", "envoy") == "envoy" else ["ringfence-sidecar-control"]
    if not facts.services.is_known or not facts.slices.is_known:
        yield unknown("whether the control process is reached", facts.services.hindrance or facts.slices.hindrance)
        return
    good = []
    for name in wanted:
        behind = [
            each
            for each in facts.slices.value
            if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
        ]
        if named(facts.services.value, name) is None:
            yield broken(
                f"Service {facts.system}/{name} is missing: {_WHO[name]} cannot fetch a configuration",
                "put it back: kubectl apply -k deploy, or helm upgrade",
            )
        elif not is_served(behind):
            yield broken(
                f"no ready pod is behind Service {facts.system}/{name}: {_WHO[name]} cannot fetch a configuration",
                "see that the operator's pods are ready, and that the Service's selector is theirs",
            )
        else:
            good.append(name)
    if len(good) == len(wanted):
        yield ok(f"{' and '.join(wanted)} lead to the operator")


def check_certificate(facts: Facts) -> Iterator[Finding]:
    """Gateway and control process can know each other."""
    if facts.setting("EGRESS_BACKEND", "envoy") != "envoy":
        return
    if not facts.certificate.is_known:
        yield unknown("until when the gateway's certificate is good", facts.certificate.hindrance)
        return
    found = facts.certificate.value
    fix = (
        f"delete it, and the operator makes another: kubectl -n {facts.system} delete secret {_SECRET}; if it does "
        "not, see its log"
    )
    if found is None:
        yield broken(
            f"Secret {facts.system}/{_SECRET} is missing: no pod of the gateway can start",
            "the leader makes it: see its log, and its rights to Secrets",
        )
    elif found.ends <= facts.now:
        yield broken(f"the gateway's certificate in Secret {facts.system}/{_SECRET} has ended, or cannot be read", fix)
    elif not found.is_trusted:
        yield broken(f"the gateway's certificate in Secret {facts.system}/{_SECRET} is of no authority beside it", fix)
    elif found.ends - facts.now < _LATE:
        left = duration((found.ends - facts.now).total_seconds())
        yield warning(f"the gateway's certificate ends in {left}, and the operator has not made another", fix)
    else:
        yield ok(f"the gateway's certificate is good for {duration((found.ends - facts.now).total_seconds())}")


def check_authorities(facts: Facts) -> Iterator[Finding]:
    """Gateway and sidecars know the control process by authorities that are good."""
    found = {f"ConfigMap {place}/ringfence-authority": end for place, end in facts.authorities.value.items()}
    if facts.certificate.value:
        found[f"Secret {facts.system}/{_SECRET}"] = facts.certificate.value.authorities_end
    hindrance = facts.certificate.hindrance or facts.authorities.hindrance
    if not found and hindrance:
        yield unknown("by whom gateway and sidecars know the control process", hindrance)
    late = {place: end for place, end in sorted(found.items()) if end - facts.now < _LATE_AUTHORITY}
    for place, end in late.items():
        yield _late_authority(facts, place, end)
    if found and not late:
        left = duration((min(found.values()) - facts.now).total_seconds())
        yield ok(f"the authorities of the control process are good for {left}")


def _late_authority(facts: Facts, place: str, end: datetime) -> Finding:
    who = "no pod of the gateway" if place.startswith("Secret") else "no sidecar there"
    kind, _, name = place.partition(" ")
    namespace, _, name = name.partition("/")
    fix = (
        f"delete it, and the operator's leader makes it anew: kubectl -n {namespace} delete {kind.lower()} {name}; if "
        "it does not, see its log"
    )
    if end <= facts.now:
        return broken(f"the authorities in {place} have ended, or cannot be read: {who} gets a configuration", fix)
    left = duration((end - facts.now).total_seconds())
    return warning(
        f"the last of the authorities in {place} ends in {left}, and the operator has put no other there", fix
    )
