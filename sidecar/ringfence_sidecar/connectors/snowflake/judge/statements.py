"""The kinds of statement: what each needs, and what it writes to."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge.names import Defaults, canonical, fold, split_name
from ringfence_sidecar.connectors.snowflake.judge.permissions import Permissions
from ringfence_sidecar.connectors.snowflake.judge.refusal import listed, refuse, shown
from ringfence_sidecar.connectors.snowflake.judge.tables import Tables, covers_all

_QUERIES = (exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery)
_SHOWN = frozenset({"TABLES", "VIEWS", "OBJECTS", "COLUMNS", "SCHEMAS", "PRIMARY KEYS", "UNIQUE KEYS", "IMPORTED KEYS"})
_PROPERTIES = (exp.SchemaCommentProperty, exp.TransientProperty, exp.SecureProperty)
_ACTIONS = (exp.ColumnDef, exp.AlterColumn, exp.RenameColumn, exp.Drop)


@dataclass(frozen=True, slots=True)
class Statement:
    """A tree's kind, and what comes with it."""

    kind: str
    needs: tuple[str, ...]
    """The kinds that must be permitted."""
    targets: tuple[exp.Expression, ...] = ()
    """Table nodes that are written to."""
    named: tuple[exp.Expression, ...] = ()
    """Table nodes that are only talked about, by SHOW and DESCRIBE."""
    reads_target: bool = False
    """True if the target's rows decide what is written."""


def read_statement(tree: exp.Expression) -> Statement:
    """Return what the tree is. Refuses kinds that can never be permitted."""
    if isinstance(tree, _QUERIES):
        return Statement("Select", ("Select",))
    reader = _READERS.get(type(tree).__name__)
    if reader is None:
        word = shown(str(tree.this)).upper() + " of this kind" if isinstance(tree, exp.Command) else "this statement"
        refuse("sql.statements", f"{word} is never permitted: permitted kinds are those of the Connector's list")
    return reader(tree)


def check_kinds(needs: tuple[str, ...], permissions: Permissions) -> None:
    """Refuse if a kind is not among the permitted ones."""
    for kind in needs:
        if kind not in permissions.statements:
            refuse("sql.statements", f"{kind} is not permitted: permitted are {listed(permissions.statements)}")


def _insert(tree: exp.Expression) -> Statement:
    needs = ("Insert", "Truncate") if tree.args.get("overwrite") else ("Insert",)
    if tree.args.get("expression") is None:
        refuse("sql.constructs", "INSERT takes VALUES or a SELECT")
    return Statement("Insert", needs, (_target(tree.this),))


def _update(tree: exp.Expression) -> Statement:
    return Statement("Update", ("Update",), (_target(tree.this),), reads_target=True)


def _delete(tree: exp.Expression) -> Statement:
    return Statement("Delete", ("Delete",), (_target(tree.this),), reads_target=True)


def _merge(tree: exp.Expression) -> Statement:
    needs = ["Merge"]
    for when in tree.args["whens"].expressions:
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            needs.append("Update")
        elif isinstance(then, exp.Insert):
            needs.append("Insert")
        elif isinstance(then, exp.Var) and then.this.upper() == "DELETE":
            needs.append("Delete")
        else:
            refuse("sql.constructs", "MERGE has clauses with UPDATE SET, DELETE and INSERT: write one of these")
    return Statement("Merge", tuple(dict.fromkeys(needs)), (_target(tree.this),), reads_target=True)


def _truncate(tree: exp.Expression) -> Statement:
    return Statement("Truncate", ("Truncate",), tuple(_target(table) for table in tree.expressions))


def _create(tree: exp.Expression) -> Statement:
    kind = {"TABLE": "CreateTable", "VIEW": "CreateView"}.get(tree.args["kind"])
    if kind is None:
        refuse("sql.statements", "only tables and views can be created: CREATE TABLE or CREATE VIEW")
    properties = tree.args.get("properties")
    for item in properties.expressions if properties is not None else ():
        if not isinstance(item, _PROPERTIES):
            refuse(
                "sql.constructs",
                f"{_spelled(item)} is not permitted in CREATE: create a plain "
                "table or view, with COMMENT, TRANSIENT or SECURE at most",
            )
    body = tree.args.get("expression")
    if body is not None and not isinstance(body, _QUERIES):
        refuse("sql.constructs", "after AS stands a SELECT")
    needs = (kind, kind.replace("Create", "Drop")) if tree.args.get("replace") else (kind,)
    return Statement(kind, needs, (_target(tree.this),))


