"""The row cap, inside the statement, so that the warehouse does not work for rows that nobody gets."""

from sqlglot import exp

from ringfence_sidecar.connectors.snowflake.judge.refusal import refuse


def push_cap(tree: exp.Expression, rows: int) -> None:
    """Let the query answer one row more than `rows` at most: who gets that one knows that it was cut."""
    given = _given(tree.args.get("limit"))
    most = rows + 1 if given is None else min(given, rows + 1)
    tree.set("limit", exp.Limit(expression=exp.Literal.number(most)))


def _given(limit: exp.Expression | None) -> int | None:
    if limit is None:
        return None
    count = limit.args.get("count") if isinstance(limit, exp.Fetch) else limit.args.get("expression")
    options = limit.args.get("limit_options")
    if options is not None and any(options.args.get(name) for name in ("percent", "with_ties")):
        refuse("sql.limit", "LIMIT and FETCH count rows: leave PERCENT and WITH TIES out")
    if isinstance(count, exp.Null) or (isinstance(count, exp.Literal) and count.is_string and not count.this):
        return None
    if not isinstance(count, exp.Literal) or not (count.this.isascii() and count.this.isdecimal()):
        refuse("sql.limit", "the outermost LIMIT is a number: write it as digits, or leave it to the call's `limit`")
    return int(count.this)
