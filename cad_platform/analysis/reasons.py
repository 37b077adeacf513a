"""Why there is no result, in the reader's language.

Models, decoders and workers speak English and plain sentences: they know no language of a reader, and their sentences
travel over wires and stand in logs. The known ones are recognised here and said in words that can be translated;
another is shown as it came. `AnalysisJob.reason` keeps the sentence itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

#: What stands before the reason of a refusal; pages say it themselves.
_REFUSAL = "not analysed: "

#: A sentence as it comes, with `%(name)s` for what differs; said as it is, or in other words.
_SENTENCES: dict[str, str] = {
    # analysis/suitability.py
    "the study has no images": gettext_noop("The study has no images."),
    "the study has no image that this model reads": gettext_noop(
        "The study has no image that this model reads."
    ),
    "the study has no image that this model reads: %(why)s": gettext_noop(
        "The study has no image that this model reads: %(why)s."
    ),
    "%(count)s images, at most %(most)s are read together": gettext_noop(
        "The study has %(count)s images; this model reads at most %(most)s together."
    ),
    "whole slides are not read by this model": gettext_noop("This model does not read whole slides."),
    "single images are not read by this model": gettext_noop("This model does not read single images."),
    "µm per pixel missing": gettext_noop("The image does not say how large its pixels are."),
    # inference/runtime
    "the image's resolution (µm per pixel) is missing": gettext_noop(
        "The image does not say how large its pixels are."
    ),
    "no stained tissue was found in the image": gettext_noop("No stained tissue was found in the image."),
    "%(spacing)s µm per pixel; this model reads %(range)s": gettext_noop(
        "The image's pixels are said to be %(spacing)s µm wide; this model reads %(range)s."
    ),
    "an image of %(columns)s × %(rows)s pixels; this model reads up to %(most)s million": gettext_noop(
        "The image has %(columns)s × %(rows)s pixels; this model reads up to %(most)s million."
    ),
    "at %(spacing)s µm per pixel it would be %(width)s × %(height)s mm, more than this model reads (%(most)s mm²)": (
        gettext_noop(
            "At %(spacing)s µm per pixel the image would be %(width)s × %(height)s mm; this model reads up to "
            "%(most)s mm²."
        )
    ),
    "its pixels are not square (%(width)s × %(height)s µm)": gettext_noop(
        "The image's pixels are not square (%(width)s × %(height)s µm)."
    ),
    "its pixels are %(times)s times as high as wide": gettext_noop(
        "The image's pixels are %(times)s times as high as wide."
    ),
    "%(model)s reads %(read)s studies, this one is %(modality)s": gettext_noop(
        "This model reads %(read)s studies; this one is %(modality)s."
    ),
    "%(model)s reads single images, this is a whole-slide file": gettext_noop(
        "This model does not read whole slides."
    ),
    # imaging
    "The slide is incomplete: of its %(total)s parts number %(numbers)s is missing.": gettext_noop(
        "The slide is incomplete: of its %(total)s parts number %(numbers)s is missing."
    ),
    "The decoder was stopped because the machine ran short of memory.": gettext_noop(
        "The server was short of memory."
    ),
    "The machine is short of memory at the moment.": gettext_noop("The server was short of memory."),
    "the machine was short of memory": gettext_noop("The server was short of memory."),
    "The decoders are busy. Try again in a moment.": gettext_noop("The server was busy."),
    "No decoding process could be started.": gettext_noop("The server was busy."),
    "The decoding process ended twice without an answer.": gettext_noop("The server was busy."),
    "Decoding this file takes too long.": gettext_noop("Decoding the image takes too long."),
    "Decoding this file needs more memory than one file may have.": gettext_noop(
        "Decoding the image needs more memory than one image may have."
    ),
    "The file is damaged: its content contradicts itself.": gettext_noop(
        "The file is damaged: its content contradicts itself."
    ),
    "The file is damaged: its decoder failed on it.": gettext_noop(
        "The file is damaged and cannot be decoded."
    ),
    # analysis/runner.py and transitions.py
    "the model server does not answer: %(why)s": gettext_noop("The model server did not answer (%(why)s)."),
    "the analysis took longer than a worker may spend on it": gettext_noop("The analysis took too long."),
    "an unexpected error (%(kind)s)": gettext_noop("An unexpected error (%(kind)s)."),
    "the worker stopped answering": gettext_noop("The analysis was interrupted."),
    "the study was withdrawn": gettext_noop("The study was withdrawn."),
    "the study was changed: images arrived, or something was corrected": gettext_noop(
        "The study was changed: images arrived, or something was corrected."
    ),
    "%(version)s is used now": gettext_noop("%(version)s is used now."),
}
_IMAGE = re.compile(r" \(image (?P<number>\d+)\)$")
_ATTEMPTS = re.compile(r" \((?P<count>\d+) attempts\)$|; given up after .+$")


def reason_words(reason: str) -> str:
    """A job's reason (`AnalysisJob.reason`) as a sentence in the language in use; empty for none."""
    text = reason.removeprefix(_REFUSAL).strip()
    if not text:
        return ""
    tried = _ATTEMPTS.search(text)
    if tried:
        text = text[: tried.start()]
    place = _IMAGE.search(text)
    if place:
        text = text[: place.start()]
    said = _said(text)
    if place:
        said = _("Image %(number)d: %(sentence)s") % {"number": int(place["number"]), "sentence": said}
    if tried and tried["count"]:
        said = _("%(sentence)s Tried %(count)s times.") % {"sentence": said, "count": tried["count"]}
    return said


def _said(text: str) -> str:
    for pattern, words in _patterns():
        if found := pattern.fullmatch(text):
            return _(words) % found.groupdict() if found.groupdict() else _(words)
    sentence = text[:1].upper() + text[1:]
    return sentence if sentence.endswith((".", "。")) else f"{sentence}."


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    def pattern(sentence: str) -> re.Pattern[str]:
        parts = re.split(r"%\((\w+)\)s", sentence)
        return re.compile(
            "".join(f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)),
            re.DOTALL,
        )

    return tuple((pattern(sentence), words) for sentence, words in _SENTENCES.items())
