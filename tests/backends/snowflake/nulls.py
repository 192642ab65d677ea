"""Timestamps that are NULL: fakesnow sends them in a form that Snowflake's driver does not read."""

import base64
from typing import Any


def mend_nulls(data: dict[str, Any]) -> None:
    """Fill what is below a NULL timestamp, in place: the mask alone says that it is none."""
    kinds = [column["type"] for column in data.get("rowtype") or ()]
    if data.get("queryResultFormat") != "arrow" or not any(kind.startswith("timestamp") for kind in kinds):
        return
    if not data["rowsetBase64"]:
        return
    import pyarrow as pa  # noqa: PLC0415 - fakesnow's environment has it, the tests' need not

    with pa.ipc.open_stream(base64.b64decode(data["rowsetBase64"])) as reader:
        table = reader.read_all()
    columns = [_filled(table.column(at).combine_chunks()) for at in range(table.num_columns)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=table.schema))
    data["rowsetBase64"] = base64.b64encode(sink.getvalue()).decode()


def _filled(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    if not pa.types.is_struct(column.type):
        return column
    children = column.flatten()
    fields = [column.type.field(at) for at in range(column.type.num_fields)]
    filled = [pc.fill_null(child, 0) for child in children]
    return pa.StructArray.from_arrays(filled, fields=fields, mask=children[0].is_null())
