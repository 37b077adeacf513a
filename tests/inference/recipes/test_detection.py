"""Boxes: what they are made of, what teaches them, and how they are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.blocks.networks.boxes import anchors, boxes_of, decoded, encoded, overlap, suppressed
from inference.blocks.networks.retina import BoxOutput, found
from inference.blocks.parameters import make
from inference.champions.whole_image.refusals import why_not
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.projection import projected, read_volume
from inference.recipes.reporting import figures, records
from inference.recipes.schema import RecipeError
from inference.recipes.steps import lesions_to_find
from inference.recipes.validation import parse
from tests.inference.recipes.test_keeping import rows
from tests.inference.recipes.trees import CLASSIC

DETECT: dict[str, Any] = {
    **{key: value for key, value in CLASSIC.items() if key != "head"},
    "task": {"kind": "detect", "classes": ["benign", "malignant"], "positive": "malignant"},
    "data": {"dataset": "busi", "size": [32, 40], "folds": 2},
    "streams": [{"network": {"retina": {"width": 16, "depth": 0, "smallest": 8}}}],
    "train": {"epochs": 1, "batch": 4, "loss": "retina"},
}  # fmt: skip


def test_overlap_encoding_and_suppression() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 24, 30], [1, 0, 11, 10]])
    torch.testing.assert_close(overlap(boxes[:1], boxes), torch.tensor([[1.0, 0.5, 0.0, 90 / 110]]))
    to = anchors([(2, 3), (1, 2)], (8, 16), 8.0, torch.device("cpu"))
    assert to.shape == ((6 + 2) * 6, 4)
    torch.testing.assert_close((to[:6, :2] + to[:6, 2:]) / 2, torch.full((6, 2), 4.0))
    areas = (to[:, 2:] - to[:, :2]).prod(dim=1)
    torch.testing.assert_close(areas[:2], torch.full((2,), 64.0)[[0, 0]] * areas[:2] / areas[:2])
    torch.testing.assert_close(decoded(encoded(boxes, to[:4]), to[:4]), boxes)
    kept = suppressed(boxes, torch.tensor([0.5, 0.4, 0.9, 0.7]), 0.3, 20)
    assert kept.tolist() == [2, 3]
    assert suppressed(boxes, torch.tensor([0.5, 0.4, 0.9, 0.7]), 0.3, 1).tolist() == [2]


def test_separate_regions_are_boxes_and_an_empty_mask_has_none() -> None:
    mask = torch.zeros(32, 40)
    mask[4:10, 6:9], mask[20:28, 30:40] = 1, 1
    assert boxes_of(mask).tolist() == [[6, 4, 9, 10], [30, 20, 40, 28]]
    assert boxes_of(torch.zeros(8, 8)).shape == (0, 4)


def perfect(mask: torch.Tensor) -> BoxOutput:
    to = anchors([(4, 5)], (8,), 8.0, torch.device("cpu"))
    lesions = boxes_of(mask[0, 0])
    shared = overlap(to, lesions)
    on = shared.max(dim=1).values >= 0.5
    on[shared.argmax(dim=0)] = True
    deltas = encoded(lesions[shared.argmax(dim=1)], to)
    return BoxOutput(torch.where(on, 12.0, -12.0)[None], deltas[None], to)


def test_the_losses_are_low_where_the_boxes_are_right_alone() -> None:
    mask = torch.zeros(1, 1, 32, 40)
    mask[0, 0, 8:16, 8:16] = 1
    right, loss, strongest = perfect(mask), make("loss", "retina", {}), make("loss", "strongest_box", {})
    assert float(loss(right, mask)) < 1e-3 < 1 < float(loss(right, mask.roll(16, 3)))
    moved = right._replace(deltas=right.deltas + 0.5)
    assert float(loss(moved, mask)) > 0.5
    assert float(strongest(right, mask)) < 1e-3 and float(strongest(moved, mask)) < 1e-3
    assert float(strongest(right, 0 * mask)) > 5
    assert float(make("loss", "strongest_box", {"share": 1.0})(moved, mask)) > 0.5
    (boxes,) = found(right, 32, 40)
    np.testing.assert_allclose(boxes[0, :4] * torch.tensor([40, 32, 40, 32]), [8, 8, 16, 16], atol=1e-4)
    assert boxes[0, 4] > 0.99


def test_what_is_outlined_in_a_benign_image_is_not_looked_for() -> None:
    train, _ = rows(colour=False)
    wanted = lesions_to_find(train, "malignant")
    assert [p.mask is not None for p in wanted.values] == [s.label == "malignant" for s in train.samples]


def test_a_detector_is_fitted_kept_judged_and_reads_a_volume(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = parse(DETECT, "toy")
    train, held = rows(colour=False)
    pipeline = Pipeline(recipe, 0)
    pipeline.fit(train, Place(tmp_path))
    predicted = pipeline.predict(held)
    assert predicted.values[0].shape == (20, 5)
    pipeline.save(tmp_path / "fold")
    again = Pipeline.load(tmp_path / "fold").predict(held)
    np.testing.assert_array_equal(again.values, predicted.values)

    # boxes that are those of the truth are all found
    def truth(picture: Picture) -> np.ndarray:
        y, x = np.nonzero(picture.mask)
        box = np.zeros((20, 5))
        box[0] = x.min() / 40, y.min() / 32, (x.max() + 1) / 40, (y.max() + 1) / 32, 0.9
        return box

    labels = [sample.label == "malignant" for sample in held.samples]
    values = [truth(p) if m else np.zeros((20, 5)) for p, m in zip(held.values, labels, strict=True)]
    made = records(recipe, predicted.__class__(held.samples, tuple(values)), held, 0)
    assert [record.lesions for record in made] == [int(m) for m in labels]
    measured = {figure.name: figure.value for figure in figures(recipe, made)}
    assert measured["lesions_found"] == measured["froc"] == measured["auc"] == 1
    shown, boxes = read_volume(pipeline, held.values[:3])
    assert shown.image.shape == (32, 40) and boxes.shape == (20, 5)
    assert "boxes" in why_not(recipe)


def test_a_projection_shows_each_place_where_it_is_most_suspicious() -> None:
    slices = np.stack([np.full((20, 40), 10 * number, np.uint8) for number in range(1, 6)])
    boxes = np.zeros((5, 2, 5))
    boxes[0, 0] = (0.25, 0.5, 0.5, 1.0, 0.9)
    boxes[1, 0] = (0.25, 0.5, 0.5, 1.0, 0.4)  # the same place, less suspicious
    boxes[4, 1] = (0.0, 0.0, 0.1, 0.1, 0.2)
    made = projected(slices, boxes)
    assert (made[10:, 10:20] == 10).all() and (made[:2, :4] == 50).all() and (made[:8, 10:] == 30).all()
    assert (projected(slices, 0 * boxes) == 30).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"loss": "dice_bce"}}, "dice_bce works on outlines, and the task is to find lesions"),
        ({"train": {"loss": "cross_entropy"}}, "cross_entropy works on labels"),
        ({"streams": [{"network": {"unet": {"width": 4, "depth": 2}}}]}, "answers with"),
        ({"streams": [{"network": {"classifier": {"backbone": "vgg_mini"}}}]}, "answers with classes"),
        ({"head": "svm"}, "detect: one stream"),
        ({"expect": {"measure": "dice"}}, "dice cannot be measured"),
        ({"task": {**DETECT["task"], "classes": ["benign", "malignant", "normal"]}}, "detect: two classes"),
        ({"task": CLASSIC["task"]}, "retina draws boxes, and the task is to classify"),
        (
            {"task": {**DETECT["task"], "kind": "segment"}, "expect": {"measure": "dice"}},
            "the task is to outline",
        ),
    ],
)
def test_blocks_of_other_tasks_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse({**DETECT, **changes}, "toy")
