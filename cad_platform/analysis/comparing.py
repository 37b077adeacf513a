"""Two versions on the same studies: how far they agree, and by known cases which is better.

What a version said of a study is its job's score, or what it said in shadow. A study that both have looked at, of which
one or both gave no score, is neither agreement nor disagreement: it is counted apart. The database pairs and counts
them (`pairing`): here come figures of sites, a few studies, and the known cases of one site at a time. A comparison of
each site is kept in the registry, which promotes by it (`registry.evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.analysis import pairing
from cad_platform.analysis.pairing import Counts, Levels, Pair
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.registry import evidence
from cad_platform.registry.history import record_of
from cad_platform.registry.models import Comparison, ModelVersion
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import scored

COMPARE_TOPIC = "model.compare"
#: Of each kind; with fewer known cases of a site nothing is said.
ENOUGH = 10
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Pictured:
    """Such a study, and the image that stands for it; None where it has none."""

    pair: Pair
    image: object | None


@dataclass(frozen=True)
class WithoutScore:
    """Studies that one version gave no score of: its result was no verdict (images unlike what it knows), it did not
    analyse them (what it needs is missing, or they are not for it), or it failed."""

    no_verdict: int = 0
    not_analysed: int = 0
    failed: int = 0

    @property
    def studies(self) -> int:
        return self.no_verdict + self.not_analysed + self.failed


@dataclass(frozen=True)
class Unscored:
    """Studies that both have looked at and that at least one gave no score of."""

    by_version: WithoutScore
    by_against: WithoutScore
    by_both: int

    @property
    def studies(self) -> int:
        return self.by_version.studies + self.by_against.studies - self.by_both


@dataclass(frozen=True)
class Agreement:
    """How far two versions agree at one place.

    Attributes
    ----------
    studies
        Those that both gave a score of: what the other figures are of.
    unscored
        Those that both have looked at, and one or both gave no score of.
    flips, kappa
        Studies on two sides of the balanced operating point, and Cohen's kappa of the sides; `kappa` is None where it
        cannot be said.
    level, level_against
        Where that point lies for each version at a site: the site's own that is in force, else as shipped. None of all
        sites together, where each site's count, and of a version without such a point.
    """

    place: str
    studies: int
    unscored: Unscored
    mean_gap: float
    largest_gap: float
    flips: int
    kappa: float | None
    comparison: Comparison | None
    level: float | None = None
    level_against: float | None = None

    @property
    def looked_at(self) -> int:
        """All that both have ended with."""
        return self.studies + self.unscored.studies


def ask(actor: Actor, version: ModelVersion, against: ModelVersion) -> None:
    """Have two versions compared at each site with known cases; a worker does it.

    Raises
    ------
    NotPermitted
    Conflict
        Versions of two models, or one with itself.
    """
    require(actor, "model.manage")
    if version.name != against.name or version.pk == against.pk:
        raise Conflict(_("Two versions of one model are compared."))
    with transaction.atomic():
        record_of(actor, "model.compare", version, against=against.version)
        outbox.publish(COMPARE_TOPIC, version_id=version.pk, against_id=against.pk)


def compare(version_id: int, against_id: int) -> int:
    """Write a comparison of every concerned site that has enough known cases; returns how many."""
    version, against = ModelVersion.objects.get(pk=version_id), ModelVersion.objects.get(pk=against_id)
    made = [
        found
        for site in evidence.sites_concerned(version)
        if (found := _compared(version, against, site)) is not None
    ]
    Comparison.objects.bulk_create(made)
    return len(made)


def agreement(actor: Actor, version: ModelVersion, against: ModelVersion) -> list[Agreement]:
    """Of all sites together, then of each; an approver of one site sees that one alone. Raises `NotPermitted`."""
    require(actor, "model.view")
    levels = Levels(version), Levels(against)
    counts = pairing.counts(version, against, levels, actor.site_id)
    sites = list(Site.objects.filter(pk__in=counts).order_by("code"))
    told = []
    if len(sites) != 1:
        whole = sum(counts.values(), start=Counts())
        told.append(_agreement(_("All sites"), whole, evidence.latest(version, against, None)))
    for site in sites:
        made = evidence.latest(version, against, site.pk)
        told.append(_agreement(site.name, counts[site.pk], made, *(each.at(site.pk) for each in levels)))
    return told


def disagreements(actor: Actor, version: ModelVersion, against: ModelVersion, limit: int = 12) -> list[Pair]:
    """The studies of the actor's site of which the two say the most different things, for who may see their images.

    Raises
    ------
    NotPermitted
        The actor sees no images, or approves no models.
    """
    require(actor, "model.view")
    require(actor, "image.view")
    if actor.site_id is None:
        return []
    return pairing.furthest_apart(version, against, actor.site_id, limit)


def pictured(version: ModelVersion, found: Iterable[Pair]) -> list[Pictured]:
    """Each with the image to show of it: the first that the model reads."""
    of = list(found)
    studies = Study.objects.in_bulk([pair.study_id for pair in of])
    shown = []
    for pair in of:
        images = sorted_images(studies[pair.study_id])
        read = scored(images, version.modality) or images
        shown.append(Pictured(pair, read[0].instance.pk if read else None))
    return shown


def _compared(version: ModelVersion, against: ModelVersion, site: Site) -> Comparison | None:
    import numpy as np

    from inference.evaluation.delong import delong

    cases = pairing.known_cases(version, against, site.pk)
    positives = sum(positive for positive, *_scores in cases)
    if positives < ENOUGH or len(cases) - positives < ENOUGH:
        return None
    positive, ours, theirs = (np.array(column) for column in zip(*cases, strict=True))
    test = delong(positive.astype(bool), ours.astype(float), theirs.astype(float))
    return Comparison(
        version=version, against=against, site=site, positives=positives, negatives=len(cases) - positives,
        auc=test.first, auc_against=test.second,
        low=test.first - test.second - _NORMAL_95 * test.standard_error,
    )  # fmt: skip


def _agreement(
    place: str,
    found: Counts,
    comparison: Comparison | None,
    level: float | None = None,
    level_against: float | None = None,
) -> Agreement:
    return Agreement(
        place=place, studies=found.studies,
        unscored=Unscored(
            WithoutScore(*found.without), WithoutScore(*found.without_against), found.without_both
        ),
        mean_gap=found.gaps / found.studies if found.studies else 0.0,
        largest_gap=found.largest, flips=found.ours + found.theirs - 2 * found.both if found.known else 0,
        kappa=_kappa(found), comparison=comparison, level=level, level_against=level_against,
    )  # fmt: skip


def _kappa(found: Counts) -> float | None:
    """Cohen's; None where chance alone explains everything."""
    n = found.known
    if not n:
        return None
    same = (n - found.ours - found.theirs + 2 * found.both) / n
    first, second = found.ours / n, found.theirs / n
    chance = first * second + (1 - first) * (1 - second)
    return (same - chance) / (1 - chance) if chance < 1 else None
