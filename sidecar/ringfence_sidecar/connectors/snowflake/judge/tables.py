"""What a statement reads and writes: tables, views and stages."""

import re
from dataclasses import dataclass, field

from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge.names import Defaults, Pattern, canonical, fold, split_name
from ringfence_sidecar.connectors.snowflake.judge.permissions import Permissions
from ringfence_sidecar.connectors.snowflake.judge.refusal import listed, refuse, shown
from ringfence_sidecar.connectors.snowflake.judge.routines import Routines
from ringfence_sidecar.connectors.snowflake.judge.scope import Scope

_STAGE = re.compile(r"@([A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*){0,2})((?:/[\w.=-]*)*)", re.ASCII)
_PLAIN = frozenset({"this", "db", "catalog", "alias"})

Name = tuple[str, str, str]


@dataclass(slots=True)
class Tables:
    """Collects and judges; makes each name whole, so that no session's present schema decides what it means."""

    permissions: Permissions
    defaults: Defaults
    targets: frozenset[int]
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    deterministic: bool = True
    reads_stages: bool = False

    def judge(self, table: exp.Expression, scope: Scope, routines: Routines) -> None:
        """Judge one Table node. Raises RefusedError."""
        if id(table) in self.targets:
            self._write(table)
            return
        this = table.this
        if isinstance(this, exp.Identifier):
            self._read(table, scope)
        elif isinstance(this, exp.Var):
            self._stage(table, this)
        elif table.args.get("db") is None:
            routines.judge_source(this)
        else:
            refuse("sql.tables", "a table has up to three names: write DB.SCHEMA.TABLE")
        if not isinstance(this, exp.Var) and (table.args.get("format") or table.args.get("pattern")):
            refuse("sql.constructs", "FILE_FORMAT and PATTERN are for stages only")

    def _read(self, table: exp.Expression, scope: Scope) -> None:
        if table.args.get("db") is None and table.args.get("catalog") is None and _stored(table.this) in scope.names:
            if table.args.get("when") or table.args.get("changes"):
                refuse("sql.constructs", "AT, BEFORE and CHANGES are for tables, and not for common table expressions")
            return
        self.read(self.resolve(table))

    def read(self, name: Name) -> None:
        """Note that the table is read. Refuses if that is not permitted."""
        if not any(pattern.covers(name) for pattern in self.permissions.readable):
            may = listed(self.permissions.tables)
            refuse("sql.tables", f"reading {shown(canonical(*name))} is not permitted: permitted tables are {may}")
        if name[0] == "SNOWFLAKE" or name[1] == "INFORMATION_SCHEMA":
            self.deterministic = False
        self.reads.add(canonical(*name))

    def _write(self, table: exp.Expression) -> None:
        if any(value for argument, value in table.args.items() if argument not in _PLAIN):
            refuse("sql.constructs", "what is written to is a table's name, and nothing with it")
        name = self.resolve(table)
        if name[0] == "SNOWFLAKE" or not any(pattern.covers(name) for pattern in self.permissions.writable):
            written = self.permissions.writable_tables
            may = listed(self.permissions.tables if written is None else written)
            refuse("sql.writableTables", f"writing {shown(canonical(*name))} is not permitted: permitted are {may}")
        self.writes.add(canonical(*name))

    def resolve(self, table: exp.Expression) -> Name:
        """Return the table's whole name, and write it into the tree."""
        this, db, catalog = table.this, table.args.get("db"), table.args.get("catalog")
        if not isinstance(this, exp.Identifier):
            refuse("sql.tables", "a table is given by its name: write DB.SCHEMA.TABLE")
        if catalog is not None and _is_empty(db):
            db = exp.to_identifier("PUBLIC", quoted=True)
        database, schema = split_name(self.defaults.database)[0], split_name(self.defaults.schema)[0]
        if db is None:
            db = exp.to_identifier(schema, quoted=True)
        if catalog is None:
            catalog = exp.to_identifier(database, quoted=True)
        table.set("db", db)
        table.set("catalog", catalog)
        return _stored(catalog), _stored(db), _stored(this)

    def _stage(self, table: exp.Expression, this: exp.Expression) -> None:
        match = _STAGE.fullmatch(this.this)
        if match is None or "//" in match[2] or "--" in match[2] or ".." in match[2]:
            refuse("sql.stages", "only a named stage can be permitted: write @DB.SCHEMA.STAGE/path, in simple letters")
        given = split_name(match[1])
        defaults = (split_name(self.defaults.database)[0], split_name(self.defaults.schema)[0])
        database, schema, stage = (*defaults[: 3 - len(given)], *given)
        if not any(pattern.covers((database, schema, stage)) for pattern in self.permissions.readable_stages):
            may = listed(self.permissions.stages)
            refuse("sql.stages", f"reading the stage {shown(match[1])} is not permitted: permitted stages are {may}")
        whole = canonical(database, schema, stage)
        if '"' in whole:
            refuse("sql.stages", "a stage whose name needs quotes cannot be read")
        this.set("this", f"@{whole}{match[2]}")
        for argument in ("format", "pattern"):
            value = table.args.get(argument)
            if value is not None and not (isinstance(value, exp.Literal) and value.args.get("is_string")):
                refuse("sql.stages", "FILE_FORMAT and PATTERN are strings")
        self.reads_stages = True
        self.deterministic = False


def covers_all(patterns: tuple[Pattern, ...], database: str, schema: str = "*") -> bool:
    """Return True if every table of the schema, or of the database, is within the patterns."""
    return any(pattern.covers((database, schema, "*")) for pattern in patterns)


def _is_empty(node: object) -> bool:
    return node == "" or (isinstance(node, exp.Identifier) and not node.this)


def _stored(node: object) -> str:
    if not isinstance(node, exp.Identifier):
        refuse("sql.tables", "a table has up to three names: write DB.SCHEMA.TABLE")
    try:
        return fold(node.this, quoted=bool(node.args.get("quoted")))
    except ValueError as error:
        refuse("sql.names", f"the name {shown(str(node.this))} is not permitted: {error}")
