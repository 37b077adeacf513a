"""Every building block by family and name, so that a method of the review is a YAML and nothing else.

A block registers itself where it is defined, in a module of this package, by the decorator alone. Its module is
imported when the block is first asked for; which blocks there are is read from the sources.

What a family's factory returns:

| family | factory(**parameters) returns |
|---|---|
| `preprocess` | `f(image uint8 H×W or H×W×3) -> uint8 of the same kind`; with `fit(images, groups=None)` where it |
| | learns; with `with_mask(image, mask)` where it moves pixels, so that an outline goes along |
| `features` | `f(image, mask or None) -> 1-d float64`; `names: tuple[str, ...]` of its entries |
| `segment` | `f(image uint8 H×W) -> bool H×W`; with `fit(images, masks, groups=None)` where it learns |
| `backbone` | `nn.Module`: N×3×H×W normalised by mean = std = 0.5 → N×C×h×w; attribute `channels: int` = C |
| `pool` | called with `channels=C` too; `nn.Module`: N×C×h×w → N×C′ (maps) or N×1 logits; `out_channels: int` |
| `aggregate` | by its `kind`; a bag is its instances, n×d float64. `scores`: `f(n×K probabilities) -> K`. |
| | `rows`: `fit(bags, labels, groups=None)`, `transform(bags) -> N×d′ float64`. |
| | `bags`: a classifier, `fit(bags, labels, groups=None)`, `predict_proba(bags)`, `classes_` |
| `network` | a whole `nn.Module`, where backbone and pool are not enough (Connected-UNets, the champions) |
| `select` | scikit-learn transformer: `fit(rows, labels, groups=None)`, `transform(rows)`, `support_` |
| `head` | scikit-learn classifier: `fit(rows, labels, groups=None)`, `predict_proba`, `classes_` |
| `schedule` | `f(progress in 0…1) -> factor of the learning rate` |
| `attention` | called with `channels=C` too; `nn.Module`: N×C×h×w → the same shape |
| `loss` | `f(outputs, truth) -> scalar Tensor`; outputs as the network gives them, truth labels or masks |
| `objective` | `f(network, batch) -> scalar Tensor`: a loss that asks the network itself; with |
| | `draw(count, generator)` where it needs chance, which the batch then ends with |
| `views` | `f(images, masks, boxes, generator) -> [(images, masks), …]`: what of a batch the network is shown |
| `sampler` | `f(labels int64 N, batch size, torch.Generator) -> batches of indices of one epoch` |
| `augment` | `f(images, masks, generator) -> images, masks`; float N×C×H×W in 0–255, N×1×H×W in 0–1 |
| `search` | `f(axes, score, seed) -> settings`: which of the axes' values to take, by asking `score(settings)` |

A block says what it `takes` and `gives` where that is not any (`Traits`): a loss of labels, a network that outlines, a
stain that needs colour. A recipe is held against it before anything is read.

A block that learns does so in `fit` only, and its `fitted_on` then names the groups that it saw
(`inference.blocks.learned`).

Of its arguments a factory gets `channels`, `classes` (their number) and `seed` from the runner where it takes
them, and `name` from here, where one factory stands behind several names; all others stand in the recipe and are
checked against the factory's annotations.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar

Factory = TypeVar("Factory", bound=Callable[..., Any])

FAMILIES = (
    "preprocess", "features", "segment", "backbone", "pool", "aggregate", "network", "select", "head",
    "schedule", "attention", "loss", "objective", "views", "sampler", "augment", "search",
)  # fmt: skip

#: How a block is registered, at the start of a line; read from the source, so that nothing is imported for a name.
_REGISTERED = re.compile(r'^@block\("(\w+)", "(\w+)"(?:, [a-z]+="\w+")*\)$', re.MULTILINE)

Truth = Literal["labels", "outlines", "boxes"]
#: A network may answer to an objective alone, which knows what it is asked.
Answer = Literal["labels", "outlines", "boxes", "objective"]
Colour = Literal["gray", "rgb"]

_BLOCKS: dict[tuple[str, str], Callable[..., Any]] = {}


@dataclass(frozen=True)
class Traits:
    """`takes`: the truth that a loss, a sampler or an augmentation goes with. `gives`: what a network answers with.
    `colour`: that of the images that a block needs. None where it may be any."""

    takes: Truth | None = None
    gives: Answer | None = None
    colour: Colour | None = None


_TRAITS: dict[tuple[str, str], Traits] = {}


class UnknownBlock(KeyError):
    """A recipe names a block that nobody registered; the message lists those that there are."""

    def __str__(self) -> str:
        return str(self.args[0])


def block(
    family: str,
    name: str,
    *,
    takes: Truth | None = None,
    gives: Answer | None = None,
    colour: Colour | None = None,
) -> Callable[[Factory], Factory]:
    """Register the decorated factory as `family` / `name`, with its `Traits`.

    Raises
    ------
    ValueError
        An unknown family, or the name is taken.
    """
    if family not in FAMILIES:
        raise ValueError(f"{family!r} is no family of blocks: {', '.join(FAMILIES)}")

    def register(factory: Factory) -> Factory:
        known = _BLOCKS.get((family, name))
        if known is not None and known.__qualname__ != factory.__qualname__:
            raise ValueError(f"{family}/{name} is registered twice")
        _BLOCKS[family, name] = factory
        _TRAITS[family, name] = Traits(takes, gives, colour)
        return factory

    return register


@cache
def _modules() -> dict[tuple[str, str], str]:
    """The module that registers each block."""
    package = Path(__file__).parent
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        for family, name in _REGISTERED.findall(file.read_text(encoding="utf-8")):
            found[family, name] = ".".join((__package__, *parts))
    return found


def names(family: str) -> tuple[str, ...]:
    """The names of a family's blocks, sorted; nothing is imported for it."""
    return tuple(sorted({name for kind, name in (*_modules(), *_BLOCKS) if kind == family}))


def shipped(family: str) -> tuple[str, ...]:
    """Of `names`, those that stand in the sources; the others were registered by whoever imported this."""
    return tuple(sorted(name for kind, name in _modules() if kind == family))


def factory(family: str, name: str) -> Callable[..., Any]:
    """The block's factory, from its module.

    Raises
    ------
    UnknownBlock
        No such block; at once, with the names that come closest.
    """
    if (family, name) not in _BLOCKS:
        if (family, name) not in _modules():
            known = names(family)
            close = get_close_matches(name, known)
            hint = f"did you mean {' or '.join(close)}? There are" if close else "there are"
            raise UnknownBlock(f"no {family} block {name!r}; {hint}: {', '.join(known)}")
        import_module(_modules()[family, name])
    return _BLOCKS[family, name]


def traits(family: str, name: str) -> Traits:
    """What the block takes and gives.

    Raises
    ------
    UnknownBlock
        No such block.
    """
    factory(family, name)
    return _TRAITS[family, name]


def source(family: str, name: str) -> str:
    """The module that registers the block; nothing is imported for it.

    Raises
    ------
    UnknownBlock
        No such block among the sources.
    """
    if (family, name) in _modules():
        return _modules()[family, name]
    return factory(family, name).__module__


def build(family: str, name: str, **parameters: Any) -> Any:
    """Call the block's factory, with the block's `name` where it takes that.

    Raises
    ------
    UnknownBlock
        No such block.
    TypeError
        Parameters that the factory does not take.
    """
    made_by = factory(family, name)
    if "name" in inspect.signature(made_by).parameters:
        return made_by(name=name, **parameters)
    return made_by(**parameters)
