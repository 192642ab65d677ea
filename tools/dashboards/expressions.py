"""Pieces of PromQL that several dashboards are made of."""

RATE = "$__rate_interval"
RANGE = "$__range"
MOST_SERIES = 10
"""How many series a panel shows of labels that grow with the fleet."""
LEADS = 'leader_election_master_status{name="ringfence-operator"}'
OPERATOR = 'pod=~"ringfence-operator-.+"'
"""The operator's pods: names of metrics that every controller has need it."""
OURS = 'pod=~"ringfence-(operator|gateway)-.+"'
CONTROLLER = 'controller="ringfence"'
QUEUE = 'name="ringfence"'


def rate(metric: str, selector: str = "", *, over: str = RATE) -> str:
    """Return how much a counter grows in a second."""
    return f"rate({_at(metric, selector)}[{over}])"


def increase(metric: str, selector: str = "", *, over: str = RANGE) -> str:
    """Return how much a counter has grown in the time shown."""
    return f"increase({_at(metric, selector)}[{over}])"


def total(expr: str, *labels: str) -> str:
    """Return the sum of series, by these labels."""
    return _over("sum", expr, labels)


def largest(expr: str, *labels: str) -> str:
    """Return the largest of series, by these labels: of what each replica tells alike, one of them."""
    return _over("max", expr, labels)


def smallest(expr: str, *labels: str) -> str:
    """Return the smallest of series, by these labels."""
    return _over("min", expr, labels)


def mean(expr: str, *labels: str) -> str:
    """Return the mean of series, by these labels."""
    return _over("avg", expr, labels)


def top(expr: str) -> str:
    """Return the largest series, so that a panel stays readable and cheap however large the fleet is."""
    return f"topk({MOST_SERIES}, {expr})"


def quantile(share: float, histogram: str, selector: str, *labels: str) -> str:
    """Return a quantile of a histogram, by these labels."""
    return f"histogram_quantile({share}, {total(rate(f'{histogram}_bucket', selector), 'le', *labels)})"


def quantiles(histogram: str, selector: str) -> tuple[tuple[str, str], ...]:
    """Return the queries of median, 95th and 99th percentile."""
    return tuple((quantile(share, histogram, selector), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99))


def ratio(part: str, whole: str) -> str:
    """Return one expression by another."""
    return f"{part} / {whole}"


def agents(selector: str, *labels: str) -> str:
    """Return the number of agents, by these labels: each replica of the operator counts all of them."""
    counted = largest(_at("ringfence_agents", selector), "namespace", "state")
    return total(counted, *labels)


def leaders(metric: str, selector: str) -> str:
    """Return what the leader says, not what one that led before still remembers."""
    return f"({_at(metric, selector)} and on (instance) {LEADS} == 1)"


def _at(metric: str, selector: str) -> str:
    return f"{metric}{{{selector}}}" if selector else metric


def _over(function: str, expr: str, labels: tuple[str, ...]) -> str:
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"{function}{by} ({expr})"
