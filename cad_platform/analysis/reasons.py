"""Why there is no result, in the reader's language.

Models and workers speak English and plain sentences: they know no language of a reader, and their sentences travel over
wires and stand in logs. The known ones are recognised here and said in words that can be translated, those of the
decoders in `studies.file_words`; another is shown as it came. `AnalysisJob.reason` keeps the sentence itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.utils.translation import gettext, gettext_noop, override
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.core.punctuation import clauses
from cad_platform.core.sentences import Sentences, as_it_came
from cad_platform.modelserver.words import OF_CALLS, TROUBLES
from cad_platform.studies.file_words import file_kind, file_sentence
from cad_platform.studies.sorting import REASONS

#: `reason_kind` of a sentence that no table has.
OTHER_REASON = "another"
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
    "an image of %(columns)s × %(rows)s pixels at %(spacing)s µm per pixel would take %(needed)s GB of memory, at most "
    "%(most)s GB are spent on one": gettext_noop(
        "The image has %(columns)s × %(rows)s pixels, said to be %(spacing)s µm wide; to read it would take "
        "%(needed)s GB of memory, and at most %(most)s GB are spent on one image."
    ),
    "an image of %(columns)s × %(rows)s pixels would take %(needed)s GB of memory, at most %(most)s GB are "
    "spent on one": gettext_noop(
        "The image has %(columns)s × %(rows)s pixels; to read it would take %(needed)s GB of memory, and at most "
        "%(most)s GB are spent on one image."
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
    "%(model)s %(version)s was asked for, %(other)s %(served)s is served": gettext_noop(
        "Another version of the model is served than was asked for."
    ),
    "%(model)s %(version)s needs the pipeline %(name)s, which is not installed here (%(names)s)": gettext_noop(
        "The model cannot be loaded on this server."
    ),
    # cad_platform/modelserver
    "%(version)s is not served here: %(error)s": gettext_noop("The model cannot be served on this server."),
    "what comes before the network cannot work with it: %(words)s": gettext_noop(
        "The steps before the network cannot work with this image."
    ),
    "the network refuses its own input: %(error)s": gettext_noop(
        "The model cannot be loaded on this server."
    ),
    "the network of %(version)s cannot be loaded": gettext_noop("The model cannot be loaded on this server."),
    "the model server's answer cannot be read": gettext_noop("The model server's answer cannot be read."),
    "the model server refused the input (status %(status)s)": gettext_noop(
        "The model server refused the input (status %(status)s)."
    ),
    "no model server has %(version)s": gettext_noop("No model server has %(version)s."),
    "every model server that has %(version)s answers its known case wrongly": gettext_noop(
        "Every model server that has %(version)s answers its known case wrongly, so none is given work."
    ),
    "the input is larger than any model server takes": gettext_noop(
        "The input is larger than any model server takes."
    ),
    "the model servers' addresses cannot be read": gettext_noop(
        "The model servers' addresses cannot be read."
    ),
    # analysis/runner.py and transitions.py
    "the model server does not answer: %(why)s": gettext_noop("The model server did not answer (%(why)s)."),
    "the analysis took longer than a worker may spend on it": gettext_noop("The analysis took too long."),
    "an unexpected error (%(kind)s)": gettext_noop("An unexpected error (%(kind)s)."),
    "the worker stopped answering": gettext_noop("The analysis was interrupted."),
    "an administrator cancelled it": gettext_noop("An administrator cancelled it."),
    "the study was withdrawn": gettext_noop("The study was withdrawn."),
    "the study was changed: images arrived, or something was corrected": gettext_noop(
        "The study was changed: images arrived, or something was corrected."
    ),
    "%(version)s is used now": gettext_noop("%(version)s is used now."),
    "the machine was short of memory": gettext_noop("The server was short of memory."),
}
#: What stands within another sentence.
_PARTS = Sentences(
    TROUBLES,
    also=(
        *OF_CALLS,
        gettext_noop("up to %(high)s"),
        gettext_noop("%(low)s or more"),
        gettext_noop("%(low)s to %(high)s"),
    ),
)
_OTHERS = re.compile(r"; the hosts that answer do not have (?P<version>.+)$")
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


def reason_kind(reason: str) -> str:
    """What kind of reason it is, for counting: its sentence without what differs from case to case; "another" for one
    that no table has, since it could name anything. Empty for none."""
    text = reason.removeprefix(_REFUSAL).strip()
    if not text:
        return ""
    for pattern in (_ATTEMPTS, _IMAGE):
        if found := pattern.search(text):
            text = text[: found.start()]
    table = _TABLE.found(text)
    return table[0] if table else file_kind(text) or OTHER_REASON


def _said(text: str) -> str:
    found = _TABLE.found(text)
    if found is None:
        # What a service of the platform said is a message as it stands.
        said = gettext(text)
        return file_sentence(text) or (said if said != text else as_it_came(text))
    message, values = found
    return (
        gettext(message) % {name: _within(name, value) for name, value in values.items()}
        if values
        else gettext(message)
    )


def _within(name: str, value: str) -> str:
    """What stands in a sentence's place, where it is words itself."""
    if name == "modality" or name == "read":
        return modalities.name_of(value) if modalities.is_registered(value) else value
    if name == "why":
        others = _OTHERS.search(value)
        if others:
            why = _within(name, value[: others.start()])
            return _("%(why)s; the hosts that answer do not have %(version)s") % {
                "why": why,
                "version": others["version"],
            }
        return clauses(_kept_aside(each) or _PARTS.words(each) or each for each in value.split("; "))
    return _PARTS.words(value) or value if name == "range" else value


def _kept_aside(reason: str) -> str | None:
    """Why an image is not read (`studies.sorting.REASONS`), as `suitability` writes it, in English."""
    return _kept_aside_reasons().words(reason)


@lru_cache(maxsize=1)
def _kept_aside_reasons() -> Sentences:
    with override("en"):
        return Sentences({}, also=[str(words) for words in REASONS.values()])


_TABLE = Sentences(_SENTENCES)
