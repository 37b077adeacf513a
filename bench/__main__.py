"""`bin/bench`: how fast the platform and its networks are.

`turnaround`: from a hospital's POST to the result, and where the time goes. `latency`: one image on one thread.
`serving`: TorchServe under several clients against a loop in one process. `decoding`: from files to pixels.
`fleet`: two model servers, of which one is killed or hangs.
`urgency`: an urgent ultrasound behind whole slides, and what it costs them.
`weight`: memory and processor time of the idle platform.
`scaling`: what a number of exams a year needs, from what one of each kind costs.
`scale`: the pages with very many studies, in a PostgreSQL of its own.
`ingest`: DICOM taken in, beside Orthanc on the same files.
`tiles`: a slide's tiles beside large_image, in an environment of its own.
`duplicates`: near-duplicates among very many made-up signatures.
"""

from __future__ import annotations

import argparse
import sys

from bench import (
    decoding,
    duplicates,
    fleet,
    ingest,
    latency,
    scale,
    scaling,
    serving,
    tiles,
    turnaround,
    urgency,
    weight,
)
from bench.platform import PlatformMissing
from inference.runtime.store import StoreError


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module, words in (
        ("turnaround", turnaround, "POST of one ultrasound image to its result"),
        ("latency", latency, "one image on one thread, in process"),
        ("decoding", decoding, "files to pixels: in process, in a child process, at the first call"),
        ("duplicates", duplicates, "the search for near-duplicates among very many signatures"),
        ("serving", serving, "TorchServe's throughput against a loop in one process"),
        ("fleet", fleet, "two model servers: both well, one killed, one hung"),
        ("urgency", urgency, "an urgent ultrasound behind ten whole slides"),
        ("scale", scale, "the pages with a hundred thousand studies, beside a thousand"),
        ("ingest", ingest, "DICOM taken in, beside Orthanc"),
        ("tiles", tiles, "a slide's tiles beside large_image"),
        ("scaling", scaling, "what a number of exams a year needs, from what one of each kind costs"),
        ("weight", weight, "memory and processor time of the idle platform, by process"),
    ):
        command = commands.add_parser(name, help=words, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    try:
        status: int = options.run(options)
    except (PlatformMissing, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
