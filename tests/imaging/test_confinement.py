"""A decoder that a file has taken over reaches no network, no other process and no file to write to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.state import REPOSITORY
from imaging import confinement, fork_server, sandbox

OFFERED = confinement.offered()
needs_seccomp = pytest.mark.skipif(not OFFERED.seccomp, reason="this kernel offers no seccomp")
needs_landlock = pytest.mark.skipif(not OFFERED.landlock, reason="this kernel offers no Landlock")


def attempt(what: str, *arguments: str) -> str:
    """What comes of a line of Python in a confined process."""
    program = (
        "import ctypes, os, signal, socket, subprocess, sys\nfrom imaging.confinement import confine\nconfine()\n"
        f"try:\n    {what}\n    print('done')\nexcept OSError as error:\n    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, "SECRET": "of the platform"},  # pragma: allowlist secret
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.strip() or done.stderr


@needs_seccomp
@pytest.mark.parametrize(
    "what",
    [
        "socket.socket()",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_INET6)",
        "socket.socket(socket.AF_UNIX)",
        "os.execv('/bin/true', ['/bin/true'])",
        "os.kill(os.getppid(), 0)",
        "os.unshare(0) if hasattr(os, 'unshare') else exec('raise PermissionError')",
        "os.chroot('/')",
        "subprocess.run(['/bin/true'], check=True)",
        "os.pidfd_open(os.getppid())",
    ],
)
def test_calls_that_no_decoder_needs_are_refused(what: str) -> None:
    assert attempt(what) == "PermissionError"


@needs_landlock
@pytest.mark.parametrize(
    "what",
    [
        "open(sys.argv[1] + '/new', 'w')",
        "open(sys.argv[1] + '/there', 'a')",
        "os.truncate(sys.argv[1] + '/there', 0)",
        "os.remove(sys.argv[1] + '/there')",
        "os.mkdir(sys.argv[1] + '/folder')",
        "os.symlink('/', sys.argv[1] + '/link')",
        "os.rename(sys.argv[1] + '/there', sys.argv[1] + '/gone')",
        "open('/proc/%d/environ' % os.getppid()).read()",
        "open('/proc/1/cmdline').read()",
    ],
)
def test_nothing_is_written_and_no_other_process_is_read(what: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("as it was")
    assert attempt(what, str(tmp_path)) == "PermissionError"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "as it was"


@pytest.mark.parametrize(
    "what",
    [
        "open(sys.argv[1]).read()",
        "open('/proc/self/statm').read()",
        "__import__('threading').Thread(target=print).start()",
        "os.memfd_create('result')",
        "ctypes.CDLL('libm.so.6')",
    ],
)
def test_what_decoders_do_goes_on(what: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_text("pixels")
    assert attempt(what, str(tmp_path / "image")).splitlines()[-1] == "done"


def test_what_is_missing_is_named() -> None:
    assert confinement.Offered(False, 0).missing == ["seccomp", "Landlock"]
    assert confinement.Offered(True, 4).missing == []


@needs_seccomp
def test_each_decoding_process_is_confined(tmp_path: Path) -> None:
    """As the kernel says of a child that has just decoded."""
    import numpy as np
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    own = sandbox.Sandbox() if hasattr(sandbox, "Sandbox") else None
    del own
    sandbox.describe(tmp_path / "a.png")
    children = [
        path.parent
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"imaging.fork_server" in _read(path) and b"Seccomp:\t2" in _read(path.parent / "status")
    ]
    assert children
    assert fork_server.JOBS_PER_CHILD > 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(not OFFERED.own_user, reason="only root becomes another user")
class TestUserOfTheirOwn:
    def test_it_is_nobody_else_and_stays_so(self) -> None:
        own = f"({confinement.OWN_USER}, {confinement.OWN_USER}, {confinement.OWN_USER})"
        assert attempt("print(os.getresuid(), os.getresgid(), os.getgroups())") == f"{own} {own} []\ndone"
        for what in ("os.setuid(0)", "os.setgid(0)", "os.setgroups([0])", "os.setresuid(0, 0, 0)"):
            assert attempt(what) == "PermissionError", what

    def test_of_roots_powers_it_keeps_reading(self, tmp_path: Path) -> None:
        private = tmp_path / "private"
        private.write_text("bytes")
        private.chmod(0o400)
        assert attempt("print(open(sys.argv[1]).read())", str(private)) == "bytes\ndone"
        assert attempt("print(open('/proc/self/status').read().split('CapEff:')[1].split()[0])") == (
            f"{1 << 2:016x}\ndone"
        )
        for what in ("os.chown(sys.argv[1], 0, 0)", "os.chmod(sys.argv[1], 0o777)", "os.nice(-1)"):
            assert attempt(what, str(private)) == "PermissionError", what


def test_a_platform_that_is_not_root_is_told() -> None:
    assert confinement.Offered(True, 4, own_user=False).missing == ["user of their own (not started as root)"]
    if os.geteuid() != 0:
        assert not OFFERED.own_user
