"""A MONAI bundle beside the weights: `bundle/configs/{metadata,inference,recipe}.json` and `bundle/models/model.pt`.

`python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir DIR` predicts a folder of
images with it, where this package can be imported. `model.pt` is a state dictionary alone, float32: it is loaded with
`weights_only`. Of a version whose network follows from no recipe (a fitted head, an aggregate, steps that have learned)
`models/model.onnx` and `configs/manifest.json` lie there instead, the version's own: the graph is written down in torch
(`runtime.onnx_to_torch`), the steps are the manifest's. MONAI itself is needed to run a bundle, not to write one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inference.blocks.parameters import make
from inference.champions.whole_image.network import ServedOutlines, served
from inference.champions.whole_image.stated import is_packed, sizes_of
from inference.contract import ModelManifest
from inference.datasets.pixels import read_gray, read_rgb
from inference.evaluation.account import Account
from inference.evaluation.figures import Figure
from inference.recipes.pictures import read_file
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from inference.runtime.custody import RECIPE
from inference.runtime.onnx_session import WEIGHTS
from inference.runtime.onnx_to_torch.convert import network_of
from inference.runtime.regions import png_of
from inference.runtime.store import MANIFEST
from inference.runtime.whole_image.pipeline import LOGITS, MAP, only_outlines
from inference.runtime.whole_image.preprocessing import is_rgb, network_input, stretched, working_canvas
from inference.runtime.whole_image.steps import has_steps, packed_shape, steps_of

FOLDER = "bundle"
_SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
#: The versions that a bundle was last run with (`monai.bundle run`, `verify_metadata`).
_MONAI, _IGNITE = "1.6.1", "0.5.5"
_HERE = "inference.champions.whole_image.bundle"


class Logits(nn.Module):
    """Of uint8 images calibrated logits N×K, of which the version's probabilities are the softmax; or the log-odds of
    each pixel, N×1×H×W."""

    temperature: Tensor

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, x: Tensor) -> Tensor:
        """`x`: N×1×H×W, or N×H×W×3 in colour."""
        said = self.network(x)
        logits: Tensor = said.map if isinstance(self.network, ServedOutlines) else said[0]
        return logits / self.temperature


def network(recipe: str) -> Logits:
    """The untrained network of the recipe in that file."""
    read = _read(recipe)
    block = read.streams[0].network
    assert block is not None
    classes = 1 if read.task.kind == "segment" else len(read.task.classes)
    return Logits(served(make("network", block.name, block.parameters, classes=classes), read))


def reader(recipe: str) -> Callable[[str], Tensor]:
    """From an image's path to what the network takes, as training and serving do it."""
    read = _read(recipe)

    def tensor(path: str) -> Tensor:
        image = read_file(Path(path), read.data).image
        for size in sizes_of(read):
            image = stretched(image, size)
        return torch.from_numpy(network_input(image)[0])

    return tensor


class _Graph(nn.Module):
    """The version's own graph, with the calibration that its manifest states; answers as `Logits` does."""

    def __init__(self, weights: Path, manifest: ModelManifest) -> None:
        super().__init__()
        made = network_of(weights)
        self.network = made.network
        self.place = made.outputs.index(MAP if only_outlines(manifest) else LOGITS)
        self.temperature = manifest.calibration["temperature"]

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.network(x)[self.place]
        return answer / self.temperature


def graph(root: str) -> nn.Module:
    """The network of a bundle that holds a graph."""
    return _Graph(Path(root) / "models" / WEIGHTS, _manifest(root))


def given_to_graph(root: str) -> Callable[[str], Tensor]:
    """From an image's path to what the graph takes, by the manifest's steps."""
    manifest = _manifest(root)
    of = manifest.preprocessing
    read = read_rgb if is_rgb(of) else read_gray

    def tensor(path: str) -> Tensor:
        image = read(Path(path))
        taken = (
            steps_of(manifest).tensor(image) if has_steps(of) else network_input(working_canvas(image, of))
        )
        return torch.from_numpy(taken[0])

    return tensor


def _manifest(root: str) -> ModelManifest:
    return ModelManifest.model_validate_json((Path(root) / "configs" / MANIFEST).read_text(encoding="utf-8"))


def follows_from_recipe(recipe: Recipe) -> bool:
    """Whether the recipe says its network whole, so that a state dictionary is all that it needs."""
    return recipe.head is None and not recipe.preprocess and not is_packed(recipe)


def _read(recipe: str) -> Recipe:
    read = parse(json.loads(Path(recipe).read_text(encoding="utf-8")), RECIPE)
    assert isinstance(read, Recipe)
    return read


