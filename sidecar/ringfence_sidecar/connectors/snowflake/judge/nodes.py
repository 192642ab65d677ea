"""The nodes of a tree that may be in a statement, and what each may hold. All others are refused.

An argument that is not here (a clause, a flag, a string of the parser's) refuses the statement, so that neither a new
kind of node nor a new clause of an old one opens anything.
"""

_SHAPES = """
Select: with_ expressions distinct from_ laterals joins connect where group having qualify windows order limit offset
Union: with_ this expression distinct by_name order limit offset
Except: with_ this expression distinct by_name order limit offset
Intersect: with_ this expression distinct by_name order limit offset
Subquery: with_ this alias joins pivots order limit offset sample
With: expressions recursive
CTE: this alias
Distinct: expressions
From: this
Where: this
Having: this
Qualify: this
Group: expressions grouping_sets cube rollup all
GroupingSets: expressions
Cube: expressions
Rollup: expressions
Connect: start connect nocycle
Prior: this
Order: this expressions
Ordered: this desc nulls_first
Limit: expression
Offset: expression
Fetch: direction count limit_options
LimitOptions: rows
Join: this on side kind using method match_condition
Lateral: this outer alias
Table: this db catalog alias joins pivots when changes sample format pattern
TableFromRows: this alias joins pivots sample
TableAlias: this columns
TableSample: method percent rows size seed
HistoricalData: this kind expression
Changes: information at_before end
Values: expressions alias
Pivot: expressions alias fields unpivot include_nulls default_on_null
PivotAny: this
PivotAlias: this alias
UnpivotColumns: this expressions

Alias: this alias
Column: this table db catalog join_mark
Dot: this expression
Identifier: this quoted
Star: except_ replace rename ilike
Placeholder: this
Parameter: this
Var: this
Literal: this is_string
RawString: this
HexString: this is_integer
Boolean: this
Null:
Tuple: expressions
Paren: this
Window: this partition_by order spec alias over
WindowSpec: kind start start_side end end_side exclude
WithinGroup: this expression
IgnoreNulls: this
RespectNulls: this
Interval: this unit
Bracket: this expressions offset safe
JSONPath: expressions
JSONPathRoot:
JSONPathKey: this quoted
JSONPathSubscript: this
JSONKeyValue: this expression
PropertyEQ: this expression
Kwarg: this expression
Lambda: this expressions
DataType: this expressions nested
DataTypeParam: this expression
Any: this
All: this

Insert: this expression overwrite
Update: this expressions from_ where
Delete: this using where
Merge: this using on whens
Whens: expressions
When: matched condition then
TruncateTable: expressions exists
Schema: this expressions
Create: this kind expression exists properties replace
Properties: expressions
SchemaCommentProperty: this
TransientProperty:
SecureProperty:
ColumnDef: this kind constraints exists
ColumnConstraint: kind
NotNullColumnConstraint: allow_null
DefaultColumnConstraint: this
CommentColumnConstraint: this
PrimaryKeyColumnConstraint:
UniqueColumnConstraint: this
AutoIncrementColumnConstraint:
GeneratedAsIdentityColumnConstraint: start increment
PrimaryKey: expressions include
IndexParameters:
Alter: this kind actions exists
AlterColumn: this dtype default drop comment allow_null exists
RenameColumn: this to exists
Drop: kind tables exists
Show: this terse like scope scope_kind starts_with limit from_
Describe: this kind
"""

_OPERATORS = """
Add Sub Mul Div IntDiv Mod Neg Not BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift DPipe
EQ NEQ NullSafeEQ NullSafeNEQ GT GTE LT LTE Is Like ILike Escape
"""
"""Their operands are nodes; their flags only tell the parser's dialects apart."""

_SHAPES_OF_OPERATORS = """
In: this expressions query
Between: this low high
"""


def _shapes(text: str) -> dict[str, frozenset[str]]:
    rows = (line.partition(":") for line in text.strip().splitlines() if line)
    return {name: frozenset(arguments.split()) for name, _, arguments in rows}


SHAPES = _shapes(_SHAPES) | _shapes(_SHAPES_OF_OPERATORS)
"""Class → the arguments that may be there."""

OPERATORS = frozenset(_OPERATORS.split())
"""Classes of which every argument may be there, if it is a node or a flag."""

DERIVED = frozenset(
    {
        ("Pivot", "columns"),
        ("Pivot", "identify_pivot_strings"),
        ("Pivot", "prefixed_pivot_columns"),
        ("Pivot", "pivot_column_naming"),
        ("Pivot", "value_columns_first"),
    }
)
"""What the parser works out from the rest; no text comes of it."""

STATEMENTS = frozenset(
    {"Insert", "Update", "Delete", "Merge", "TruncateTable", "Create", "Alter", "Drop", "Show", "Describe"}
)
"""They are the statement itself; inside another one they are refused, but for the clauses of MERGE."""

TEXTS = frozenset(
    {
        ("Identifier", "this"),
        ("Literal", "this"),
        ("RawString", "this"),
        ("HexString", "this"),
        ("JSONPathKey", "this"),
        ("Placeholder", "this"),
        ("Var", "this"),
        ("Anonymous", "this"),
    }
)
"""Strings of the caller's, each checked by a rule of its own; other strings are the parser's keywords."""

_TYPES = """
ARRAY BIGINT BINARY BOOLEAN CHAR DATE DATETIME DECFLOAT DECIMAL DOUBLE FLOAT GEOGRAPHY GEOMETRY INT MAP NCHAR NVARCHAR
OBJECT SMALLINT STRUCT TEXT TIME TIMESTAMP TIMESTAMPLTZ TIMESTAMPNTZ TIMESTAMPTZ TINYINT VARBINARY VARCHAR VARIANT
VECTOR
"""
TYPES = frozenset(_TYPES.split())
"""Data types; a FILE is a door to a stage."""
