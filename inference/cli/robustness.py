"""`python -m inference robustness histopathology`: does the network look at tissue or at the scanner?"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from inference.blocks.preprocess.stain import tissue_mask
from inference.champions.histopathology.train import load, read
from inference.datasets.sample import DatasetError, evenly
from inference.evaluation.folder import ROBUSTNESS, write_results
from inference.evaluation.robustness import Look, robustness
from inference.evaluation.scanners import Fields
from inference.runtime import custody
from inference.runtime.calibration import sigmoid
from inference.runtime.store import read_manifest, verified_weights, version_folder

#: What the last layer of every reader is called, and how many fields are looked at together.
_LAST, _TOGETHER = "classify.weight", 32


def run(chosen: Namespace, data: Path) -> int:
    """Print it: 0, or 1 with a sentence where the model has no such features or there are no data."""
    manifest = read_manifest(chosen.model, chosen.store, chosen.version)
    custody.refuse_unsealed_figures(version_folder(manifest, chosen.store))
    slope, offset = (manifest.calibration.get(name) for name in ("slope", "offset"))
    try:
        if manifest.served_by != "histopathology" or slope is None or offset is None:
            raise DatasetError(f"{manifest.name} reads no tissue: only its stain and scanner are varied here")
        held = evenly(read(chosen.data or data).part("val"), chosen.fields)
        fields = load(held)
        # fields of glass have no stain to vary
        stained = np.array([tissue_mask(field).mean() > 0.1 for field in fields])
        held = [sample for sample, keep in zip(held, stained, strict=True) if keep]
        positive = np.array([bool(sample.label_binary) for sample in held])
        look = looking(verified_weights(manifest, chosen.store), slope, offset)
        found = robustness(
            look,
            fields[stained],
            positive,
            [sample.group_id for sample in held],
            manifest.thresholds["balanced"],
        )
    except (DatasetError, ValueError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    if chosen.record:
        folder = version_folder(manifest, chosen.store)
        content = {"weights_sha256": manifest.weights.sha256, **found.as_json()}
        with custody.rewriting(folder):
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (folder / ROBUSTNESS).write_text(text + "\n", encoding="utf-8")
            write_results(folder)
    print(json.dumps(found.as_json(), indent=1, ensure_ascii=False) if chosen.json else found.as_text())
    return 0


def looking(weights: Path, slope: float, offset: float) -> Look:
    """What the readers' last layers look at, side by side, and the calibrated answer.

    Raises
    ------
    ValueError
        The graph has no such layer.
    """
    model = onnx.load(str(weights))
    read = [
        node.input[0] for node in model.graph.node if node.op_type == "Gemm" and node.input[1].endswith(_LAST)
    ]
    if not read:
        raise ValueError(f"{weights.name} has no layer {_LAST}")
    model.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in dict.fromkeys(read)
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def look(fields: Fields) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        features, logits = [], []
        for start in range(0, len(fields), _TOGETHER):
            logit, *own = session.run(
                ["logit", *dict.fromkeys(read)], {"input": fields[start : start + _TOGETHER]}
            )
            logits.append(logit)
            # each reader's features count alike
            features.append(
                np.concatenate([each / np.linalg.norm(each, axis=1, keepdims=True) for each in own], axis=1)
            )
        said = np.concatenate(logits).astype(np.float64)
        return np.concatenate(features).astype(np.float64), sigmoid(slope * said + offset)

    return look
