"""As much of PromQL as it takes to see which metrics and labels a query names."""

import re
from collections.abc import Mapping

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"\{[^}]*\}")
_DURATION = re.compile(r"\[[^\]]*\]")
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_FUNCTION = re.compile(r"\b[a-z_]+\s*(?=\()")
_WORD = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b")
_OPERATORS = {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "offset"}
ANY: Mapping[str, str] = {
    "namespace": ".*",
    "agent": "a",
    "connector": ".*",
    "quota": ".*",
    "policy": ".*",
    "pool": ".*",
}


def metrics_of(expr: str) -> set[str]:
    """Return the names of all series that an expression reads."""
    bare = _LABELS.sub(" ", _DURATION.sub(" ", _SELECTOR.sub(" ", _STRING.sub('""', expr))))
    # An aggregation may stand before its labels, so that a bracket follows only once they are gone.
    bare = _FUNCTION.sub(" ", bare)
    return set(_WORD.findall(bare)) - _OPERATORS


def grouped_by(expr: str) -> set[str]:
    """Return the labels that an expression keeps."""
    return {label.strip() for _, labels in _LABELS.findall(expr) for label in labels.split(",") if label.strip()}


def variables_of(expr: str) -> set[str]:
    """Return the dashboard's variables that an expression names, Grafana's own left out."""
    return {name for name in re.findall(r"\$([a-z_]+)", expr) if not name.startswith("__")}


def filled_in(expr: str, values: Mapping[str, str] = ANY, *, rate: str = "1m", shown: str = "5m") -> str:
    """Return an expression as Grafana sends it, with these values of variables."""
    made = expr.replace("$__rate_interval", rate).replace("$__range", shown)
    return re.sub(r"\$([a-z]+)", lambda found: values[found[1]], made)
