"""Look for a text wherever this container might find it that is not its own: other processes, and files.

Arguments: the text; directories to look through. Prints `{"processes": [command lines], "found": [places]}`.
"""

import json
import os
import sys
from pathlib import Path

LARGEST_FILE, LARGEST_REGION, MOST_PROCESSES = 1 << 20, 1 << 22, 4_096
text, roots = (json.loads(each) for each in sys.argv[1:])
wanted = text.encode()


def content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError:
        return b""


def is_in_memory(process: Path) -> bool:
    """Return whether the text is in what can be read of a process's memory."""
    try:
        with (process / "mem").open("rb", 0) as memory:
            regions = content(process / "maps").decode().splitlines()
            return any(wanted in region(memory, *line.split(" ")[:2]) for line in regions)
    except OSError:
        return False


def region(memory, place: str, permissions: str) -> bytes:  # type: ignore[no-untyped-def] # a raw file
    start, end = (int(each, 16) for each in place.split("-"))
    if not permissions.startswith("r") or end - start > LARGEST_REGION:
        return b""
    try:
        memory.seek(start)
        return memory.read(end - start) or b""
    except (OSError, ValueError, OverflowError):
        return b""


def beneath(root: str) -> list[str]:
    """Return the files beneath a directory that hold the text."""
    found = []
    for place, _, names in os.walk(root, onerror=lambda _: None):
        paths = [Path(place) / name for name in names]
        found += [str(path) for path in paths if path.is_file() and wanted in content(path)]
    return found


processes, found = [], []
# By number: what a listing leaves out may be there all the same.
for number in range(1, MOST_PROCESSES):
    process = Path("/proc") / str(number)
    if number == os.getpid() or not process.is_dir():
        continue
    processes.append(content(process / "cmdline").replace(b"\0", b" ").decode(errors="replace"))
    found += [str(process / name) for name in ("environ", "cmdline") if wanted in content(process / name)]
    found += [str(process / "mem")] if is_in_memory(process) else []
    found += [path for root in roots for path in beneath(f"{process}/root{root}")]
for root in roots:
    found += beneath(root)
sys.stdout.write(json.dumps({"processes": processes, "found": found}))
