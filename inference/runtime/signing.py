"""Who vouches for a version: `model.sig`, an OpenSSF model signature over its custody record, with keys of one's own.

The record names every file by digest, so that a signature over it is one over the version. Keys are elliptic (P-256,
PEM), nothing is asked of a network. Who imports a version signs it (`python -m inference sign`); a model server's host
serves nothing that a key which it trusts (`CAD_MODEL_TRUST`) has not signed. The library, `model-signing`, is imported
where something is signed or verified, never by the web process.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imaging.digest import sha256_of
from inference.runtime import custody
from inference.runtime.custody import CUSTODY, SIGNATURE, Custody
from inference.runtime.store import StoreError

#: Names a folder of public keys, `*.pem`, or one such file. Whose signatures are trusted is the operator's to say. Of a
#: version whose own folder holds no signature that counts, one may lie beside the keys: `NAME-VERSION.sig`.
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
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    public.write_bytes(public_of(private))
    return private, public


def own_keys(folder: Path) -> tuple[Path, Path]:
    """An installation's own pair in `folder`, made where there is no private key."""
    private, public = folder / PRIVATE, folder / PUBLIC
    if not private.is_file():
        return make_keys(folder)
    if not public.is_file():
        public.write_bytes(public_of(private))
    return private, public


def public_of(private_key: Path) -> bytes:
    """The public half of a key, PEM.

    Raises
    ------
    SigningError
        It is no elliptic private key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(private_key, error) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _no_key(private_key, "another kind of key")
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign(folder: Path, private_key: Path, signature: Path | None = None) -> Path:
    """Vouch for a version with one's own key, after everything in its folder was found as it was sealed.

    Parameters
    ----------
    signature
        Where the signature goes; into the version's folder where None.

    Raises
    ------
    CustodyError
        It is not what was sealed, or was never sealed.
    SigningError
        The key cannot be used.
    """
    custody.verify(folder)
    return sign_file(folder / CUSTODY, private_key, signature or folder / SIGNATURE)


def sign_file(path: Path, private_key: Path, signature: Path) -> Path:
    """Vouch for one file.

    Raises
    ------
    SigningError
        The key cannot be used.
    """
    signing = _library().signing
    unfinished = signature.with_name(f".{signature.name}")
    try:
        signing.Config().use_elliptic_key_signer(private_key=private_key).sign(path, unfinished)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(private_key, error) from error
    unfinished.replace(signature)
    return signature


def signature_beside(path: Path) -> Path:
    """Where the signature over one file lies that was made after its version had been signed."""
    return path.with_name(f"{path.name}.sig")


def beside_keys(trust: Path, name: str, version: str) -> Path:
    """Where a version's signature lies that is kept apart from the version."""
    return (trust if trust.is_dir() else trust.parent) / f"{name}-{version}.sig"


def verify_record(folder: Path, trust: Path) -> Custody:
    """The custody record in `folder`, an unpacked archive, after a trusted key's signature over it was verified.

    Raises
    ------
    SigningError
        Not signed, by a key that is not trusted here, or changed after it was signed.
    """
    _vouching(folder / CUSTODY, (folder / SIGNATURE,), trust)
    return Custody.model_validate_json((folder / CUSTODY).read_text(encoding="utf-8"))


def verify_version(folder: Path, trust: Path) -> Path:
    """All of a version: a trusted key's signature over its record, and its files by the record. Answers with the
    signature that vouches for it.

    Raises
    ------
    SigningError, CustodyError
        See `verify_record` and `custody.verify`.
    """
    apart = beside_keys(trust, folder.parent.name, folder.name)
    signature = _vouching(folder / CUSTODY, (folder / SIGNATURE, apart), trust)
    custody.verify(folder)
    return signature


def is_signed(path: Path, record: Custody) -> bool:
    """Whether somebody claims to have signed the file: with its version, or by itself."""
    return path.name in record.files or signature_beside(path).is_file()


def verify_file(path: Path, record: Custody, trust: Path) -> None:
    """One file, unpacked elsewhere, by a record that was verified or by a signature of its own.

    Raises
    ------
    SigningError
        It has other bytes than were signed, or was not signed at all.
    """
    which = f"{record.model} {record.version}"
    if path.name not in record.files:
        _vouching(path, (signature_beside(path),), trust, f"{path.name} of {which}")
    elif sha256_of(path) != record.files[path.name]:
        raise SigningError(f"{path.name} of {which} is not the file that was signed")


def _vouching(signed: Path, signatures: Iterable[Path], trust: Path, what: str = "") -> Path:
    """The first of `signatures` by which a trusted key vouches for the file."""
    keys = sorted(trust.glob("*.pem")) if trust.is_dir() else [trust]
    if not any(key.is_file() for key in keys):
        raise SigningError(f"{TRUST} names {trust}, where no public key (*.pem) lies")
    there = [signature for signature in signatures if signature.is_file()]
    if not signed.is_file() or not there:
        raise SigningError(f"{what} was not signed" if what else _how_to_sign(signed, trust))
    what = what or " ".join(_name_of(signed))
    verifying = _library().verifying
    failures = []
    for signature, key in itertools.product(there, keys):
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=key).verify(signed, signature)
        except Exception as error:  # it raises whatever its parsers do
            failures.append(str(error))
            continue
        return signature
    if all(failure.startswith("Key mismatch") for failure in failures):
        raise SigningError(f"{what} is signed by a key that is not trusted here: none of those in {trust}")
    raise SigningError(f"{what} was changed after it was signed, or its signature is damaged")


def _how_to_sign(record: Path, trust: Path) -> str:
    """What who imported a version does, said to whoever starts the model server."""
    name, version = _name_of(record)
    own = (trust if trust.is_dir() else trust.parent) / PRIVATE
    key = own if own.is_file() else "KEY"
    sealed = "" if record.is_file() else f"python -m inference seal {name} --version {version}, then "
    return (
        f"{name} {version} is not signed by anybody: who imported it looks at it and vouches for it with "
        f"{sealed}python -m inference sign {name} --version {version} --key {key}"
    )


def _name_of(record: Path) -> tuple[str, str]:
    """Name and version by the record, which lies in an unpacked archive perhaps; else by its folders."""
    try:
        said = Custody.model_validate_json(record.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return record.parent.parent.name, record.parent.name
    return said.model, said.version


def _no_key(path: Path, why: object) -> SigningError:
    return SigningError(f"{path} cannot sign: it is no elliptic private key in PEM ({why})")


def _library() -> Any:
    try:
        import model_signing
    except ImportError as error:
        raise SigningError(
            f"signatures cannot be made or verified here: model-signing is not installed ({error})"
        ) from error
    return model_signing
