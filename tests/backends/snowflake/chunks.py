"""Large results in chunks, as Snowflake hands them out: the answer holds the first rows and says where the rest is."""

import base64
import itertools
from typing import Any

_ids = itertools.count(1)


class Chunks:
    """Chunks of results, kept until the program ends."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def cut(self, data: dict[str, Any], base: str, rows: int) -> None:
        """Cut the answer's rows after `rows`, and each chunk too; `base` is the URL below which they are had."""
        import pyarrow as pa  # noqa: PLC0415 - fakesnow's environment has it, the tests' need not

        if data.get("queryResultFormat") != "arrow" or data.get("total", 0) <= rows or not data["rowsetBase64"]:
            return
        with pa.ipc.open_stream(base64.b64decode(data["rowsetBase64"])) as reader:
            table = reader.read_all()
        data["rowsetBase64"] = base64.b64encode(_stream(table.slice(0, rows))).decode()
        result = next(_ids)
        data["chunks"], data["chunkHeaders"] = [], {"x-test-chunk": "yes"}
        for number, start in enumerate(range(rows, table.num_rows, rows)):
            part = table.slice(start, rows)
            body = _stream(part)
            self._kept[f"{result}/{number}"] = body
            said = {"rowCount": part.num_rows, "uncompressedSize": len(body), "compressedSize": len(body)}
            data["chunks"].append({"url": f"{base}/chunks/{result}/{number}", **said})

    def get(self, path: str) -> bytes | None:
        """Return the chunk at `/chunks/…`, or None."""
        return self._kept.get(path.removeprefix("/chunks/"))

    def drop(self) -> None:
        """Forget all chunks, as Snowflake does after some hours."""
        self._kept.clear()


def _stream(table: Any) -> bytes:
    import pyarrow as pa  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=8192)
    return bytes(sink.getvalue())
