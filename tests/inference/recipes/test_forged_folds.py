"""A fold's file that somebody made, changed or cut: nothing in it runs, and one sentence refuses it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skops.io import dumps
from skops.io._protocol import PROTOCOL

from inference.recipes.keeping import FoldError
from inference.recipes.pipeline import Pipeline
from inference.recipes.runfolder import RunError
from inference.recipes.runner import predict_files
from tests.inference.recipes.test_keeping import learned, recipe_of
from tests.inference.recipes.trees import CLASSIC, NEURAL


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fold")
    pipeline, _ = learned({**CLASSIC, "head": "naive_bayes"}, folder)
    pipeline.save(folder / "pipeline.skops")
    return folder / "pipeline.skops"


def refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(FoldError, match=match) as told:
        Pipeline.load(path)
    assert "\n" not in str(told.value) and path.name in str(told.value) and len(str(told.value)) < 400


def sealed(path: Path, packed: bytes) -> Path:
    """As a forger would: with the digest that belongs to it."""
    path.write_bytes(b"fold 1 sha256 " + hashlib.sha256(packed).hexdigest().encode() + b"\n" + packed)
    return path


def forged(fold: Path, path: Path, change: Any) -> Path:
    """A fold whose description of its objects was changed by hand."""
    with zipfile.ZipFile(io.BytesIO(fold.read_bytes().partition(b"\n")[2])) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    schema = json.loads(entries["schema.json"])
    change(schema)
    entries["schema.json"] = json.dumps(schema).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return sealed(path, packed.getvalue())


def head_of(schema: dict[str, Any]) -> dict[str, Any]:
    """What stands for the state of the fold's head."""
    place: dict[str, Any] = schema["content"]["steps"]["content"]["head"]["content"]["state"]["content"]
    return place


def text(value: str) -> dict[str, Any]:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
    }


def called(module: str, name: str, loader: str, argument: str) -> dict[str, Any]:
    inside = {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": [text(argument)],
    }
    no_types = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    nothing = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}
    nothing["key_types"] = no_types
    function = {"__class__": name, "__module__": module, "__loader__": "FunctionNode"}
    content: Any = inside
    if loader == "PartialNode":
        content = {"func": function, "args": inside, "kwds": nothing, "namespace": nothing}
    if loader == "MethodNode":
        content = {"func": name, "obj": {"__class__": name, "__module__": module, "__loader__": "ObjectNode"}}
    return {
        "__class__": name, "__module__": module, "__loader__": loader, "content": content, "attrs": inside,
        "__reduce__": {"args": inside},
    }  # fmt: skip


LOADERS = (
    "ConstructorFromReduceNode", "FunctionNode", "TypeNode", "PartialNode", "MethodNode", "ObjectNode", "ReduceNode",
    "OperatorFuncNode", "TreeNode", "LossNode", "DictNode", "ListNode", "RandomStateNode", "NoSuchNode",
)  # fmt: skip
FOREIGN = (
    ("posix", "system"), ("os", "system"), ("builtins", "eval"), ("subprocess", "Popen"), ("operator", "methodcaller"),
    ("pickle", "loads"), ("inference.blocks.registry", "build"), ("inference.recipes.keeping", "keep"),
    ("inference.blocks.heads.catalogue", "svm"), ("planted_module", "Planted"),
)  # fmt: skip


