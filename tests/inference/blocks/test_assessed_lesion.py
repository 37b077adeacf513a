"""What a network learns of classes that a collection has none of, and of a reader's categories."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inference.blocks.networks.lesion import AssessedOutput
from inference.blocks.objectives.lesion import assessed_lesion


class Says(nn.Module):
    """Answers every image with the same logits."""

    def __init__(self, logits: list[float], assessment: list[float]) -> None:
        super().__init__()
        self.logits, self.assessment = torch.tensor(logits), torch.tensor(assessment)

    def forward(self, x: Tensor) -> AssessedOutput:
        count, quarter = len(x), x.shape[2] // 4
        nothing = torch.zeros(count, 1, quarter, quarter)
        return AssessedOutput(
            self.logits.expand(count, 3),
            nothing,
            nothing,
            torch.zeros(count),
            self.assessment.expand(count, 4),
        )


def lesion(rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, rows, columns] = 1
    return mask


CENTRAL, NONE, CUT = (
    lesion(slice(8, 20), slice(8, 20)),
    torch.zeros(1, 1, 32, 32),
    lesion(slice(0, 20), slice(0, 2)),
)
IMAGE = torch.zeros(1, 1, 32, 32)


def value(says: Says, mask: Tensor, truth: tuple[int, int], assessment_weight: float = 0.0) -> float:
    objective = assessed_lesion(
        outline_weight=0, place_weight=0, assessment_weight=assessment_weight, smoothing=0.0
    )
    return float(objective(says, (IMAGE, mask, torch.tensor([truth]))))


def test_a_view_without_the_lesion_is_normal_whatever_its_example_is() -> None:
    normal, benign = Says([0, 0, 9], [0, 0, 0, 0]), Says([9, 0, 0], [0, 0, 0, 0])
    assert value(normal, NONE, (0, -1)) < 0.01 < 5 < value(benign, NONE, (0, -1))
    assert value(benign, CENTRAL, (0, -1)) < 0.01 < 5 < value(normal, CENTRAL, (0, -1))


def test_a_lesion_that_the_border_cuts_off_teaches_no_class() -> None:
    assert value(Says([9, 0, 0], [0] * 4), CUT, (1, 0), 1.0) == 0


def test_a_readers_category_is_learned_where_it_is_known_and_the_lesion_is_seen() -> None:
    right, wrong = Says([9, 0, 0], [0, 9, 0, 0]), Says([9, 0, 0], [0, 0, 0, 9])
    assert value(right, CENTRAL, (0, 1), 1.0) < 0.01 < 5 < value(wrong, CENTRAL, (0, 1), 1.0)
    assert value(wrong, CENTRAL, (0, -1), 1.0) < 0.01
    assert value(Says([0, 0, 9], [0, 0, 0, 9]), NONE, (0, 1), 1.0) < 0.01
