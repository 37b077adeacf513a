"""The coded words of a report: BI-RADS (ACR, 5th edition) for imaging; for histopathology the Nottingham
grade and the receptors of a synoptic report."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Density(models.TextChoices):
    """BI-RADS breast composition."""

    A = "a", _("a – almost entirely fatty")
    B = "b", _("b – scattered areas of fibroglandular density")
    C = "c", _("c – heterogeneously dense, which may obscure small masses")
    D = "d", _("d – extremely dense, which lowers the sensitivity of mammography")


class Assessment(models.TextChoices):
    """BI-RADS assessment categories."""

    INCOMPLETE = "0", _("0 – incomplete, additional imaging needed")
    NEGATIVE = "1", _("1 – negative")
    BENIGN = "2", _("2 – benign")
    PROBABLY_BENIGN = "3", _("3 – probably benign")
    SUSPICIOUS_LOW = "4A", _("4A – low suspicion for malignancy")
    SUSPICIOUS_MODERATE = "4B", _("4B – moderate suspicion for malignancy")
    SUSPICIOUS_HIGH = "4C", _("4C – high suspicion for malignancy")
    HIGHLY_SUGGESTIVE = "5", _("5 – highly suggestive of malignancy")
    KNOWN = "6", _("6 – known biopsy-proven malignancy")


#: From least to most in need of action; the exam is as serious as its more serious breast (BI-RADS, FAQ).
SERIOUSNESS = ("1", "2", "3", "6", "0", "4A", "4B", "4C", "5")


class Recommendation(models.TextChoices):
    ROUTINE = "routine", _("Routine screening")
    ADDITIONAL_IMAGING = "additional_imaging", _("Additional imaging")
    PRIORS = "priors", _("Comparison with earlier examinations")
    SHORT_INTERVAL = "short_interval", _("Short-interval follow-up (6 months)")
    TISSUE_DIAGNOSIS = "tissue_diagnosis", _("Tissue diagnosis")
    TREATMENT = "treatment", _("Surgical excision or treatment when clinically appropriate")
    OTHER = "other", _("Other (say why)")


_TISSUE = (Recommendation.TISSUE_DIAGNOSIS, Recommendation.OTHER)
#: The management that BI-RADS links to each assessment; anything else is "other" and says why.
RECOMMENDATIONS_FOR: dict[str, tuple[Recommendation, ...]] = {
    "0": (Recommendation.ADDITIONAL_IMAGING, Recommendation.PRIORS, Recommendation.OTHER),
    "1": (Recommendation.ROUTINE, Recommendation.OTHER),
    "2": (Recommendation.ROUTINE, Recommendation.OTHER),
    "3": (Recommendation.SHORT_INTERVAL, Recommendation.OTHER),
    "4A": _TISSUE,
    "4B": _TISSUE,
    "4C": _TISSUE,
    "5": _TISSUE,
    "6": (Recommendation.TREATMENT, Recommendation.OTHER),
}


class Specimen(models.TextChoices):
    CORE_BIOPSY = "core_biopsy", _("Core needle biopsy")
    VACUUM_BIOPSY = "vacuum_biopsy", _("Vacuum-assisted biopsy")
    EXCISION = "excision", _("Wide local excision")
    MASTECTOMY = "mastectomy", _("Mastectomy")
    OTHER = "other", _("Other specimen")


#: Specimens whose margins decide what happens next.
EXCISIONS = frozenset({Specimen.EXCISION, Specimen.MASTECTOMY})


class Diagnosis(models.TextChoices):
    NORMAL = "normal", _("Normal breast tissue")
    BENIGN = "benign", _("Benign lesion")
    ATYPIA = "atypia", _("Lesion with atypia or of uncertain potential")
    IN_SITU = "in_situ", _("Carcinoma in situ")
    INVASIVE = "invasive", _("Invasive carcinoma")
    NOT_DIAGNOSTIC = "not_diagnostic", _("Not diagnostic")


class InvasiveType(models.TextChoices):
    """WHO Classification of Breast Tumours, 5th edition, the common types."""

    NST = "nst", _("Invasive carcinoma of no special type")
    LOBULAR = "lobular", _("Invasive lobular carcinoma")
    TUBULAR = "tubular", _("Tubular carcinoma")
    CRIBRIFORM = "cribriform", _("Cribriform carcinoma")
    MUCINOUS = "mucinous", _("Mucinous carcinoma")
    MICROPAPILLARY = "micropapillary", _("Invasive micropapillary carcinoma")
    METAPLASTIC = "metaplastic", _("Metaplastic carcinoma")
    MIXED = "mixed", _("Mixed or other type (say which)")


class Margins(models.TextChoices):
    NEGATIVE = "negative", pgettext_lazy("margins", "Clear")
    CLOSE = "close", pgettext_lazy("margins", "Close")
    POSITIVE = "positive", pgettext_lazy("margins", "Involved")
    NOT_APPLICABLE = "not_applicable", _("Not applicable")


class Presence(models.TextChoices):
    PRESENT = "present", _("Present")
    ABSENT = "absent", _("Not seen")
    INDETERMINATE = "indeterminate", _("Indeterminate")


class HormoneReceptor(models.TextChoices):
    """ASCO/CAP 2020: below 1 % negative, 1–10 % low positive (ER)."""

    POSITIVE = "positive", _("Positive")
    LOW_POSITIVE = "low_positive", _("Low positive (1–10 %)")
    NEGATIVE = "negative", _("Negative")
    NOT_PERFORMED = "not_performed", _("Not performed")


class Her2Ihc(models.TextChoices):
    """HER2 immunohistochemistry score (ASCO/CAP 2023)."""

    ZERO = "0", _("0")
    ONE = "1+", _("1+")
    TWO = "2+", _("2+ (equivocal)")
    THREE = "3+", _("3+ (positive)")
    NOT_PERFORMED = "not_performed", _("Not performed")


class Her2Ish(models.TextChoices):
    AMPLIFIED = "amplified", _("Amplified")
    NOT_AMPLIFIED = "not_amplified", _("Not amplified")
    PENDING = "pending", _("Requested, result pending")
    NOT_PERFORMED = "not_performed", _("Not performed")


class Laterality(models.TextChoices):
    RIGHT = "R", _("Right")
    LEFT = "L", _("Left")


def nottingham_total(tubules: int | None, nuclei: int | None, mitoses: int | None) -> int | None:
    """The sum of the three scores (3–9), or None while one is missing."""
    if tubules is None or nuclei is None or mitoses is None:
        return None
    return tubules + nuclei + mitoses


def nottingham_grade(total: int | None) -> int | None:
    """Elston and Ellis 1991: 3–5 is grade 1, 6–7 grade 2, 8–9 grade 3."""
    if total is None:
        return None
    return 1 if total <= 5 else 2 if total <= 7 else 3
