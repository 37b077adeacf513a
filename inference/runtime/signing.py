"""Who vouches for a version: `model.sig`, an OpenSSF model signature over its custody record, with keys of one's own.

The record names every file by digest, so that a signature over it is one over the version. Keys are elliptic (P-256,
PEM), nothing is asked of a network. Who imports a version signs it (`python -m inference sign`); a model server's host
that names in `CAD_MODEL_TRUST` whose signatures it trusts serves nothing else. The library, `model-signing`, is
imported where something is signed or verified, never by the web process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from imaging.digest import sha256_of
from inference.runtime import custody
from inference.runtime.custody import CUSTODY, SIGNATURE, Custody
from inference.runtime.store import StoreError

#: Names a folder of public keys, `*.pem`, or one such file. Whose signatures are trusted is the operator's to say.
TRUST = "CAD_MODEL_TRUST"
PRIVATE, PUBLIC = "signing.key", "signing.pem"


class SigningError(StoreError):
    """A version is not signed, or not by whom it must be. The sentence says what to do."""


def trusted_keys() -> Path | None:
    """What `CAD_MODEL_TRUST` names; None where signatures are not asked for."""
    named = os.environ.get(TRUST)
    return Path(named) if named else None


def make_keys(folder: Path) -> tuple[Path, Path]:
    """A pair of keys in `folder`: the private one for who imports, the public one for who serves.

    Raises
    ------
    SigningError
        There is a private key already: what it has signed would be trusted by nobody.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private, public = folder / PRIVATE, folder / PUBLIC
    key = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SigningError(
            f"{private} exists already: name another folder to make a new pair of keys"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def sign(folder: Path, private_key: Path) -> Path:
    """Vouch for a version with one's own key, after everything in its folder was found as it was sealed.

    Raises
    ------
    CustodyError
        It is not what was sealed, or was never sealed.
    SigningError
        The key cannot be used.
    """
    custody.verify(folder)
    signing = _library().signing
    unfinished = folder / f".{SIGNATURE}"
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
        signer.sign(folder / CUSTODY, unfinished)
    except (OSError, ValueError, TypeError) as error:
        raise SigningError(
            f"{private_key} cannot sign: it is no elliptic private key in PEM ({error})"
        ) from error
    unfinished.replace(folder / SIGNATURE)
    return folder / SIGNATURE


def verify_record(folder: Path, trust: Path, which: str) -> Custody:
    """The custody record in `folder` after a trusted key's signature over it was verified.

    Raises
    ------
    SigningError
        Not signed, by a key that is not trusted here, or changed after it was signed.
    """
    record, signature = folder / CUSTODY, folder / SIGNATURE
    if not record.is_file() or not signature.is_file():
        raise SigningError(
            f"{which} is not signed, and {TRUST} asks for it: who imported it signs it with "
            f"python -m inference sign {which.split()[0]} --key KEY"
        )
    keys = sorted(trust.glob("*.pem")) if trust.is_dir() else [trust]
    if not any(key.is_file() for key in keys):
        raise SigningError(f"{TRUST} names {trust}, where no public key (*.pem) lies")
    verifying = _library().verifying
    failures = []
    for key in keys:
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=key).verify(record, signature)
        except Exception as error:  # it raises whatever its parsers do
            failures.append(str(error))
            continue
        return Custody.model_validate_json(record.read_text(encoding="utf-8"))
    if all(failure.startswith("Key mismatch") for failure in failures):
        raise SigningError(f"{which} is signed by a key that is not trusted here: none of those in {trust}")
    raise SigningError(f"{which} was changed after it was signed, or its signature is damaged")


def verify_version(folder: Path, trust: Path | None) -> None:
    """All of a version, where signatures are asked for: the signature over its record, and its files by the record.

    Raises
    ------
    SigningError, CustodyError
        See `verify_record` and `custody.verify`.
    """
    if trust is not None:
        verify_record(folder, trust, f"{folder.parent.name} {folder.name}")
        custody.verify(folder)


def verify_file(path: Path, record: Custody) -> None:
    """One file, unpacked elsewhere, by a record that was verified.

    Raises
    ------
    SigningError
        It has other bytes than were signed, or was not signed at all.
    """
    which = f"{record.model} {record.version}"
    if path.name not in record.files:
        raise SigningError(f"{path.name} of {which} was not signed")
    if sha256_of(path) != record.files[path.name]:
        raise SigningError(f"{path.name} of {which} is not the file that was signed")


def _library() -> Any:
    try:
        import model_signing
    except ImportError as error:
        raise SigningError(
            f"signatures cannot be made or verified here: model-signing is not installed ({error})"
        ) from error
    return model_signing
