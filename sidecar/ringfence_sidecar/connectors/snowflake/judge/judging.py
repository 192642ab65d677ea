"""The judge: from a text to a verdict, or to a refusal. Pure."""

from dataclasses import dataclass

from sqlglot import exp

from ringfence_sidecar.connectors.base import Effect
from ringfence_sidecar.connectors.snowflake.judge.cap import push_cap
from ringfence_sidecar.connectors.snowflake.judge.losses import check_nothing_lost
from ringfence_sidecar.connectors.snowflake.judge.names import Defaults
from ringfence_sidecar.connectors.snowflake.judge.parsing import Source, generate, parse, read_generated, read_source
from ringfence_sidecar.connectors.snowflake.judge.permissions import Permissions
from ringfence_sidecar.connectors.snowflake.judge.refusal import refuse
from ringfence_sidecar.connectors.snowflake.judge.sameness import is_same
from ringfence_sidecar.connectors.snowflake.judge.statements import (
    Statement,
    check_kinds,
    judge_named,
    read_statement,
)
from ringfence_sidecar.connectors.snowflake.judge.tables import Tables
from ringfence_sidecar.connectors.snowflake.judge.text import Text, check_text
from ringfence_sidecar.connectors.snowflake.judge.verdict import Verdict
from ringfence_sidecar.connectors.snowflake.judge.walk import Walk

_READING = frozenset({"Select", "Show", "Describe", "Explain"})
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Facts:
    kind: str
    reads: frozenset[str]
    writes: frozenset[str]
    deterministic: bool

    @property
    def touches(self) -> tuple[str, frozenset[str], frozenset[str]]:
        """What must not change on the way."""
        return self.kind, self.reads, self.writes


@dataclass(frozen=True, slots=True)
class _Judging:
    permissions: Permissions
    defaults: Defaults
    row_cap: int | None

    def verdict(self, sql: str) -> Verdict:
        check_text(sql)
        source = read_source(sql)
        facts, text = self._settle(source)
        if source.prefix == "CALL ":
            text = Text.read("CALL " + "".join(text.pieces).removeprefix("SELECT "))
        elif source.prefix:
            text = Text.read(source.prefix + "".join(text.pieces))
        executable, binds = text.with_binds()
        if source.binds and set(binds) != set(range(source.binds)):
            refuse(
                "sql.roundTrip", "each ? stands for a value, and either ? or :name is used: write it in a simpler way"
            )
        return Verdict(
            sql=executable,
            kind=facts.kind,
            effect=Effect.READ if facts.kind in _READING else Effect.WRITE,
            reads=facts.reads,
            writes=facts.writes if facts.kind != "Explain" else frozenset(),
            deterministic=facts.deterministic,
            fingerprint=text.fingerprint(),
            canonical="".join(text.pieces),
            rule=f"sql.statements.{facts.kind}",
            binds=binds,
        )

    def _settle(self, source: Source) -> tuple[_Facts, Text]:
        """Judge the tree, and then the tree of its own text, until the two are one: that text is what may be run."""
        tree = parse(source)
        known: _Facts | None = None
        for _ in range(_ROUNDS):
            facts = self._judge(tree, source.prefix)
            written = read_generated(generate(tree))
            again = parse(written)
            if again == tree and (known is None or known.touches == facts.touches):
                text = Text.read(written.text)
                text.check_quotes(written.ends())
                check_nothing_lost(source.tokens, written.tokens)
                return facts, text
            if not is_same(tree, again):
                break
            tree, known = again, known or facts
        return refuse("sql.roundTrip", "the statement cannot be written back as it was read: write it in a simpler way")

    def _judge(self, tree: exp.Expression, prefix: str) -> _Facts:
        if prefix == "CALL ":
            return self._call(tree)
        statement = read_statement(tree)
        check_kinds(("Explain", *statement.needs) if prefix else statement.needs, self.permissions)
        walk = Walk(
            self.permissions,
            self.defaults,
            targets=frozenset(map(id, statement.targets)),
            settled=frozenset(map(id, statement.named)),
        )
        if statement.kind in ("Show", "Describe"):
            judge_named(tree, walk.tables, self.defaults)
            walk.settled |= {id(node) for node in tree.find_all(exp.Table)}
        if statement.kind == "Select" and not prefix and self.row_cap is not None:
            push_cap(tree, self.row_cap)
        walk.run(tree)
        self._reads_of_writes(statement, walk.tables)
        steady = walk.deterministic and statement.kind == "Select" and not prefix
        kind = "Explain" if prefix else statement.kind
        return _Facts(kind, frozenset(walk.tables.reads), frozenset(walk.tables.writes), steady)

    def _reads_of_writes(self, statement: Statement, tables: Tables) -> None:
        # How many rows an UPDATE touches tells of its own table, which it needs for that, and not of others.
        others = tables.reads - tables.writes if statement.reads_target else tables.reads
        if statement.targets and (others or tables.reads_stages):
            check_kinds(("Select",), self.permissions)
        if statement.reads_target:
            for target in statement.targets:
                tables.read(tables.resolve(target))

    def _call(self, tree: exp.Expression) -> _Facts:
        check_kinds(("Call",), self.permissions)
        called = tree.expressions[0] if isinstance(tree, exp.Select) and len(tree.expressions) == 1 else None
        if not isinstance(called, (exp.Anonymous, exp.Dot)) or any(
            value for name, value in tree.args.items() if name != "expressions"
        ):
            refuse("sql.procedures", "CALL takes one procedure: write CALL DB.SCHEMA.NAME(…)")
        if isinstance(called, exp.Dot) and not isinstance(called.args.get("expression"), exp.Anonymous):
            refuse("sql.procedures", "CALL takes one procedure: write CALL DB.SCHEMA.NAME(…)")
        walk = Walk(self.permissions, self.defaults, procedure=id(called))
        walk.run(tree)
        if walk.tables.reads:
            check_kinds(("Select",), self.permissions)
        return _Facts("Call", frozenset(walk.tables.reads), frozenset(), deterministic=False)


def judge_text(sql: str, permissions: Permissions, defaults: Defaults, row_cap: int | None) -> Verdict:
    """Return the verdict on a text. Raises RefusedError, InvalidArgumentsError."""
    try:
        return _Judging(permissions, defaults, row_cap).verdict(sql)
    except RecursionError:
        refuse("sql.text", "the statement is nested too deeply: use common table expressions")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        refuse("sql.constructs", "the statement is put together in a way that is not known: write it in a simpler way")
