"""Whose versions are served: `keys`, `sign`, `shipped`, and `archive`, which asks. What they run is imported when it is
asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.cli.numbers import count
from inference.runtime.store import DEFAULT_STORE

#: Exit status where versions were left out and others were not.
SOME_REFUSED = 2


def add_commands(commands: Any, add_store: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the four to `commands`; `add_store` adds its options."""
    archive = commands.add_parser("archive", help="build TorchServe archives from the model store")
    archive.add_argument("--out", type=Path, required=True)
    archive.add_argument("--store", type=Path, default=DEFAULT_STORE)
    archive.add_argument("--workers", type=count, default=1, help="TorchServe workers a model")
    archive.add_argument("--key", type=Path, metavar="FILE", help="private key: signs what is converted here")
    archive.set_defaults(command=_archive)

    keys = commands.add_parser("keys", help="make a pair of keys to sign versions with")
    keys.add_argument("folder", type=Path, metavar="FOLDER")
    keys.set_defaults(command=_keys)

    sign = commands.add_parser("sign", help="vouch for a version with one's own key")
    sign.add_argument("model")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key, PEM")
    add_store(sign)
    sign.set_defaults(command=_sign)

    shipped = commands.add_parser(
        "shipped", help="sign the versions that came with the laboratory, with the installation's own key"
    )
    what = shipped.add_mutually_exclusive_group(required=True)
    what.add_argument("--keys", type=Path, metavar="FOLDER", help="made there where there are none")
    what.add_argument("--list", action="store_true", help="instead, write the store's shipped.json anew")
    shipped.add_argument("--store", type=Path, default=DEFAULT_STORE)
    shipped.set_defaults(command=_shipped)


def _archive(chosen: argparse.Namespace) -> int:
    from inference.runtime.archive import build_archives

    built = build_archives(chosen.out, chosen.store, chosen.workers, chosen.key)
    for path in built.archives:
        print(path)
    for sentence in built.refused:
        print(f"inference: not served: {sentence}", file=sys.stderr)
    if not built.archives:
        print(f"inference: {chosen.store} holds no version that can be served", file=sys.stderr)
        return 1
    return SOME_REFUSED if built.refused else 0


def _keys(chosen: argparse.Namespace) -> int:
    from inference.runtime.signing import make_keys

    private, public = make_keys(chosen.folder)
    print(f"{private} (private: for who signs)\n{public} (public: for who serves, see CAD_MODEL_TRUST)")
    return 0


def _sign(chosen: argparse.Namespace) -> int:
    from inference.runtime.signing import sign
    from inference.runtime.store import read_manifest, version_folder

    manifest = read_manifest(chosen.model, chosen.store, chosen.version)
    print(f"{manifest.name} {manifest.version}: {sign(version_folder(manifest, chosen.store), chosen.key)}")
    return 0


def _shipped(chosen: argparse.Namespace) -> int:
    from inference.runtime.shipped import sign_shipped, write_shipped

    if chosen.list:
        print(*write_shipped(chosen.store), sep="\n")
        return 0
    refused = sign_shipped(chosen.store, chosen.keys)
    for sentence in refused:
        print(f"inference: not signed: {sentence}", file=sys.stderr)
    return SOME_REFUSED if refused else 0
