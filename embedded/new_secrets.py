"""`python -m embedded.new_secrets EXAMPLE TARGET`: a copy of an example of settings with its secrets filled in.

Every setting that stands there empty and is a password or a key gets one of its own. Standard library only.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

_EMPTY = re.compile(r"^(\w+(?:PASSWORD|SECRET_KEY))=\s*$", re.MULTILINE)
_BYTES = 48


def filled_in(example: str) -> str:
    """The text with a new secret for each empty one; letters and digits only, since they stand in addresses."""
    return _EMPTY.sub(lambda setting: f"{setting[1]}={secrets.token_hex(_BYTES)}", example)


def main(arguments: list[str]) -> int:
    """Write it, readable by its owner alone; 1 where it is there already."""
    example, target = map(Path, arguments)
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} is there already: what is encrypted or signed with its secrets would be lost.")
        return 1
    with os.fdopen(handle, "w") as file:
        file.write(filled_in(example.read_text()))
    print(f"{target}: secrets filled in. Now say the host names, and keep a copy apart from the backups.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
