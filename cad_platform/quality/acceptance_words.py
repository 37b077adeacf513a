"""What the laboratory says of an acceptance (`inference.evaluation.acceptance`), in the language in use."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_noop

from cad_platform.core.sentences import Sentences, as_it_came

_TABLE = Sentences(
    {
        "%(count)s images were read, %(needed)s are needed": gettext_noop(
            "%(count)s images were read; %(needed)s are needed."
        ),
        "%(count)s patients with the disease, %(needed)s are needed": gettext_noop(
            "%(count)s patients with the disease; %(needed)s are needed."
        ),
        "%(count)s patients without the disease, %(needed)s are needed": gettext_noop(
            "%(count)s patients without the disease; %(needed)s are needed."
        ),
        "the AUC cannot be computed": gettext_noop("The AUC cannot be computed."),
        "the AUC is %(auc)s: as promised, but with so few cases it may lie below %(least)s": gettext_noop(
            "The AUC is %(auc)s: as promised, but with so few cases it may lie below %(least)s."
        ),
        "the AUC is %(auc)s; the card promises %(promised)s or more": gettext_noop(
            "The AUC is %(auc)s; the model's card promises %(promised)s or more."
        ),
        "%(share)s of the images get no verdict (not read, or held back by the gate); at most %(most)s may": (
            gettext_noop(
                "%(share)s of the images get no verdict (not read, or held back as unlike); at most %(most)s may."
            )
        ),
        "%(share)s of the images get no verdict: they are read without the model": gettext_noop(
            "%(share)s of the images get no verdict: they are read without the model."
        ),
        "the %(point)s point does not hold: sensitivity %(sensitivity)s, specificity %(specificity)s; the card says "
        "%(home_sensitivity)s and %(home_specificity)s": gettext_noop(
            "The operating point %(point)s does not hold: sensitivity %(sensitivity)s, specificity %(specificity)s; "
            "the card says %(home_sensitivity)s and %(home_specificity)s."
        ),
        "the %(point)s point does not hold: sensitivity %(sensitivity)s, specificity %(specificity)s": gettext_noop(
            "The operating point %(point)s does not hold: sensitivity %(sensitivity)s, specificity %(specificity)s."
        ),
        "no shipped operating point holds here: local thresholds (see the proposal), confirmed on new cases first": (
            gettext_noop(
                "No shipped operating point holds here: use local thresholds (see the proposal), confirmed on new "
                "cases first."
            )
        ),
        "only at the operating points that hold: %(points)s": gettext_noop(
            "Only at the operating points that hold: %(points)s."
        ),
        "not for %(group)s: its AUC is %(auc)s": gettext_noop("Not for %(group)s: its AUC is %(auc)s."),
        "probabilities are further off than chance (calibration error %(error)s, at most %(most)s expected): the local "
        "recalibration, confirmed on new cases first": gettext_noop(
            "Probabilities are further off than chance (calibration error %(error)s, at most %(most)s expected): use "
            "the local recalibration, confirmed on new cases first."
        ),
        "the images differ from the model's own (%(features)s): expect the figures measured here, not the card's, and "
        "measure again when a scanner or its settings change": gettext_noop(
            "The images differ from the model's own (%(features)s): expect the figures measured here, not the card's, "
            "and measure again when a scanner or its settings change."
        ),
        "no shift test: %(why)s": gettext_noop("There is no shift test: %(why)s."),
        "%(count)s images gave no result and count as without a verdict": gettext_noop(
            "%(count)s images gave no result and count as without a verdict."
        ),
        "nothing was changed: thresholds and calibration stay as shipped until somebody decides otherwise": (
            gettext_noop(
                "Nothing was changed: thresholds and calibration stay as they are until two people decide otherwise."
            )
        ),
        "%(model)s was trained on %(count)s of these cases (%(lines)s of the table): they say nothing of how it reads "
        "others; leave them out": gettext_noop(
            "%(model)s was trained on %(count)s images of these cases: they say nothing of how it reads others; leave "
            "them out."
        ),
        "%(image)s: it has no image that this model reads": gettext_noop(
            "%(image)s: it has no image that this model reads."
        ),
        "%(image)s: \u00b5m per pixel missing": gettext_noop(
            "%(image)s: the image does not say how large its pixels are."
        ),
        "%(image)s: it needs more memory than the measurement may use": gettext_noop(
            "%(image)s: it needs more memory than the measurement may use."
        ),
        "none of the cases can be measured": gettext_noop("None of the cases can be measured."),
        "the measurement needs more memory than the %(size)s MB that it may use": gettext_noop(
            "The measurement needs more memory than the %(size)s MB that it may use."
        ),
        "the measurement did not end (exit status %(status)s)": gettext_noop(
            "The measurement did not end (exit status %(status)s)."
        ),
    }
)


def in_words(sentences: Iterable[str]) -> list[str]:
    """Each as a sentence of the language in use; one that the table does not have as it came."""
    return [is_known(each) or as_it_came(each) for each in sentences]


def is_known(sentence: str) -> str | None:
    """A sentence's translation; None where the table does not have it."""
    return _TABLE.words(sentence)