def _alter(tree: exp.Expression) -> Statement:
    if tree.args["kind"] != "TABLE":
        refuse("sql.statements", "only tables can be altered: ALTER TABLE")
    for action in tree.args.get("actions") or ():
        column_dropped = isinstance(action, exp.Drop) and action.args.get("kind") == "COLUMN"
        if not isinstance(action, _ACTIONS) or (isinstance(action, exp.Drop) and not column_dropped):
            refuse("sql.constructs", "ALTER TABLE may add, alter, rename and drop columns, and nothing else")
    return Statement("AlterTable", ("AlterTable",), (_target(tree.this),))


def _drop(tree: exp.Expression) -> Statement:
    kind = {"TABLE": "DropTable", "VIEW": "DropView"}.get(str(tree.args.get("kind")))
    if kind is None:
        refuse("sql.statements", "only tables and views can be dropped: DROP TABLE or DROP VIEW")
    return Statement(kind, (kind,), tuple(_target(table) for table in tree.args.get("tables") or ()))


def _show(tree: exp.Expression) -> Statement:
    if tree.name.upper() not in _SHOWN:
        refuse("sql.statements", f"SHOW {shown(tree.name)} is never permitted: SHOW TABLES, VIEWS, COLUMNS or SCHEMAS")
    scope = tree.args.get("scope")
    return Statement("Show", ("Show",), named=(scope,) if scope is not None else ())


def _describe(tree: exp.Expression) -> Statement:
    if not isinstance(tree.this, exp.Table) or tree.args.get("kind") not in (None, "TABLE", "VIEW"):
        refuse("sql.statements", "only tables and views can be described: DESCRIBE TABLE or DESCRIBE VIEW")
    tree.set("kind", tree.args.get("kind") or "TABLE")
    return Statement("Describe", ("Describe",), named=(tree.this,))


def _spelled(item: exp.Expression) -> str:
    return type(item).__name__.removesuffix("Property") or "a property"


_READERS: dict[str, Callable[[exp.Expression], Statement]] = {
    "Alter": _alter,
    "Create": _create,
    "Delete": _delete,
    "Describe": _describe,
    "Drop": _drop,
    "Insert": _insert,
    "Merge": _merge,
    "Show": _show,
    "TruncateTable": _truncate,
    "Update": _update,
}


def _target(node: object) -> exp.Expression:
    table = node.this if isinstance(node, exp.Schema) else node
    if not isinstance(table, exp.Table):
        refuse("sql.constructs", "what is written to is a table: write DB.SCHEMA.TABLE")
    return table


def judge_named(tree: exp.Expression, tables: Tables, defaults: Defaults) -> None:
    """Judge what a SHOW or DESCRIBE talks about; a scope that is not given becomes the defaults'."""
    if isinstance(tree, exp.Describe):
        tables.read(tables.resolve(tree.this))
        return
    scope, kind = tree.args.get("scope"), str(tree.args.get("scope_kind") or "")
    if kind not in ("", "TABLE", "SCHEMA", "DATABASE"):
        refuse("sql.tables", "SHOW is permitted IN TABLE, IN SCHEMA and IN DATABASE: name one of these")
    if kind == "TABLE" and scope is not None:
        tables.read(tables.resolve(scope))
        return
    if kind == "TABLE":
        refuse("sql.tables", "SHOW … IN TABLE needs the table's name")
    database, schema = split_name(defaults.database)[0], split_name(defaults.schema)[0]
    if kind == "DATABASE" or (not kind and tree.name.upper() == "SCHEMAS"):
        _judge_place(tree, tables, (_name(scope) if scope is not None else database,))
        return
    if scope is not None:
        given = scope.args.get("db")
        database, schema = _name(given) if given is not None else database, _name(scope)
        if scope.args.get("catalog") is not None:
            refuse("sql.tables", "a schema has up to two names: write DB.SCHEMA")
    _judge_place(tree, tables, (database, schema))


def _judge_place(tree: exp.Expression, tables: Tables, place: tuple[str, ...]) -> None:
    if not covers_all(tables.permissions.readable, *place):
        may = listed(tables.permissions.tables)
        refuse(
            "sql.tables",
            f"SHOW in {shown(canonical(*place))} needs all its tables to be permitted: permitted tables are {may}",
        )
    parts = [exp.to_identifier(part, quoted=True) for part in place]
    tree.set("scope", exp.Table(this=parts[-1], db=parts[0] if len(parts) > 1 else None))
    tree.set("scope_kind", "SCHEMA" if len(parts) > 1 else "DATABASE")


def _name(node: object) -> str:
    identifier = node.this if isinstance(node, exp.Table) else node
    if not isinstance(identifier, exp.Identifier):
        refuse("sql.tables", "SHOW is permitted IN TABLE, IN SCHEMA and IN DATABASE: name one of these")
    try:
        return fold(identifier.this, quoted=bool(identifier.args.get("quoted")))
    except ValueError as error:
        refuse("sql.names", f"the name {shown(str(identifier.this))} is not permitted: {error}")
