"""Write to a file until the limit (MiB) or an error; print what was written (MiB) and the error's name."""

import errno
import json
import sys
from pathlib import Path

path, most = json.loads(sys.argv[1]), json.loads(sys.argv[2])
written, name = 0, ""
try:
    with Path(path).open("wb", buffering=0) as file:
        while written < most:
            file.write(b"\1" * 2**20)
            written += 1
except OSError as error:
    name = errno.errorcode[error.errno or 0]
json.dump({"written": written, "error": name}, sys.stdout)
