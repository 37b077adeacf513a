"""The versions that come with the laboratory itself, which an installation's own key signs at the set-up.

`shipped.json` in the store names each by the digest of its custody record, which names everything else. A version that
is in the store but not there was put in by somebody: that person signs it, nobody does so silently.
"""

from __future__ import annotations

import json
from pathlib import Path

from imaging.digest import sha256_of
from inference.runtime import custody
from inference.runtime.custody import CUSTODY
from inference.runtime.signing import SigningError, beside_keys, own_keys, sign, verify_version
from inference.runtime.store import StoreError, contents, version_folder

SHIPPED = "shipped.json"


def shipped(store: Path) -> dict[str, str]:
    """`NAME VERSION` → digest of its custody record, of what came with the store.

    Raises
    ------
    StoreError
        The list cannot be read.
    """
    path = store / SHIPPED
    if not path.is_file():
        return {}
    try:
        return {str(which): str(digest) for which, digest in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} is no list of versions") from error


def write_shipped(store: Path) -> tuple[str, ...]:
    """Take up every version that the store holds now, after each was found as it was sealed.

    Raises
    ------
    CustodyError, StoreError
        One is not.
    """
    found = {}
    for manifest in contents(store).manifests:
        folder = version_folder(manifest, store)
        custody.verify(folder)
        found[f"{manifest.name} {manifest.version}"] = sha256_of(folder / CUSTODY)
    (store / SHIPPED).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return tuple(found)


def sign_shipped(store: Path, keys: Path) -> tuple[str, ...]:
    """Sign what came with the store by the installation's own key, made in `keys` where there is none.

    The signatures lie beside the key, so that the store stays as it came and nobody's signature in it is overwritten.
    Answers with a sentence about each version that was not signed.
    """
    private, _ = own_keys(keys)
    refused = []
    for which, digest in shipped(store).items():
        name, _, version = which.partition(" ")
        folder = store / name / version
        if not folder.is_dir():
            continue
        try:
            if not custody.is_sealed(folder) or sha256_of(folder / CUSTODY) != digest:
                raise SigningError(
                    f"{which} is not as it came: {CUSTODY} is another. Who changed it signs it with "
                    f"python -m inference sign {name} --version {version} --key {private}"
                )
            if not _is_signed(folder, keys):
                sign(folder, private, beside_keys(keys, name, version))
        except StoreError as error:
            refused.append(str(error))
    return tuple(refused)


def _is_signed(folder: Path, keys: Path) -> bool:
    """Whether it need not be signed again. It is found as it was sealed on the way."""
    try:
        verify_version(folder, keys)
    except SigningError:
        return False
    return True
