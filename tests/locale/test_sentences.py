"""Whatever a lower floor says why there is no picture or no result, a Chinese reader is told in Chinese: every sentence
of `imaging` and `inference` is read from their code."""

from __future__ import annotations

import re

import pytest
from django.utils.translation import override

from cad_platform.analysis.reasons import reason_words
from cad_platform.core.sentences import Sentences
from cad_platform.studies import kept_aside
from cad_platform.studies.file_words import file_words, note_words, object_words
from cad_platform.studies.sorting import REASONS
from imaging import character_sets
from tests.locale.latin import english_words
from tests.locale.lower_floors import ANALYSIS_ERRORS, IMAGING_ERRORS, given, not_analysed, raised

#: What a value may be that differs: no word of it is ours to translate.
_VALUES = {"what": "time points", "because": ": Localizer"}
_FILLED = re.compile(r"%\((\w+?)\d*\)s")


def filled(template: str) -> str:
    return _FILLED.sub(lambda place: _VALUES.get(place[1], "12"), template)


def unsaid(sentences: set[str], words: object) -> list[str]:
    """Those that are not said in Chinese."""
    with override("zh-hans"):
        said = {sentence: words(filled(sentence)) for sentence in sentences}  # type: ignore[operator]
    return sorted(
        f"{came} → {shown}" for came, shown in said.items() if english_words(shown) or "原文" in shown
    )


def test_every_sentence_of_the_decoders_is_said_in_chinese() -> None:
    sentences = {sentence for sentence, _file in raised("imaging", IMAGING_ERRORS)}
    sentences |= {sentence for sentence, _file in raised("cad_platform/studies", IMAGING_ERRORS)}
    assert len(sentences) > 100
    assert unsaid(sentences, file_words) == []
    # The same stands in a job's reason where a model could not read the image.
    assert unsaid(sentences, reason_words) == []


def test_every_reason_of_a_model_and_of_the_model_servers_is_said_in_chinese() -> None:
    sentences = {
        sentence for folder in ("inference", "cad_platform/analysis") for sentence, _ in not_analysed(folder)
    }
    for folder in ("inference/runtime", "cad_platform/modelserver", "cad_platform/analysis"):
        sentences |= {sentence for sentence, _file in raised(folder, ANALYSIS_ERRORS)}
    whole = {
        sentence
        for sentence in sentences
        # Not those that are begun here and ended by their values: they are tested with them below.
        if not sentence.endswith((" at ", " of ", "(", " are ", "it: ")) and "%(what" not in sentence
        if _FILLED.sub("", sentence) != "not analysed: "
    }
    assert len(whole) > 12
    assert unsaid(whole, reason_words) == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "the model server does not answer: ReadTimeout (8 attempts)",
            "模型服务器未响应（应答超时）。已尝试 8 次。",
        ),
        (
            "the model server does not answer: status 503; the hosts that answer do not have mammography 2.2.0",
            "模型服务器未响应（状态码 503；有应答的主机均未加载 mammography 2.2.0）。",
        ),
        ("not analysed: 900 µm per pixel; this model reads 10 to 200", None),
        ("not analysed: 900 µm per pixel; this model reads up to 200 (image 2)", None),
        ("not analysed: 0.1 × 0.2 µm per pixel; this model reads 1 or more", None),
        ("not analysed: an image of 90000 × 90000 pixels; this model reads up to 100 million", None),
        (
            "not analysed: mammography reads MG studies, this one is US",
            "此模型只读取乳腺 X 线摄影检查，而本检查为超声。",
        ),
        ("not analysed: whole slides are not read by this model", "此模型不读取全切片图像。"),
        ("not analysed: single images are not read by this model", "此模型不读取单幅图像。"),
        ("not analysed: 65 images, at most 64 are read together", None),
        ("not analysed: The slide is incomplete: of its 9 parts number 2, 3, … is missing.", None),
        ("not analysed: The slide is incomplete: of its 12 tiles 6 are there.", None),
        (
            "not analysed: the study has no image that this model reads: Localizer; "
            "Special view (S, M): the models read standard views",
            "该检查没有此模型可读的图像：定位像；特殊体位（S、M）：模型只读标准体位。",
        ),
        ("The storage does not answer. Nothing was stored.", "存储无响应。未存储任何内容。"),
    ],
)
def test_what_stands_within_a_reason_is_said_too(reason: str, said: str | None) -> None:
    with override("zh-hans"):
        words = reason_words(reason)
    assert english_words(words, also=("mammography",)) == []
    assert words.count("，") + words.count("：") + words.count("；") + words.count("。") > 0
    if said is not None:
        assert words == said


def test_what_nobody_knows_is_marked_as_somebody_elses_words() -> None:
    with override("zh-hans"):
        assert (
            reason_words("not analysed: a model of tomorrow says so") == "原文：A model of tomorrow says so."
        )


def test_objects_that_show_no_image_are_named_in_chinese() -> None:
    names = {*kept_aside._OBJECTS.values(), *given("cad_platform/studies/describing.py", "NoImage")}
    names |= {
        "private data",
        "secondary capture without a picture",
        "label of a slide",
        "overview of a slide",
    }
    names |= {"thumbnail of a slide", kept_aside.other_image("CT"), kept_aside.other_image("")}
    with override("zh-hans"):
        assert [name for name in sorted(names) if english_words(object_words(name), also=("CT",))] == []


def test_why_an_image_is_kept_aside_is_said_in_chinese() -> None:
    with override("zh-hans"):
        assert [code for code, words in REASONS.items() if english_words(filled(str(words)))] == []


def test_notes_of_a_headers_values_are_said_in_chinese() -> None:
    notes = {
        "SOPInstanceUID is not a valid UID.",
        "StudyInstanceUID is not written as the standard asks; it is kept as it is.",
        "PatientID could not be read. The header's text is not ASCII and names no character set.",
        "The patient's name could not be read. Its bytes do not fit the header's character set.",
        "PatientBirthDate is not a date of birth.",
        "StudyDate is not a date.",
    }
    begun = "The header's text names no character set; it was read as GB18030, by "
    notes |= {begun + "its own escapes.", begun + "what the site's devices use."}
    notes.add(
        "The header's text does not announce its character set; it was read as ISO 2022 IR 58, which the header names."
    )
    torn = "The header's text is not in the character set that it names (ISO_IR 100); it was read as GB18030, by "
    notes |= {torn + "its own escapes.", torn + "what the site's devices use."}
    with override("zh-hans"):
        said = {note: note_words(note) for note in notes}
    keywords = ("SOPInstanceUID", "StudyInstanceUID", "PatientID", "GB18030", "ISO_IR")
    assert {note: words for note, words in said.items() if english_words(words, also=keywords)} == {}
    assert character_sets.REPLACED not in "".join(said.values())


def test_the_longer_of_two_patterns_is_the_one_that_is_meant() -> None:
    table = Sentences({"%(a)s is missing": "%(a)s", "part %(a)s is missing": "part %(a)s"})
    assert table.words("part 3 is missing") == "part 3"
    assert table.words("all is well") is None
