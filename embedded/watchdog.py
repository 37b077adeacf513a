"""Ends what a killed supervisor leaves behind.

The supervisor holds the other end of standard input and writes `+GROUP START` and `-GROUP` as process groups
come and go. When the pipe ends without `done`, the supervisor was killed: every group left gets a few seconds
to end by itself (each leader was sent its stop signal by the kernel) and is then killed.
"""

from __future__ import annotations

import sys
import time

from embedded.process import end_group, group_alive, start_time

GRACE_SECONDS = 6.0


def main() -> int:
    """Follow the supervisor's words until they end; 0."""
    groups: dict[int, int] = {}
    for line in sys.stdin:
        word = line.strip()
        if word == "done":
            return 0
        group, _, started = word[1:].partition(" ")
        if word.startswith("+"):
            groups[int(group)] = int(started)
        else:
            groups.pop(int(group), None)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(map(group_alive, groups)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for group, started in groups.items():
        # A number used again belongs to someone else.
        if start_time(group) in {started, None}:
            end_group(group)
    return 0


if __name__ == "__main__":
    sys.exit(main())
