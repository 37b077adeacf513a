"""Sentences as people write them, beside what is coded: those that must stop a signature, and those that must not.

One sentence a line in `sentences/CODES.LANGUAGE.txt`, first those that contradict the codes, then those that agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cad_platform.reporting.consistency.case import Case
from tests.reporting.consistency.cases import (
    BENIGN,
    CALM,
    INVASIVE,
    RIGHT_4C,
    imaging,
    pathology,
    stops,
    warnings,
)

SENTENCES = Path(__file__).with_name("sentences")
CODES: Mapping[str, tuple[Callable[..., Case], Mapping[str, Any]]] = {
    "right_4c": (imaging, RIGHT_4C),
    "calm": (imaging, CALM),
    "invasive": (pathology, INVASIVE),
    "benign": (pathology, BENIGN),
}


def sentences(*languages: str) -> Iterator[tuple[str, str, bool]]:
    """Each sentence with the codes that it stands beside, and whether it contradicts them."""
    for codes in CODES:
        for language in languages or ("en", "zh"):
            contradicts = True
            for line in (SENTENCES / f"{codes}.{language}.txt").read_text(encoding="utf-8").splitlines():
                if line in ("[stop]", "[agree]"):
                    contradicts = line == "[stop]"
                else:
                    yield codes, line, contradicts


@pytest.mark.parametrize(("codes", "words", "contradicts"), list(sentences()))
def test_a_sentence_stops_where_it_contradicts_and_nowhere_else(
    codes: str, words: str, contradicts: bool
) -> None:
    make, coded = CODES[codes]
    found = stops(make(dict(coded), words))
    assert bool(found) == contradicts, f"{words}: {found or 'nothing'}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_are_enough_of_each_kind(language: str) -> None:
    each = list(sentences(language))
    for contradicts in (True, False):
        assert len({words for _, words, stopped in each if stopped is contradicts}) >= 60


#: The same in both languages.
PAIRS = [
    ("right_4c", "Biopsy of the left breast.", "建议左乳活检。"),
    ("right_4c", "Suspicious mass of the left breast.", "左乳可疑肿块。"),
    ("right_4c", "Left breast: carcinoma.", "左乳：癌。"),
    ("right_4c", "Bilateral biopsy.", "双乳活检。"),
    ("right_4c", "Both breasts are unremarkable.", "双乳未见异常。"),
    ("right_4c", "No evidence of malignancy.", "未见恶性征象。"),
    ("right_4c", "The right breast is normal.", "右乳正常。"),
    ("right_4c", "Right breast: no suspicious mass.", "右乳：未见可疑肿块。"),
    ("right_4c", "BI-RADS 2.", "BI-RADS 2类。"),
    ("right_4c", "Right breast BI-RADS 3.", "右乳BI-RADS 3类。"),
    ("right_4c", "No biopsy is needed.", "无需活检。"),
    ("right_4c", "Routine screening.", "常规筛查。"),
    ("right_4c", "Extremely dense.", "极度致密。"),
    ("right_4c", "Left breast mass.", "左乳肿块。"),
    ("right_4c", "Left breast cancer, treated 2010. Right: suspicious.", "左乳癌术后。右乳可疑。"),
    ("right_4c", "Mother had left breast cancer.", "母亲左乳癌。"),
    ("right_4c", "Malignancy of the left breast cannot be excluded.", "左乳恶性不能排除。"),
    ("right_4c", "If it grows, biopsy of the left breast.", "若增大，左乳活检。"),
    ("right_4c", "Compared with the left breast, suspicious mass right.", "与左乳相比，右乳可疑肿块。"),
    ("right_4c", "Left breast: not suspicious.", "左乳：不可疑。"),
    ("right_4c", "Benign change.", "良性改变。"),
    ("calm", "Suspicious mass.", "可疑肿块。"),
    ("calm", "Biopsy: fibroadenoma.", "活检：纤维腺瘤。"),
    ("calm", "Surgical excision.", "手术切除。"),
    ("calm", "Not malignant.", "非恶性。"),
    ("invasive", "Benign fibroadenoma, no malignancy.", "良性纤维腺瘤，未见恶性。"),
    ("invasive", "Ductal carcinoma in situ.", "导管原位癌。"),
    ("invasive", "Right breast: invasive carcinoma NST.", "右乳：浸润性导管癌。"),
    ("invasive", "Invasive lobular carcinoma.", "浸润性小叶癌。"),
    ("invasive", "Invasive carcinoma NST, grade 1.", "浸润性导管癌，1级。"),
    ("invasive", "Invasive carcinoma NST, HER2 negative.", "浸润性导管癌，HER2 阴性。"),
    ("benign", "Invasive carcinoma.", "浸润性癌。"),
    ("benign", "Atypical hyperplasia.", "不典型增生。"),
    ("benign", "Fibroadenoma, no carcinoma.", "纤维腺瘤，未见癌。"),
]


@pytest.mark.parametrize(("codes", "english", "chinese"), PAIRS)
def test_the_same_in_both_languages_breaks_the_same_rules(codes: str, english: str, chinese: str) -> None:
    make, coded = CODES[codes]
    one, other = make(dict(coded), english), make(dict(coded), chinese)
    assert (stops(one), warnings(one)) == (stops(other), warnings(other))
