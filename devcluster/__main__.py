"""The command line: python3 -m devcluster up|down|status|env|load."""

import argparse
import sys

from devcluster.cluster import cluster_name
from devcluster.errors import DevclusterError
from devcluster.up import up


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m devcluster")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("up")
    one.add_argument("--control-plane", action="store_true")
    options = parser.parse_args()
    try:
        up(cluster_name(), control_plane_only=options.control_plane)
    except DevclusterError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
