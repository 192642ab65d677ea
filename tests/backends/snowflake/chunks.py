"""Large results in chunks, as Snowflake hands them out: the answer holds the first rows and says where the rest is."""

import base64
import itertools
from typing import Any

_ids = itertools.count(1)


class Chunks:
    """Chunks of results, kept until the program ends."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def cut(self, data: dict[str, Any], base: str, first: int, largest: int) -> None:
        """Cut the answer's rows: about `first` bytes stay in it, and each chunk is twice the one before, to `largest`.

        `base` is the URL below which the chunks are had.
        """
        import pyarrow as pa  # noqa: PLC0415 - fakesnow's environment has it, the tests' need not

        if data.get("queryResultFormat") != "arrow" or len(data["rowsetBase64"]) <= first * 2:
            return
        with pa.ipc.open_stream(base64.b64decode(data["rowsetBase64"])) as reader:
            table = reader.read_all()
        result, row_bytes, start = next(_ids), max(1, table.nbytes // table.num_rows), 0
        data["chunks"], data["chunkHeaders"] = [], {"x-test-chunk": "yes"}
        for number in itertools.count():
            rows = max(1, min(first << number, largest) // row_bytes)
            part = table.slice(start, rows)
            start += rows
            if not part.num_rows:
                break
            body = _stream(part)
            if not number:
                data["rowsetBase64"] = base64.b64encode(body).decode()
                continue
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
