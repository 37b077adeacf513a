"""What a fold has learned, in a file that cannot run code when it is read.

No step is kept as an object. Its block is made anew from the recipe in the file, and what it learned is laid into that:
a network's weights as plain arrays, another block's attributes, a search's settings, a calibration's number. Boosted
trees are XGBoost's own binary JSON (`Head`). Reading and writing is skops' (`skops.io`: JSON and `.npy` in a zip),
which makes no class but scikit-learn's own estimators and the few of `_CLASSES`; a file that asks for another, or for
a function of Python's, is refused before anything is imported for it. The first line holds the SHA-256 of the rest.

The digest finds accidents, not forgers. What a forger can still do is what wrong numbers do: other predictions, or a
process that ends because a tree's nodes point beside the tree.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.blocks.networks.arrays import arrays_of, with_arrays
from inference.blocks.parameters import make
from inference.datasets.sample import DatasetError
from inference.recipes.part import Block
from inference.recipes.provenance import Fitted, Stamp
from inference.recipes.schema import Recipe
from inference.recipes.validation import blocks, parse

#: Before the digest, in the file's first line.
_OPENING = b"fold 1 sha256 "
#: What the attributes of blocks hold beside arrays, plain values and scikit-learn's public estimators. A block's own
#: class is not among them: no file says which class a step has.
_CLASSES = frozenset(
    {
        "builtins.frozenset",
        "inference.blocks.heads.head.Head",
        "inference.blocks.heads.head._Weighted",
        "inference.blocks.preprocess.tuned_segmentation.Settings",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
#: Steps that leave a plain value and no block.
_VALUES = ("search", "calibration")


class FoldError(DatasetError):
    """A file that holds no fold, or what no fold holds. One sentence."""


def made(recipe: Recipe, seed: int, family: str, block: Block) -> Any:
    """A block of the recipe as it is before it learns."""
    return make(family, block.name, block.parameters, classes=recipe.task.numbers, seed=seed)


def keep(path: Path, recipe: Recipe, seed: int, learned: Mapping[str, Fitted[Any]]) -> None:
    """Write a fold whole or not at all.

    Raises
    ------
    FoldError
        A block's attributes hold an object that no fold's file may hold; the sentence names it.
    """
    steps = {
        step: {
            "seen": sorted(one.stamp.seen),
            "state": one.thing if step in _VALUES else _state(one.thing),
        }
        for step, one in learned.items()
    }
    content = {"recipe": json.dumps(recipe.model_dump(mode="json")), "seed": seed, "steps": steps}
    # weights do not shrink, and trying takes ten seconds for a ResNet-50's
    has_weights = any(isinstance(one.thing, nn.Module) for one in learned.values())
    packed = _pack(content, zipfile.ZIP_STORED if has_weights else zipfile.ZIP_DEFLATED)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(_OPENING + hashlib.sha256(packed).hexdigest().encode() + b"\n" + packed)
    unfinished.replace(path)


def refuse_unkept(block: Any) -> None:
    """
    Raises
    ------
    FoldError
        As `keep`, for one block that has learned something.
    """
    _pack(_state(block), zipfile.ZIP_STORED)


def kept(path: Path) -> tuple[Recipe, int, dict[str, Fitted[Any]]]:
    """The recipe, the seed and what every step learned, with its stamp.

    Raises
    ------
    FoldError
        No file of `keep`, one that was changed since, or one that asks for what no fold holds.
    """
    packed = _packed(path)
    try:
        content = _unpacked(packed)
        recipe = parse(json.loads(content["recipe"]), path.name)
        seed = int(content["seed"])
        places = {key: (family, block) for key, family, block in blocks(recipe)}
        learned = {}
        for step, one in content["steps"].items():
            thing = one["state"]
            if step not in _VALUES:
                with torch.random.fork_rng(devices=[]):
                    thing = _restored(made(recipe, seed, *places[step]), thing)
            learned[step] = Fitted(thing, Stamp(step, frozenset(map(str, one["seen"]))))
    except FoldError as error:
        raise FoldError(f"{path.name} is refused: {error}") from None
    # The digest agrees, so whoever wrote this meant it: there is no telling what it makes the readers say.
    except Exception as error:
        raise FoldError(f"{path.name} holds no fold of this version: {_words(error)}") from error
    return recipe, seed, learned


def _pack(content: Any, compression: int) -> bytes:
    from skops.io import dumps, get_untrusted_types
    from skops.io.exceptions import UnsupportedTypeException

    try:
        packed: bytes = dumps(content, compression=compression)
    except (UnsupportedTypeException, TypeError, RuntimeError) as error:
        raise FoldError(f"a fold's file cannot hold what it learned: {_words(error)}") from error
    if strange := sorted(set(get_untrusted_types(data=packed)) - _CLASSES):
        raise FoldError(f"a fold's file cannot hold what it learned: {strange[0]}")
    return packed


def _packed(path: Path) -> bytes:
    try:
        head, _, packed = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise FoldError(f"{path.name} cannot be read: {error.strerror}") from None
    if not head.startswith(_OPENING):
        raise FoldError(f"{path.name} is no fold's file: train the recipe again to get one")
    if head.removeprefix(_OPENING) != hashlib.sha256(packed).hexdigest().encode():
        raise FoldError(f"{path.name} was cut short or changed after it was written")
    return packed


def _unpacked(packed: bytes) -> Any:
    from skops.io import get_untrusted_types, loads

    asked = set(get_untrusted_types(data=packed))
    if strange := sorted(asked - _CLASSES):
        raise FoldError(f"it asks for {strange[0]}, which no fold holds")
    return loads(packed, trusted=sorted(asked))


def _state(thing: Any) -> Any:
    return arrays_of(thing) if isinstance(thing, nn.Module) else thing.__getstate__()


def _restored(thing: Any, state: Any) -> Any:
    if isinstance(thing, nn.Module):
        return with_arrays(thing, state)
    if hasattr(thing, "__setstate__"):
        thing.__setstate__(state)
    else:
        thing.__dict__.update(state or {})
    return thing


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
