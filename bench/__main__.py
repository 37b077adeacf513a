"""`bin/bench turnaround`: from a hospital's POST to the result, and where the time goes."""

from __future__ import annotations

import argparse
import sys

from bench.platform import PlatformMissing
from bench.turnaround import add_arguments, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_arguments(commands.add_parser("turnaround", help="POST of one ultrasound image to its result"))
    try:
        return run(parser.parse_args())
    except PlatformMissing as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