@pytest.mark.parametrize("protocol", range(PROTOCOL + 1))
@pytest.mark.parametrize("loader", LOADERS)
def test_a_forged_fold_calls_nothing(
    fold: Path, loader: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    # importing it would leave the mark already
    (tmp_path / "planted_module.py").write_text(f"open({str(mark)!r}, 'w')\nclass Planted: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module, name in FOREIGN:
        asked = called(module, name, loader, f"touch {mark}")

        def plant(schema: dict[str, Any], asked: dict[str, Any] = asked) -> None:
            # the file itself says by which of skops' readers, old ones too, it wants to be read
            head_of(schema)["estimator_"], schema["protocol"] = asked, protocol

        def be(schema: dict[str, Any], asked: dict[str, Any] = asked) -> None:
            schema.update({**asked, "protocol": protocol})

        refused(forged(fold, tmp_path / "fold", plant))
        refused(forged(fold, tmp_path / "fold", be))
        assert not mark.exists(), (module, name)
    assert "planted_module" not in sys.modules


def test_a_foreign_class_is_named(fold: Path, tmp_path: Path) -> None:
    # what `forged` makes is read where nothing was planted
    assert Pipeline.load(forged(fold, tmp_path / "fold", lambda schema: None)).learned["head"].stamp.seen

    def plant(schema: dict[str, Any]) -> None:
        head_of(schema)["estimator_"] = called("posix", "system", "ConstructorFromReduceNode", "true")

    refused(forged(fold, tmp_path / "fold", plant), "asks for posix.system, which no fold holds")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pickle_is_never_read(compressed: bool, fold: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    evil = pickle.dumps({"learned": Evil()})
    (tmp_path / "plain").write_bytes(evil)
    refused(tmp_path / "plain", "is no fold's file")
    refused(sealed(tmp_path / "sealed", evil))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        file.writestr("schema.json", evil)
    refused(sealed(tmp_path / "inside", packed.getvalue()))
    array = io.BytesIO()
    np.save(array, np.array([Evil()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(fold.read_bytes().partition(b"\n")[2])) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    assert any(name.endswith(".npy") for name in entries)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in entries.items():
            file.writestr(name, array.getvalue() if name.endswith(".npy") else content)
    refused(sealed(tmp_path / "arrays", packed.getvalue()))
    assert not (tmp_path / "ran").exists()


def test_a_changed_byte_and_a_cut_are_told(fold: Path, tmp_path: Path) -> None:
    whole = fold.read_bytes()
    for place in [*range(90), *range(90, len(whole), 97), len(whole) - 1]:
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / "fold").write_bytes(changed)
        refused(tmp_path / "fold")
    for length in (0, 1, 80, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "fold").write_bytes(whole[:length])
        refused(tmp_path / "fold")
    (tmp_path / "fold").write_bytes(whole + b"\n")
    refused(tmp_path / "fold", "cut short or changed")
    refused(tmp_path / "nothing", "cannot be read")
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "{}"},
        {"recipe": "["},
        {"seed": "x"},
        {"steps": {"train.nothing": {"seen": [], "state": {}}}},
        {"steps": {"head": {"seen": [], "state": [1, 2]}}},
        {"steps": {"head": {"seen": 3, "state": {}}}},
        {"steps": {"head": 5}},
        {"steps": None},
    ],
    ids=repr,
)
def test_content_that_fits_no_recipe_is_a_sentence(change: dict[str, Any], tmp_path: Path) -> None:
    content = {"recipe": json.dumps(recipe_of(CLASSIC).model_dump(mode="json")), "seed": 0, "steps": {}}
    Pipeline.load(sealed(tmp_path / "fold", dumps(content)))
    refused(sealed(tmp_path / "fold", dumps({**content, **change})))


def test_weights_of_another_network_are_a_sentence(tmp_path: Path) -> None:
    pipeline, _ = learned(NEURAL, tmp_path)
    pipeline.save(tmp_path / "fold")
    Pipeline.load(tmp_path / "fold")
    seen, state = [], {"no.such.weight": np.zeros(3, np.float32)}
    steps = {"streams.0.network": {"seen": seen, "state": state}}
    content = {"recipe": json.dumps(pipeline.recipe.model_dump(mode="json")), "seed": 0, "steps": steps}
    refused(sealed(tmp_path / "fold", dumps(content)), "holds no fold of this version")


def test_a_fold_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.joblib").write_bytes(pickle.dumps({}))
    with pytest.raises(RunError, match="can run code and is not read"):
        predict_files(tmp_path, [])
