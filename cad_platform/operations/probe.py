"""`python -m cad_platform.operations.probe PATH`: whether the web server of this container answers, for orchestrators.

Under a name of its own, since others are answered 400. Standard library only: it runs every few seconds.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request


def main(path: str) -> int:
    """0 where the answer is 200."""
    names = (os.environ.get("CAD_ALLOWED_HOSTS") or "").split(",")
    name = names[0].strip().removeprefix("*").removeprefix(".") or "localhost"
    port = os.environ.get("CAD_PORT", "8000")
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": name})
    # A proxy of the environment is for other hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
