"""How much of its Quotas is used: pure functions of what the objects say."""

from dataclasses import dataclass, replace

from ringfence_kube.objects import Raw, is_selected, name_of, namespace_of, status_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Where one limit of a Quota stands. Quantities are as the API server has them; empty where nobody knows."""

    namespace: str
    quota: str
    resource: str
    window: str
    scope: str
    max: str
    used: str = ""
    remaining: str = ""
    percent: int | None = None
    resets_at: str = ""
    refusals: int = 0
    agents: tuple[tuple[str, str], ...] = ()
    """Those that used most, and how much."""

    @property
    def limit(self) -> str:
        """The limit as people say it, such as queries per Hour."""
        return self.resource if self.window == "None" else f"{self.resource} per {self.window}"


def uses(quota: Raw) -> list[Use]:
    """Return where each limit of a quota stands, as its status says; what it does not say yet is empty."""
    known = {_key(row): row for row in status_of(quota).get("limits") or ()}
    return [_use(quota, limit, known.get(_key(limit), {})) for limit in quota["spec"]["limits"]]


def tightest(found: list[Use]) -> Use | None:
    """Return the one that is nearest its end; None where nothing is known of any."""
    return max((each for each in found if each.percent is not None), key=lambda each: each.percent or 0, default=None)


def holding_for(agent: Raw, quotas: list[Raw]) -> list[Raw]:
    """Return the quotas of the agent's namespace that hold for it: the one that it names, and those that select it."""
    labels = agent["metadata"].get("labels") or {}
    wanted = (agent["spec"].get("quotaRef") or {}).get("name")
    return [
        each
        for each in quotas
        if namespace_of(each) == namespace_of(agent)
        and (name_of(each) == wanted or _selects(each["spec"].get("selector"), labels))
    ]


def of_agent(agent: str, quota: Raw) -> list[Use]:
    """Return where the limits of a quota stand for one agent: of a PerAgent one, what it has used itself.

    A status names five agents. Of one that is not among them it says nothing but that it used less.
    """
    return [each if each.scope == "Shared" else _own(agent, each) for each in uses(quota)]


def _own(agent: str, use: Use) -> Use:
    used = dict(use.agents).get(agent, "")
    percent = _percent(used, use.max)
    return replace(use, used=used, percent=percent, remaining="", resets_at="", refusals=0, agents=())


def _percent(used: str, most: str) -> int | None:
    if not used:
        return None
    from kubernetes.utils.quantity import parse_quantity  # noqa: PLC0415 - slow to load, and loaded by now

    return int(parse_quantity(used) * 100 / parse_quantity(most))  # type: ignore[no-untyped-call]


def _selects(selector: Raw | None, labels: dict[str, str]) -> bool:
    return selector is not None and is_selected(selector, labels)


def _key(limit: Raw) -> tuple[str, str, str]:
    return limit["resource"], limit.get("window", "None"), limit.get("scope", "PerAgent")


def _use(quota: Raw, limit: Raw, row: Raw) -> Use:
    resource, window, scope = _key(limit)
    return Use(
        namespace=namespace_of(quota),
        quota=name_of(quota),
        resource=resource,
        window=window,
        scope=scope,
        max=str(limit["max"]),
        used=str(row.get("used", "")),
        remaining=str(row.get("remaining", "")),
        percent=row.get("percent"),
        resets_at=str(row.get("resetsAt", "")),
        refusals=int(row.get("refusals", 0)),
        agents=tuple((each["name"], str(each["used"])) for each in row.get("topAgents") or ()),
    )
