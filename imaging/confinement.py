"""What a decoding process is kept from, beyond its limits: the network, other programs and processes, and writing.

Seccomp refuses the system calls that no decoder needs (new sockets, other programs, other processes' memory). Landlock
leaves of the file system reading, and not of other processes' entries in /proc, where their environments and so the
platform's secrets are. Each is used where the kernel offers it (Linux 5.13, 64 bit); `offered` says what it does.
Where the process begins as root it becomes a user that owns nothing; of root's powers it keeps the one to read files,
which Landlock bounds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

_PR_SET_NO_NEW_PRIVS, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 38, 21, 22, 2
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_libc = ctypes.CDLL(None, use_errno=True)

#: Machine → its audit architecture and the numbers of what is refused.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {
    # name: (x86_64, aarch64)
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
#: Calls of the 32-bit variant on x86_64 have this bit.
_X32_BIT = 0x40000000
_LD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000

_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
#: File rights that exist from each version of Landlock on.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS, _SCOPES = 0b11, 0b11  # TCP (from 4), abstract sockets and signals (from 6)


#: The user and group of decoders: nobody's else, and in no list of users.
OWN_USER = 64_019
_PR_SET_KEEPCAPS, _CAPABILITIES_VERSION = 8, 0x20080522
_READ_ANY_FILE, _SET_GROUP, _SET_USER = 1 << 2, 1 << 6, 1 << 7


@dataclass(frozen=True)
class Offered:
    """What this kernel can be asked for; `landlock` is its version, 0 for none. `own_user` says whether a process may
    become another user: only one that begins as root."""

    seccomp: bool
    landlock: int
    own_user: bool = True

    @property
    def missing(self) -> list[str]:
        """In words, for a log."""
        has = {
            "seccomp": self.seccomp,
            "Landlock": self.landlock > 0,
            "user of their own (not started as root)": self.own_user,
        }
        return [name for name, is_there in has.items() if not is_there]


def offered() -> Offered:
    """Asks the kernel; nothing is changed."""
    known = platform.machine() in _ARCHITECTURES
    seccomp = known and _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    version = int(_libc.syscall(_CREATE, None, 0, 1)) if known else 0
    return Offered(seccomp, max(0, version), _may_become_another())


def confine() -> Offered:
    """Confine this process, and what it starts, for good. What the kernel does not offer is left out."""
    offer = offered()
    if offer.own_user:
        _become_own_user()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if offer.landlock:
        _read_only(offer.landlock)
    if offer.seccomp:
        _refuse_calls()
    return offer


def _may_become_another() -> bool:
    needed = _READ_ANY_FILE | _SET_GROUP | _SET_USER
    held = ctypes.create_string_buffer(24)
    if os.geteuid() != 0 or _libc.capget(struct.pack("=Ii", _CAPABILITIES_VERSION, 0), held):
        return False
    return bool(struct.unpack_from("=I", held.raw)[0] & needed == needed)


def _become_own_user() -> None:
    """For good: the power to become another again is given up with the rest."""
    _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(OWN_USER, OWN_USER, OWN_USER)
    os.setresuid(OWN_USER, OWN_USER, OWN_USER)
    kept = struct.pack("=6I", _READ_ANY_FILE, _READ_ANY_FILE, 0, 0, 0, 0)
    if _libc.capset(struct.pack("=Ii", _CAPABILITIES_VERSION, 0), kept):
        raise OSError(ctypes.get_errno(), "capset")


def _read_only(version: int) -> None:
    files = max(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    attributes = struct.pack("QQQ", files, _NET_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _called(_CREATE, attributes, size, 0)
    try:
        for place in _readable():
            _allow(ruleset, place, _READ_FILE | _READ_DIR if place.is_dir() else _READ_FILE)
        _allow(ruleset, Path("/dev/null"), _READ_FILE | _WRITE_FILE)
        _called(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _readable() -> list[Path]:
    """Everything but other processes."""
    entries = [Path(entry.path) for entry in os.scandir("/") if entry.name not in {"proc", "sys"}]
    return [*entries, Path("/proc/self"), Path("/proc/meminfo"), Path("/sys/devices/system")]


def _allow(ruleset: int, place: Path, rights: int) -> None:
    try:
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, or not ours to enter
    try:
        _called(_ADD, ruleset, 1, struct.pack("=Qi", rights, handle), 0)
    finally:
        os.close(handle)


def _called(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock, call {number}")
    return result


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _refuse_calls() -> None:
    column = 0 if platform.machine() == "x86_64" else 1
    numbers = sorted(each[column] for each in _REFUSED.values())
    last = len(numbers)
    steps = [
        (_LD_WORD, 0, 0, 4),  # the architecture
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _KILL),
        (_LD_WORD, 0, 0, 0),  # the number
        (_JUMP_AT_LEAST, last + 1, 0, _X32_BIT),
        *((_JUMP_EQUAL, last - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(steps), code)), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
