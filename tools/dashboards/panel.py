"""What a dashboard is made of: panels with queries, in rows, with variables above them."""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Units, by Grafana's names."""

    COUNT = "short"
    PER_SECOND = "cps"
    REQUESTS_PER_SECOND = "reqps"
    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    CORES = "none"
    YES_OR_NO = "bool_yes_no"


class Kind(StrEnum):
    """Kinds of panels, by Grafana's names."""

    GRAPH = "timeseries"
    FIGURE = "stat"
    BARS = "bargauge"


class Colour(StrEnum):
    """What a value means."""

    FINE = "green"
    LOOK = "orange"
    ACT = "red"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a series leads: another dashboard, with some of its variables from the series' labels."""

    title: str
    uid: str
    labels: tuple[tuple[str, str], ...] = ()
    """Variable there, label here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `steps` are the values from which on a colour holds; below the first one all is `base`."""

    title: str
    about: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = Kind.GRAPH
    base: Colour = Colour.FINE
    steps: tuple[tuple[float, Colour], ...] = ()
    width: int = 8
    most: float | None = None
    is_stacked: bool = False
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A label's values to choose from: those that `metric` has."""

    name: str
    label: str
    metric: str
    is_multiple: bool = True

    @property
    def query(self) -> str:
        """As Grafana's Prometheus datasource asks for values."""
        return f"label_values({self.metric}, {self.label})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard; `uid` is what links and bookmarks name, so it never changes."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All its panels."""
        return tuple(panel for row in self.rows for panel in row.panels)


def graph(
    title: str,
    about: str,
    unit: Unit,
    *queries: tuple[str, str],
    steps: tuple[tuple[float, Colour], ...] = (),
    width: int = 8,
    most: float | None = None,
    is_stacked: bool = False,
    link: Link | None = None,
) -> Panel:
    """Return a panel of lines; a query is an expression and its legend."""
    made = tuple(Query(*each) for each in queries)
    return Panel(
        title=title,
        about=about,
        unit=unit,
        queries=made,
        steps=steps,
        width=width,
        most=most,
        is_stacked=is_stacked,
        link=link,
    )


def figure(
    title: str,
    about: str,
    unit: Unit,
    expr: str,
    *,
    base: Colour = Colour.FINE,
    steps: tuple[tuple[float, Colour], ...] = (),
    link: Link | None = None,
) -> Panel:
    """Return a panel with one number."""
    return Panel(
        title=title,
        about=about,
        unit=unit,
        queries=(Query(expr, title),),
        kind=Kind.FIGURE,
        base=base,
        steps=steps,
        width=4,
        link=link,
    )


def bars(
    title: str,
    about: str,
    unit: Unit,
    query: tuple[str, str],
    *,
    steps: tuple[tuple[float, Colour], ...] = (),
    width: int = 8,
    most: float | None = None,
    link: Link | None = None,
) -> Panel:
    """Return a panel with the present value of each series as a bar."""
    made = (Query(*query),)
    return Panel(
        title=title,
        about=about,
        unit=unit,
        queries=made,
        kind=Kind.BARS,
        steps=steps,
        width=width,
        most=most,
        link=link,
    )
