"""What a reader study comes to, as the command and the platform's page tell it."""

from __future__ import annotations

from inference.challenges import mrmc
from inference.challenges.reader_scores import NestedStudy, Study
from inference.challenges.report import Report, Table
from inference.evaluation.plots import Points, roc, thinned


def report_of(study: Study | NestedStudy) -> Report:
    """Components, every reader's AUCs, the three tests and all differences.

    Raises
    ------
    ChallengeError
        See `mrmc.tests`.
    """
    own = mrmc.components(study)
    found = mrmc.tests(own)
    names = study.modalities
    if isinstance(study, Study):
        f, freedom = mrmc.of_pseudovalues(study)
        design = "every reader has read every case"
        note = (
            f"Dorfman, Berbaum and Metz's pseudovalues by another computation: F {f:.4f} with {freedom:.2f} "
            "degrees of freedom, the same as of the first row."
        )
    else:
        # Of cases that only one reader has read the third answer is the first: F = MS(T) / MS(TR) both times.
        found = found[:2]
        design = "every reader has read cases of their own (nested in readers)"
        note = (
            "Cases are nested in readers (Hillis 2014): Cov2 and Cov3 are 0, and F is MS(T) / MS(TR). Readers "
            "count alike, however many cases each has read."
        )
    return Report(
        "mrmc", "Do readers see more with one modality than with another?",
        {
            "design": design, "readers": len(study.readers), "modalities": ", ".join(names), "cases": len(study.truth),
            "positive cases": int(study.truth.sum()),
            "Var, Cov1, Cov2, Cov3": ", ".join(
                f"{value:.8f}" for value in (own.variance, own.cov1, own.cov2, own.cov3)
            ),
            "MS(T), MS(R), MS(TR)": ", ".join(
                f"{value:.8f}" for value in (own.between_modalities, own.between_readers, own.interaction)
            ),
        },
        [
            Table("readers", "AUC by reader, interval over cases", ("reader", *names),
                  [(reader, *figures) for reader, figures in mrmc.readers_of(study)]),
            Table("modalities", "Mean AUC, for readers and cases like these", ("modality", "AUC"),
                  [(name, mrmc.alone(study, number)) for number, name in enumerate(names)]),
            Table("tests", "Are all modalities equal?", ("speaks of", "F", "df", "df of the error", "p"),
                  [(test.population, test.f, len(names) - 1, test.freedom, test.p) for test in found]),
            Table("differences", "Differences of AUC", ("speaks of", "first", "second", "difference", "SE", "p"),
                  [(test.population, names[one.first], names[one.second], one.figure, one.error, one.p)
                   for test in found for one in test.differences]),
        ],
        notes=[
            "Obuchowski and Rockette 1995 with Hillis' degrees of freedom (2007); covariances by the jackknife. "
            "The first row of tests is the one to report: readers and cases are both samples.",
            note,
        ],
    )  # fmt: skip


def curves_of(study: Study | NestedStudy) -> dict[str, dict[str, Points]]:
    """Reader → modality → the empirical ROC curve."""
    return {
        reader: {
            modality: thinned(roc(truth, own)) for modality, own in zip(study.modalities, scores, strict=True)
        }
        for number, reader in enumerate(study.readers)
        for truth, scores in [study.of_reader(number)]
    }
