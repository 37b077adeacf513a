"""`bin/demo`: set up what is missing, then run the whole platform under its supervisor.

Addresses and secrets come from the environment; docs/operations.md lists them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from embedded import bootstrap
from embedded.package_managers import PYTHON
from embedded.state import REPOSITORY, StateError, StateFolder, port_in_environment, read_json


def main(arguments: list[str]) -> int:
    """Set up, then become the supervisor; the exit code where that fails."""
    parser = argparse.ArgumentParser(prog="bin/demo", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--reset", action="store_true", help="delete all state, then start over")
    parser.add_argument("--status", action="store_true", help="say what runs on this state folder, and end")
    options = parser.parse_args(arguments)
    try:
        state_path = Path(os.environ.get("CAD_STATE_DIR") or REPOSITORY / ".local")
        if options.status:
            return _status(state_path)
        port = port_in_environment()
        StateFolder(state_path)
        bootstrap.set_up()
        command = [str(PYTHON), "-m", "embedded.supervisor", str(state_path), str(port)]
        command += ["--reset"] if options.reset else []
        # The supervisor takes this process over, so that it gets the terminal's and systemd's signals itself.
        os.execv(command[0], command)  # noqa: S606
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _status(path: Path) -> int:
    processes = read_json(path / "processes.json")
    if not processes:
        print(f"Nothing runs on {path}.")
        return 1
    for name, known in processes.items():
        state = "running" if Path(f"/proc/{known['pid']}").exists() else "gone"
        print(f"{name:<14} {known['pid']:>8} {state}")
    url = read_json(path / "demo.json").get("url")
    if url:
        print(json.dumps({"url": url}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
