"""Why there is no result is said once, as a sentence, in the reader's language."""

from __future__ import annotations

import pytest
from django.utils import translation

from cad_platform.analysis.reasons import reason_words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("", ""),
        (
            "not analysed: µm per pixel missing",
            "The image does not say how large its pixels are.",
        ),
        (
            "not analysed: µm per pixel missing (image 4)",
            "Image 4: The image does not say how large its pixels are.",
        ),
        (
            "not analysed: 65 images, at most 64 are read together",
            "The study has 65 images; this model reads at most 64 together.",
        ),
        (
            "the model server does not answer: status 500 (8 attempts)",
            "The model server did not answer (status 500). Tried 8 times.",
        ),
        (
            "The decoder was stopped because the machine ran short of memory.; given up after 2 days, 0:00:00",
            "The server was short of memory.",
        ),
        (
            "not analysed: an image of 1024 × 768 pixels at 255 µm per pixel would take 9.6 GB of memory, "
            "at most 2.7 GB are spent on one",
            "The image has 1024 × 768 pixels, said to be 255 µm wide; to read it would take 9.6 GB of memory, "
            "and at most 2.7 GB are spent on one image.",
        ),
        ("not analysed: something new", "Something new."),
        ("100 % of it is new", "100 % of it is new."),
    ],
)
def test_a_reason_is_one_sentence(reason: str, words: str) -> None:
    assert reason_words(reason) == words
    assert "not analysed" not in reason_words(reason).lower()


def test_a_reason_is_translated() -> None:
    with translation.override("zh-hans"):
        said = reason_words("not analysed: no stained tissue was found in the image")
    assert said == "图像中未找到染色组织。"
