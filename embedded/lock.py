"""`python -m embedded.lock`: write what is installed for requirements*.in, with exact versions, as *.lock.

No index address and no hash: a hospital installs from its own mirror. `torch` carries no local version,
because which build a machine can have is its own matter. `--hashes` writes, of the locks as they are, what the images
install with `--require-hashes` (docker/hashes/); it asks the package index, and needs `uv`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from embedded.state import REPOSITORY

#: Builds that differ by machine: PyTorch for CUDA brings these, the CPU build does not.
MACHINE_SPECIFIC = re.compile(r"^(nvidia-|cuda-|triton$)")


#: Each set, and what it is for; what an earlier one has a later one does not repeat.
SETS = {
    "requirements": "what the platform runs on",
    "requirements-modelserver": "what TorchServe's host needs beside requirements.lock",
    "requirements-laboratory": "what training and evaluation need beside both",
    "requirements-dev": "what bin/test adds to all of them",
}


#: What the images install; PyTorch apart, whose builds and so hashes differ by machine.
HASHED = ("requirements", "requirements-modelserver", "requirements-laboratory")
HASHES = REPOSITORY / "docker" / "hashes"
_TORCH = re.compile(r"^torch==.*\n", re.MULTILINE)


def write_hashes() -> int:
    """The locks of the images, each package with the hashes of its files; 0."""
    for name in HASHED:
        lock = (REPOSITORY / f"{name}.lock").read_text()
        if torch := _TORCH.search(lock):
            (HASHES / "torch.txt").write_text(torch[0])
        options = "--no-deps --generate-hashes --python-version 3.11"
        options += " --no-header --no-annotate --quiet --no-emit-index-url"
        done = subprocess.run(
            ["uv", "pip", "compile", "-", *options.split()],
            input=_TORCH.sub("", lock),
            capture_output=True,
            text=True,
            check=True,
        )
        (HASHES / f"{name}.txt").write_text(done.stdout)
    return 0


def main() -> int:
    """Write every lock from what is installed; 0."""
    if "--hashes" in sys.argv[1:]:
        return write_hashes()
    known: set[str] = set()
    for name, purpose in SETS.items():
        pins = closure(REPOSITORY / f"{name}.in")
        write(
            REPOSITORY / f"{name}.lock", {key: pin for key, pin in pins.items() if key not in known}, purpose
        )
        known |= pins.keys()
    return 0


def closure(source: Path) -> dict[str, str]:
    """Canonical name → pinned line of everything that a requirements file leads to in this environment."""
    pins: dict[str, str] = {}
    visited: set[tuple[str, str]] = set()
    lines = (line.split("#")[0].strip() for line in source.read_text().splitlines())
    pending = [(Requirement(line), "") for line in lines if line]
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ["", *requirement.extras]:
            if (name, wanted) in visited or MACHINE_SPECIFIC.match(name):
                continue
            visited.add((name, wanted))
            distribution = metadata.distribution(name)
            pins[name] = f"{name}=={distribution.version.partition('+')[0]}"
            pending += [(Requirement(line), wanted) for line in distribution.requires or []]
    return pins


def write(target: Path, pins: dict[str, str], purpose: str) -> None:
    """Write one lock, its purpose above the pins."""
    lines = [f"# Made by `python -m embedded.lock`: {purpose}.", *(pins[name] for name in sorted(pins))]
    target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
