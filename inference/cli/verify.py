"""`python -m inference verify`: is a version what it says it is, and no worse by its predictions of record?"""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Exit status where a check was not passed.
NOT_PASSED = 2
_CPU_SECONDS, _MEMORY_BYTES = 1800, 12 * 1024**3


def add_command(commands: Any, add_store: Callable[[ArgumentParser], None]) -> None:
    """Add it to `commands`; `add_store` adds its options."""
    verify = commands.add_parser("verify", help="look at a version before anybody approves it")
    verify.add_argument("model")
    verify.add_argument("--against", default="", metavar="VERSION", help="the version in use")
    verify.add_argument("--json", action="store_true")
    add_store(verify)
    verify.set_defaults(command=_verify)


def _confine() -> None:
    """Nothing that is loaded from here on writes a file, or takes more of the machine than a verification needs."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    if not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _verify(chosen: Namespace) -> int:
    _confine()
    from inference.evaluation.verification import verify
    from inference.runtime.signing import TRUST
    from inference.runtime.store import read_manifest

    version = chosen.version or read_manifest(chosen.model, chosen.store).version
    trust = os.environ.get(TRUST)
    found = verify(chosen.model, version, chosen.store, Path(trust) if trust else None, chosen.against)
    if chosen.json:
        json.dump(found.as_json(), sys.stdout)
    else:
        for check in found.checks:
            print(f"{'ok ' if check.passed else 'NOT'} {check.check}: {check.said}")
    return 0 if found.passed else NOT_PASSED
