"""What the judge answers."""

from dataclasses import dataclass

from ringfence_sidecar.connectors.base import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A statement that may run. What was judged is the tree of `sql`, and `sql` is all that may be executed."""

    sql: str
    """The judged tree's own text: names fully qualified, comments gone, the row cap in it, binds as `?`."""
    kind: str
    effect: Effect
    reads: frozenset[str]
    """Tables and views, fully qualified; a target whose rows decide what is written is among them."""
    writes: frozenset[str]
    deterministic: bool
    """False if the same statement on the same tables may answer differently, or reads what no table's name covers."""
    fingerprint: str
    """`sql` with every literal replaced by `?`: for audit and metrics."""
    canonical: str
    """For the key of a cache: `sql`, with binds told apart."""
    rule: str
    """Which rule let it through."""
    binds: tuple[int | str, ...]
    """One for each `?` of `sql`, in its order: the caller's positional bind (from 0), or its name."""
