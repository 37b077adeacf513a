"""Which frames are read, and what of them becomes the image's answer."""

from __future__ import annotations

import itertools

import pytest

from inference.contract import Box, Finding, Flag
from inference.runtime.frames import Frames, one_a_lesion
from inference.runtime.study import frames_to_read

OUT = (Flag.OUT_OF_DISTRIBUTION,)


def mark(score: float, box: Box = (0, 0, 10, 10), label: str = "mass") -> Finding:
    return Finding(label=label, score=score, box=box)


@pytest.mark.parametrize("frames", [1, 2, 5, 127, 128, 129, 200, 1000, 99_999])
@pytest.mark.parametrize("most", [2, 3, 16, 128])
def test_all_frames_or_evenly_chosen_ones_with_the_first_and_the_last(frames: int, most: int) -> None:
    read = frames_to_read(frames, most)
    assert len(read) == min(frames, most) and list(read) == sorted(set(read))
    assert (read[0], read[-1]) == (0, frames - 1)
    steps = {later - earlier for earlier, later in itertools.pairwise(read)}
    assert not steps or max(steps) - min(steps) <= 1


def test_the_most_suspicious_frame_answers_and_each_mark_names_its_frame() -> None:
    frames: Frames[str] = Frames(is_clip=True)
    frames.add(0, (0.1,), (), [], "first")
    frames.add(4, (0.9,), (Flag.UNCERTAIN,), [mark(0.9)], "second")
    frames.add(8, (0.4,), (), [mark(0.4, (50, 50, 60, 60))], "third")
    assert (frames.chosen, frames.number, frames.flags) == ("second", 4, (Flag.UNCERTAIN,))
    assert frames.read == [0, 4, 8]
    assert [(found.frame, found.score) for found in frames.findings(5)] == [(4, 0.9), (8, 0.4)]
    assert len(frames.findings(1)) == 1


def test_a_still_image_has_marks_without_a_frame() -> None:
    frames: Frames[None] = Frames(is_clip=False)
    frames.add(0, (0.1,), (), [mark(0.5)], None)
    assert frames.findings(5)[0].frame is None


def test_a_frame_unlike_the_training_images_has_no_say() -> None:
    frames: Frames[str] = Frames(is_clip=True)
    frames.add(0, (0.2,), (), [mark(0.2)], "tissue")
    frames.add(1, (0.99,), OUT, [mark(0.99, (40, 40, 60, 60))], "the probe in the air")
    assert not frames.has_no_verdict and frames.chosen == "tissue" and frames.flags == ()
    assert [found.score for found in frames.findings(5)] == [0.2]


@pytest.mark.parametrize(("outside", "inside"), [(1, 0), (2, 1), (3, 2)])
def test_an_image_of_such_frames_has_no_verdict(outside: int, inside: int) -> None:
    frames: Frames[None] = Frames(is_clip=outside + inside > 1)
    for number in range(outside):
        frames.add(number, (0.9,), OUT, [mark(0.9)], None)
    for number in range(outside, outside + inside):
        frames.add(number, (0.5,), (), [mark(0.5)], None)
    assert frames.has_no_verdict and Flag.OUT_OF_DISTRIBUTION in frames.flags
    assert frames.number == 0 and frames.findings(5)[0].score == 0.9, "complete, for the laboratory"


def test_a_lesion_that_goes_through_frames_is_one_mark_on_its_most_suspicious_frame() -> None:
    found = [(place, mark(0.5 + place / 100, (place, 0, place + 10, 10))) for place in range(20)]
    assert [each.score for each in one_a_lesion(found)] == [0.69]
    seen_again_late = one_a_lesion([(0, mark(0.3)), (3, mark(0.6)), (9, mark(0.5))])
    assert [each.score for each in seen_again_late] == [0.6, 0.5]


def test_two_lesions_of_one_frame_stay_two() -> None:
    near = [(0, mark(0.9, (0, 0, 10, 10))), (0, mark(0.8, (2, 2, 9, 9)))]
    assert len(one_a_lesion(near)) == 2
    apart = [
        (0, mark(0.9)),
        (1, mark(0.8, (100, 100, 110, 110))),
        (1, mark(0.7, (0, 0, 9, 9), "calcification")),
    ]
    assert len(one_a_lesion(apart)) == 3
