"""`python -m embedded.model_host_probe`: whether the TorchServe of this container answers, for orchestrators.

With its own token: to whoever brings none it says 400, to `/ping` too.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from embedded.bootstrap import ARCHIVES
from embedded.model_host import PORTS, ModelHost, state_folder
from embedded.torchserve import current_token


def main() -> int:
    """0 where the answer is 200."""
    token = current_token(ModelHost(state_folder(), ARCHIVES).token_file)
    if token is None:
        return 1
    url = f"http://127.0.0.1:{PORTS['inference']}/ping"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    # A proxy of the environment is for other hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
