"""`python -m embedded.devstack --state DIR`: a private PostgreSQL and Valkey for work on the platform.

Prints the exports for another terminal, migrates nothing, and runs until Ctrl-C.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

from embedded.postgres import OWNER, Postgres
from embedded.state import StateError, StateFolder, write_private
from embedded.valkey import Valkey


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for everything that it writes")
    state = StateFolder(parser.parse_args().state)
    try:
        with state.locked():
            _run(state)
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(state: StateFolder) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    postgres, valkey = Postgres(state), Valkey(state)
    children = []
    try:
        children += [postgres.start(), valkey.start()]
        exports = {
            "DATABASE_URL": postgres.url(),
            "CAD_DATABASE_OWNER_URL": postgres.url(OWNER),
            "CAD_BROKER_URL": valkey.url(),
            "CAD_STATE_DIR": str(state.path),
            "CAD_SECRET_KEY": state.secret("secret_key"),
        }
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())
        print(text, end="", flush=True)
        write_private(state.path / "env.sh", text)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        for child in reversed(children):
            child.stop()


if __name__ == "__main__":
    sys.exit(main())
