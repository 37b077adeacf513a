"""What a report and a specimen say of the question that a model answers. One place says so for every figure.

A model's positive class is its own question. "Malignant" (and its kinds) is answered by pathology, and by an imaging
report that suspects it or not; BI-RADS 0 leaves it open, as a specimen that is not diagnostic does. "Abnormal" is
answered by the report alone: anything but BI-RADS 1.
"""

from __future__ import annotations

from cad_platform.reporting.vocabulary import Assessment, Diagnosis

_SUSPICIOUS = frozenset(
    {
        Assessment.SUSPICIOUS_LOW.value,
        Assessment.SUSPICIOUS_MODERATE.value,
        Assessment.SUSPICIOUS_HIGH.value,
        Assessment.HIGHLY_SUGGESTIVE.value,
        Assessment.KNOWN.value,
    }
)
_UNSUSPICIOUS = frozenset(
    {Assessment.NEGATIVE.value, Assessment.BENIGN.value, Assessment.PROBABLY_BENIGN.value}
)
_MALIGNANT = frozenset({Diagnosis.IN_SITU.value, Diagnosis.INVASIVE.value})
_NOT_MALIGNANT = frozenset({Diagnosis.NORMAL.value, Diagnosis.BENIGN.value, Diagnosis.ATYPIA.value})
#: BI-RADS assessments from the least to the most suspicious. 0 leaves the question open, 6 knows the answer.
SUSPICION = (
    Assessment.NEGATIVE.value,
    Assessment.BENIGN.value,
    Assessment.PROBABLY_BENIGN.value,
    Assessment.SUSPICIOUS_LOW.value,
    Assessment.SUSPICIOUS_MODERATE.value,
    Assessment.SUSPICIOUS_HIGH.value,
    Assessment.HIGHLY_SUGGESTIVE.value,
)
_ABNORMAL = "abnormal"
#: Positive classes that mean invasive carcinoma alone.
_INVASIVE_ONLY = frozenset({"idc", "invasive", "invasive_carcinoma"})


def said_positive(positive_class: str, conclusion: str) -> bool | None:
    """Whether a report's conclusion is what the model calls positive; None where it leaves it open."""
    if conclusion in _SUSPICIOUS or conclusion in _UNSUSPICIOUS:
        if positive_class == _ABNORMAL:
            return conclusion != Assessment.NEGATIVE.value
        return conclusion in _SUSPICIOUS
    return proven_positive(positive_class, conclusion)


def settled(positive_class: str, proven: bool | None, said: bool | None) -> bool | None:
    """What counts as the truth of a case: pathology, else a final report that leaves no open question. A suspicion that
    no specimen answered is none, where the question is one of pathology."""
    if proven is not None:
        return proven
    return said if said is False or positive_class == _ABNORMAL else None


def proven_positive(positive_class: str, diagnosis: str) -> bool | None:
    """The same by a specimen's diagnosis. Of "abnormal" it says nothing: a benign lesion is one too."""
    if positive_class == _ABNORMAL or diagnosis not in _MALIGNANT | _NOT_MALIGNANT:
        return None
    if positive_class in _INVASIVE_ONLY:
        return diagnosis == Diagnosis.INVASIVE.value
    return diagnosis in _MALIGNANT
