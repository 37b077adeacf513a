"""Which breast an image shows, who contradicts whom, and how the picture then hangs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cad_platform.studies.sides import side_of, turned, with_post_claim
from imaging.description import ImageFacts, SideClaim


def facts(*claims: tuple[str, str], **more: Any) -> ImageFacts:
    sides = tuple(SideClaim(source=source, side=side) for source, side in claims)  # type: ignore[arg-type]
    return ImageFacts(side_claims=sides, **more)


def stop(laterality: str, view: str, said: ImageFacts, *, has_chest_wall: bool = True) -> str:
    return side_of(laterality, view, said, has_chest_wall=has_chest_wall).stop


@pytest.mark.parametrize(
    ("laterality", "view", "said"),
    [
        ("L", "CC", facts()),
        ("", "CC", facts()),
        ("L", "CC", facts(("ImageLaterality", "L"), patient_orientation=("A", "R"), chest_wall="left")),
        ("R", "MLO", facts(("ImageLaterality", "R"), patient_orientation=("P", "FL"), chest_wall="right")),
        # Stored mirrored: the header says so, and is believed.
        ("R", "CC", facts(("ImageLaterality", "R"), patient_orientation=("A", "L"), chest_wall="left")),
        ("L", "CC", facts(("post", "L"), patient_orientation=("A", "R"))),
        ("L", "ML", facts(("ImageLaterality", "L"), patient_orientation=("A", "R"))),
        ("L", "CC", facts(("ImageLaterality", "L"), chest_wall="top")),
        ("L", "CC", facts(("ImageLaterality", "B"), ("ViewPosition", "L"))),
    ],
)
def test_where_nobody_contradicts_there_is_no_stop(laterality: str, view: str, said: ImageFacts) -> None:
    assert stop(laterality, view, said) == ""


@pytest.mark.parametrize(
    ("laterality", "view", "said", "sentence"),
    [
        (
            "R",
            "CC",
            facts(("post", "R"), ("ImageLaterality", "L")),
            "Side unconfirmed: the post says R; the header says L (Image Laterality).",
        ),
        (
            "L",
            "CC",
            facts(("ImageLaterality", "L"), ("ViewPosition", "R")),
            "Side unconfirmed: the header says L (Image Laterality); the header says R (View Position).",
        ),
        (
            "R",
            "CC",
            facts(("post", "R"), patient_orientation=("A", "R")),
            "Side unconfirmed: the post says R; the orientation A\\R is that of a left breast.",
        ),
        (
            "R",
            "MLO",
            facts(("post", "R"), patient_orientation=("A", "FR")),
            "Side unconfirmed: the post says R; the orientation A\\FR is that of a left breast.",
        ),
        (
            "L",
            "CC",
            ImageFacts(
                side_claims=(SideClaim(source="PatientOrientation", side="L", by_convention=True),),
                patient_orientation=("A", "R"),
            ),
            "Side unconfirmed: the orientation A\\R is that of a left breast.",
        ),
        (
            "L",
            "CC",
            facts(("ImageLaterality", "L"), patient_orientation=("A", "R"), chest_wall="right"),
            "Side unconfirmed: the header says L (Image Laterality); the orientation A\\R puts the chest wall on the "
            "left, the picture shows it on the right.",
        ),
        (
            "R",
            "CC",
            facts(("post", "R"), chest_wall="left"),
            "Side unconfirmed: the post says R; the picture shows the chest wall on the left, as of a left breast.",
        ),
    ],
)
def test_a_contradiction_stops(laterality: str, view: str, said: ImageFacts, sentence: str) -> None:
    assert stop(laterality, view, said) == sentence


def test_an_image_of_no_whole_breast_has_no_orientation_to_contradict() -> None:
    said = facts(("post", "R"), patient_orientation=("A", "R"), chest_wall="left")

    assert stop("R", "CC", said, has_chest_wall=False) == ""


def test_a_corrected_side_is_the_senders_word_even_where_its_row_does_not_say_so() -> None:
    side = side_of("R", "CC", facts(("ImageLaterality", "L")), has_chest_wall=True)

    assert side.laterality == "R"
    assert "the post says R" in side.stop


def test_the_senders_word_stands_before_all_others_and_is_replaced_by_the_next() -> None:
    said = with_post_claim(with_post_claim(facts(("ImageLaterality", "L")), "R"), "L")

    assert [(claim.source, claim.side) for claim in said.side_claims] == [
        ("post", "L"),
        ("ImageLaterality", "L"),
    ]


@dataclass
class Word:
    side: str
    said: str
    reason: str = "The film."
    by_whom: str = "Dr A"


def test_a_confirmation_counts_as_long_as_the_same_is_said() -> None:
    said = facts(("post", "R"), ("ImageLaterality", "L"))
    before = side_of("R", "CC", said, has_chest_wall=True)
    word = Word("L", before.said)

    after = side_of("R", "CC", said, has_chest_wall=True, confirmation=word)
    corrected = side_of("L", "CC", with_post_claim(said, "L"), has_chest_wall=True, confirmation=word)

    assert (after.laterality, after.stop, after.confirmed) == ("L", "", True)
    assert after.confirmed_by == "Dr A: The film."
    assert (corrected.laterality, corrected.confirmed) == ("L", False)


@pytest.mark.parametrize(
    ("laterality", "said", "expected"),
    [
        ("L", facts(("ImageLaterality", "L"), patient_orientation=("A", "R")), (0, False, "")),
        ("R", facts(("ImageLaterality", "R"), patient_orientation=("A", "L")), (0, True, "header")),
        ("L", facts(("ImageLaterality", "L"), patient_orientation=("R", "A")), (90, True, "header")),
        # Not sure: it is shown as it is stored.
        ("R", facts(("post", "R"), patient_orientation=("A", "R")), (0, False, "")),
        ("R", facts(("post", "R"), chest_wall="left"), (0, False, "")),
        ("L", facts(("post", "L"), chest_wall="left"), (0, False, "")),
    ],
)
def test_how_it_hangs(laterality: str, said: ImageFacts, expected: tuple[int, bool, str]) -> None:
    side = side_of(laterality, "CC", said, has_chest_wall=True)
    found = turned(side, said, has_chest_wall=True)

    assert (found.turn, found.mirror, found.source) == expected


def test_a_film_of_a_confirmed_side_is_mirrored_by_its_picture_and_says_so() -> None:
    said = facts(("post", "R"), chest_wall="left")
    word = Word("R", side_of("R", "CC", said, has_chest_wall=True).said)
    side = side_of("R", "CC", said, has_chest_wall=True, confirmation=word)

    found = turned(side, said, has_chest_wall=True)
    assert (found.turn, found.mirror, found.source) == (0, True, "picture")
