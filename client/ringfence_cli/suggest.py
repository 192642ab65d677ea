"""An allowlist from what agents under a policy reached: a pure function of the SecurityPolicy."""

import copy
from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_address

from ringfence_kube.objects import Raw, full_name, name_of, namespace_of, status_of

USUAL = frozenset({80, 443})
NAMELESS = frozenset({21, 22, 23, 25, 110, 143, 389, 587, 3128, 3306, 5222})
"""Ports on which nobody says a name, so that none can be checked: no policy takes them."""
_DNS = 53
_MOST_PORTS = 8
_MOST_NAMES = 512


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the list; without ports, 80 and 443 are meant."""

    name: str
    ports: tuple[int, ...]
    count: int
    """How often it was reached; 0 for one that the policy allows already and nobody has used."""
    last_seen: str
    why: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The names to allow, and what to know of the list."""

    names: tuple[Name, ...]
    notes: tuple[str, ...]

    def policy(self, policy: Raw) -> Raw:
        """Return the policy as it would be with this list, fit for kubectl apply."""
        spec = copy.deepcopy(policy["spec"])
        allowed = [{"name": each.name, **({"ports": list(each.ports)} if each.ports else {})} for each in self.names]
        spec["network"] = {**(spec.get("network") or {}), "mode": "Enforce", "allowedDomains": allowed}
        metadata = {"name": name_of(policy), "namespace": namespace_of(policy)}
        return {"apiVersion": policy["apiVersion"], "kind": policy["kind"], "metadata": metadata, "spec": spec}


@dataclass(slots=True)
class _Reached:
    ports: set[int]
    count: int = 0
    last_seen: str = ""


def suggest(policy: Raw, *, only_seen: bool = False) -> Suggestion:
    """Return the names that agents reached, with those that the policy allows already unless `only_seen`."""
    notes: list[str] = []
    network = policy["spec"].get("network") or {}
    reached = _reached(policy, notes)
    given = network.get("allowedDomains") or ()
    allowed = {each["name"]: frozenset(each.get("ports") or USUAL) for each in given}
    wildcards = {} if only_seen else {name: ports for name, ports in allowed.items() if name.startswith("*.")}
    names: list[Name] = []
    for name, found in sorted(reached.items()):
        wildcard = next((each for each, ports in wildcards.items() if _covers(each, name) and found.ports <= ports), "")
        if _is_blocked(name, network):
            notes.append(f"{name} was reached {found.count} times and stays refused: blockedDomains cover it")
        elif not wildcard:
            names.append(_name(name, found, frozenset() if only_seen else allowed.get(name, frozenset()), notes))
    if not only_seen:
        names += [_kept(name, ports) for name, ports in allowed.items() if name not in reached]
    names.sort(key=lambda each: each.name)
    _further_notes(policy, names, notes)
    return Suggestion(tuple(names[:_MOST_NAMES]), tuple(notes))


def _reached(policy: Raw, notes: list[str]) -> dict[str, _Reached]:
    """Return what a list can hold of what was reached, by name."""
    found: dict[str, _Reached] = defaultdict(lambda: _Reached(set()))
    told = set()
    for each in status_of(policy).get("observedDomains") or ():
        name, port = each["name"], each["port"]
        if why := _unfit(name):
            if name not in told:
                notes.append(f"{name} is left out: {why}")
            told.add(name)
        elif port in NAMELESS:
            notes.append(f"{name}:{port} is left out: nobody says a name on that port, so open its address under cidrs")
        else:
            row = found[name]
            row.ports |= {port} - {_DNS}
            # What came of a look-up was counted at its own port, too.
            row.count += each["count"] if port != _DNS else 0
            row.last_seen = max(row.last_seen, each["lastSeen"])
    return dict(found)


def _unfit(name: str) -> str:
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        return "it is an address, so open it under cidrs"
    if "." not in name or name.endswith((".cluster.local", ".svc")):
        return "it is a name of the cluster, so name its Service under destinations"
    return ""


def _name(name: str, found: _Reached, allowed: frozenset[int], notes: list[str]) -> Name:
    ports = found.ports | allowed
    why = "reached" if found.ports else "looked up only"
    # A new name gets both usual ports, as people write it; one that has its ports already gets no other.
    if ports == USUAL or (ports <= USUAL and not allowed):
        return Name(name, (), found.count, found.last_seen, why)
    if len(ports) > _MOST_PORTS:
        notes.append(f"{name} was reached on {len(ports)} ports, and a policy takes {_MOST_PORTS}: the lowest are here")
    return Name(name, tuple(sorted(ports)[:_MOST_PORTS]), found.count, found.last_seen, why)


def _kept(name: str, ports: frozenset[int]) -> Name:
    return Name(name, () if ports == USUAL else tuple(sorted(ports)), 0, "", "allowed already")


def _further_notes(policy: Raw, names: list[Name], notes: list[str]) -> None:
    status, mode = status_of(policy), (policy["spec"].get("network") or {}).get("mode", "Enforce")
    if mode != "Audit":
        notes.append("the policy is in mode Enforce: what it refuses is not among what was reached; write mode: Audit")
    if others := status.get("observedOthers"):
        notes.append(f"{others} times something was reached that the status has no room for: the list is not whole")
    if len(names) > _MOST_NAMES:
        notes.append(
            f"a policy takes {_MOST_NAMES} names, and {len(names) - _MOST_NAMES} more are left out: use wildcards"
        )
    if not names:
        notes.append(f"nothing was reached under {full_name(policy)}: with this list nothing leaves by name")


def _covers(wildcard: str, name: str) -> bool:
    return name.endswith(wildcard[1:]) if wildcard.startswith("*.") else name == wildcard


def _is_blocked(name: str, network: Raw) -> bool:
    """Return True if the name is refused on every port."""
    blocked = network.get("blockedDomains") or ()
    return any(not each.get("ports") and _covers(each["name"], name) for each in blocked)
