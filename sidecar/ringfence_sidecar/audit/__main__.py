"""`python -m ringfence_sidecar.audit verify FILE…`: checks audit logs; several files are one log, oldest first.

Exit codes: 0 nothing is missing in between, edited or moved; 1 something is; 2 the files cannot be read, or have no
audit line.

What was cut off at the very end leaves no gap: a chain without its `end` line is reported, and is an error with
`--complete`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ringfence_sidecar.audit.verification import BrokenChainError, Verification

OK, BROKEN, UNREADABLE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ringfence_sidecar.audit", description="Checks audit logs.")
    verify = parser.add_subparsers(required=True).add_parser("verify", help="check that no line is edited or missing")
    verify.add_argument("files", nargs="+", type=Path, metavar="FILE", help="oldest first; - is standard input")
    verify.add_argument("--complete", action="store_true", help="fail if a chain has no end line")
    options = parser.parse_args(arguments)
    verification = Verification()
    try:
        verification.read(_lines(options.files))
    except OSError as error:
        return _say(UNREADABLE, f"cannot read {error.filename}: {error.strerror}")
    except BrokenChainError as error:
        return _say(BROKEN, f"broken: {error}")
    return _report(verification, complete=options.complete)


def _report(verification: Verification, *, complete: bool) -> int:
    if not verification.chains:
        return _say(UNREADABLE, "there is no audit line: is this the sidecar's standard output?")
    for name, found in verification.chains.items():
        end = "ended in order" if found.ended else "no end line: still running, killed, or cut off after this"
        again = f", {found.duplicates} exported twice" if found.duplicates else ""
        _say(OK, f"chain {name}: 1 to {found.last}{again}; {end}")
    if complete and not all(found.ended for found in verification.chains.values()):
        return _say(BROKEN, "broken: a chain has no end line")
    lines = sum(found.last for found in verification.chains.values())
    return _say(OK, f"ok: {lines} lines in {len(verification.chains)} chains; other lines: {verification.others}")


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        if str(path) == "-":
            yield from sys.stdin.buffer
        else:
            with path.open("rb") as file:
                yield from file


def _say(code: int, sentence: str) -> int:
    (sys.stderr if code else sys.stdout).write(sentence + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