def write_bundle(
    folder: Path, manifest: ModelManifest, recipe: Recipe, trained: nn.Module, account: Account,
    figures: Sequence[Figure],
) -> Path:  # fmt: skip
    """Write the bundle of the version in `folder`."""
    place = folder / FOLDER
    for name in ("configs", "models"):
        (place / name).mkdir(parents=True, exist_ok=True)
    if follows_from_recipe(recipe):
        whole = Logits(trained, manifest.calibration["temperature"])
        torch.save(whole.state_dict(), place / "models" / "model.pt")
    else:
        shutil.copyfile(folder / WEIGHTS, place / "models" / WEIGHTS)
        (place / "configs" / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (place / "configs" / RECIPE).write_text(recipe.canonical, encoding="utf-8")
    for name, content in (
        ("metadata.json", metadata(manifest, recipe, account, figures)),
        ("inference.json", inference(recipe)),
    ):
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (place / "configs" / name).write_text(text, encoding="utf-8")
    return place


def metadata(
    manifest: ModelManifest, recipe: Recipe, account: Account, figures: Sequence[Figure]
) -> dict[str, Any]:
    """`metadata.json` in the form of MONAI's schema of 2024."""
    channels, packed = 3 if recipe.data.colour == "rgb" else 1, is_packed(recipe)
    spatial = list(packed_shape(manifest.preprocessing)[2:] if packed else sizes_of(recipe)[-1])
    outlines = recipe.task.kind == "segment"
    pred = ["outlined"] if outlines else list(manifest.classes)
    return {
        "schema": _SCHEMA,
        "version": manifest.version,
        "changelog": {manifest.version: f"exported from a run of the recipe {recipe.id}"},
        "name": manifest.name,
        "monai_version": _MONAI,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "pytorch-ignite": _IGNITE,
            **{name: version(name) for name in ("opencv-python-headless", "pydantic", "pillow")},
        },
        "task": "outlines in whole images" if outlines else f"{recipe.task.positive} against the rest, of whole images",
        "description": f"{manifest.title}. {account.method} It needs this product's package `inference`.",
        "authors": "the laboratory of this product",
        "copyright": manifest.licence,
        "data_source": account.data,
        "data_type": "png, jpeg",
        "image_classes": f"{'RGB' if channels == 3 else 'grey'} values of 0 to 255",
        "label_classes": ", ".join(manifest.classes),
        "pred_classes": ", ".join(pred),
        "eval_metrics": {f"{f.dataset} {f.split} {f.name}": f.value for f in figures},
        "intended_use": manifest.intended_use,
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "RGB" if channels == 3 else "magnitude",
                    "modality": manifest.input.modality,
                    "num_channels": 1 if packed else channels,
                    "spatial_shape": spatial,
                    "dtype": "uint8",
                    "value_range": [0, 255],
                    "is_patch_data": any(stream.patches is not None for stream in recipe.streams),
                    "channel_def": {"0": "bytes"}
                    if packed
                    else {str(n): name for n, name in enumerate("RGB" if channels == 3 else ["grey"])},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image" if outlines else "probabilities",
                    "format": "segmentation" if outlines else "classes",
                    "num_channels": len(pred),
                    "spatial_shape": spatial if outlines else [],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {str(n): name for n, name in enumerate(pred)},
                }
            },
        },
    }  # fmt: skip


def inference(recipe: Recipe) -> dict[str, Any]:
    """`inference.json`: the properties that MONAI asks of an inference workflow."""
    outlines = recipe.task.kind == "segment"
    classes = [] if outlines else list(recipe.task.classes)
    described = "$@bundle_root + '/configs/recipe.json'"
    stated = follows_from_recipe(recipe)
    loaded = {
        "_target_": "CheckpointLoader",
        "load_path": "$@bundle_root + '/models/model.pt'",
        "load_dict": {"model": "@network"},
    }
    written = (
        {"_target_": f"{_HERE}.Masks", "folder": "@output"}
        if outlines
        else {"_target_": f"{_HERE}.Lines", "path": "@output", "classes": "@classes"}
    )
    return {
        "imports": ["$import glob", "$import json", "$import torch", f"$import {_HERE} as ours"],
        "bundle_root": ".",
        "dataset_dir": "images",
        "output": "outlines" if outlines else "predictions.jsonl",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "paths": "$sorted(p for e in ('png', 'jpg', 'jpeg') for p in glob.glob(@dataset_dir + '/*.' + e))",
        "network_def": {"_target_": f"{_HERE}.network", "recipe": described}
        if stated
        else {"_target_": f"{_HERE}.graph", "root": "@bundle_root"},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "Lambdad",
                    "keys": "image",
                    "func": "$ours.reader(@bundle_root + '/configs/recipe.json')"
                    if stated
                    else "$ours.given_to_graph(@bundle_root)",
                }
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path, 'path': path} for path in @paths]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "sigmoid" if outlines else "softmax": True}
            ],
        },
        "classes": classes,
        "handlers": [loaded, written] if stated else [written],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


class Lines:
    """A handler of MONAI's engines: a JSON line an image, the classes' probabilities beside its path."""

    def __init__(self, path: str, classes: Sequence[str]) -> None:
        self.path, self.classes = Path(path), classes

    def attach(self, engine: Any) -> None:
        """Called by the engine, which has brought ignite with it."""
        self.path.write_text("", encoding="utf-8")
        engine.add_event_handler(import_module("ignite.engine").Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        with self.path.open("a", encoding="utf-8") as lines:
            for given, said in zip(engine.state.batch, engine.state.output, strict=True):
                chances = dict(zip(self.classes, said["pred"].tolist(), strict=True))
                lines.write(json.dumps({"path": given["path"], **chances}, ensure_ascii=False) + "\n")


class Masks:
    """A handler of MONAI's engines: a PNG an image, of the network's size and under the image's name, 255 inside the
    outline."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def attach(self, engine: Any) -> None:
        """Called by the engine, which has brought ignite with it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        engine.add_event_handler(import_module("ignite.engine").Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        for given, said in zip(engine.state.batch, engine.state.output, strict=True):
            inside = (said["pred"][0] > 0.5).cpu().numpy()
            (self.folder / f"{Path(given['path']).stem}.png").write_bytes(png_of(inside))
