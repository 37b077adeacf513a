"""Files that only who has the key can read or make: AES-256-GCM in blocks, so that none is ever in memory whole.

magic (8) | fingerprint of the key (8) | salt (32) | blocks of 1 MiB, each with its tag (16)

Each file has a key of its own, derived (HKDF-SHA256) from the backups' key, its salt and its purpose: one that is put
in the place of another does not open. A block's nonce is its number and whether it is the last: none can be moved, left
out or cut off (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cad_platform.operations.backup.errors import BackupError

_MAGIC = b"CADBAK2\n"
_FINGERPRINT, _SALT, _TAG = 8, 32, 16
_HEADER = len(_MAGIC) + _FINGERPRINT + _SALT
BLOCK = 1024 * 1024
_KEY_LINE = re.compile(r"[0-9a-f]{64,}")


class BackupKey:
    """What a place's backups are made and read with."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.fingerprint = self._mac("fingerprint")[:_FINGERPRINT]

    @classmethod
    def read(cls, path: str) -> BackupKey:
        """From a file with one line of 64 hexadecimal digits or more.

        Raises
        ------
        BackupError
            No file is named, or it holds no key.
        """
        if not path:
            raise BackupError(
                "Set CAD_BACKUP_KEY_FILE to the file with the backups' key: `manage.py install --keys FOLDER` makes "
                "FOLDER/backup.key. Keep a copy of it apart from the backups, which nothing opens without it."
            )
        try:
            line = Path(path).read_text("ascii").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise BackupError(f"The backups' key {path} cannot be read: {reason}.") from error
        if not _KEY_LINE.fullmatch(line) or len(line) % 2:
            raise BackupError(f"{path} holds no key of backups: one line of 64 hexadecimal digits or more.")
        return cls(bytes.fromhex(line))

    def name_of(self, sha256: str) -> str:
        """What a stored file is called in a place of backups: who has a file cannot tell that it is there."""
        return self._mac(f"name {sha256}").hex()

    def cipher(self, salt: bytes, purpose: str) -> AESGCM:
        """That of one file."""
        info = f"cad backup {purpose}".encode()
        return AESGCM(HKDF(SHA256(), 32, salt, info).derive(self._secret))

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self._secret, f"cad backup {text}".encode(), "sha256")


def sealed_size(size: int) -> int:
    """Bytes on disk of a file of `size` bytes."""
    return _HEADER + size + _TAG * max(1, -(-size // BLOCK))


def seal(source: Iterable[bytes], target: Path, key: BackupKey, purpose: str) -> tuple[str, int]:
    """Write the new file `target` (mode 0600), durable on return; the SHA-256 and number of the bytes that it holds."""
    digest, size = hashlib.sha256(), 0
    salt = os.urandom(_SALT)
    cipher = key.cipher(salt, purpose)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_MAGIC + key.fingerprint + salt)
        for number, (block, last) in enumerate(_blocks(source)):
            digest.update(block)
            size += len(block)
            file.write(cipher.encrypt(_nonce(number, last), block, None))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def unsealed(path: Path, key: BackupKey, purpose: str) -> Iterator[bytes]:
    """The file's bytes, each block after it was found to be what was written.

    Raises
    ------
    BackupError
        The file is missing, was altered, cut off or put in the place of another, or has another key.
    """
    try:
        with path.open("rb") as file:
            yield from _opened(file, path, key, purpose)
    except OSError as error:
        raise BackupError(f"{path} of the backup cannot be read: {error.strerror}.") from error


def _opened(file: BinaryIO, path: Path, key: BackupKey, purpose: str) -> Iterator[bytes]:
    header = file.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise BackupError(f"{path} is no file of a backup, or was altered.")
    if header[len(_MAGIC) : -_SALT] != key.fingerprint:
        raise BackupError(
            f"{path} was made with another key than the one in CAD_BACKUP_KEY_FILE, or was altered."
        )
    cipher, number, last = key.cipher(header[-_SALT:], purpose), 0, False
    following = file.read(BLOCK + _TAG)
    while not last:
        block, following = following, file.read(BLOCK + _TAG)
        last = not following
        try:
            yield cipher.decrypt(_nonce(number, last), block, None)
        except (InvalidTag, ValueError) as error:
            raise BackupError(f"{path} of the backup was altered, cut off or exchanged.") from error
        number += 1


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _blocks(source: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The same bytes in blocks of one size, and whether a block is the last. No bytes are one empty block."""
    waiting = bytearray()
    for chunk in source:
        waiting += chunk
        while len(waiting) > BLOCK:
            yield bytes(waiting[:BLOCK]), False
            del waiting[:BLOCK]
    yield bytes(waiting), True
