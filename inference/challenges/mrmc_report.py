"""What a reader study comes to, as the command and the platform's page tell it."""

from __future__ import annotations

from inference.challenges import mrmc
from inference.challenges.reader_scores import Study
from inference.challenges.report import Report, Table
from inference.evaluation.plots import Points, roc, thinned


def report_of(study: Study) -> Report:
    """Components, every reader's AUCs, the three tests and all differences.

    Raises
    ------
    ChallengeError
        See `mrmc.tests`.
    """
    own = mrmc.components(study)
    found = mrmc.tests(own)
    f, freedom = mrmc.of_pseudovalues(study)
    names = study.modalities
    return Report(
        "mrmc", "Do readers see more with one modality than with another?",
        {
            "readers": len(study.readers), "modalities": ", ".join(names), "cases": len(study.truth),
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
            f"Dorfman, Berbaum and Metz's pseudovalues by another computation: F {f:.4f} with {freedom:.2f} "
            "degrees of freedom, the same as of the first row.",
        ],
    )  # fmt: skip


def curves_of(study: Study) -> dict[str, dict[str, Points]]:
    """Reader → modality → the empirical ROC curve."""
    return {
        reader: {
            modality: thinned(roc(study.truth, study.scores[place, number]))
            for place, modality in enumerate(study.modalities)
        }
        for number, reader in enumerate(study.readers)
    }
