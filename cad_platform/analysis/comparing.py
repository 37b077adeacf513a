"""Two versions on the same studies: how far they agree, and by known cases which is better.

What a version said of a study is its job's score, or what it said in shadow. A comparison of each site is kept in the
registry, which promotes by it (`registry.evidence`).
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from cad_platform.accounts.models import KNOWN_CASES_SITE, Site
from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, KnownTruth, ShadowResult
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid
from cad_platform.registry import evidence
from cad_platform.registry.history import record_of
from cad_platform.registry.models import Comparison, ModelVersion
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import scored

COMPARE_TOPIC = "model.compare"
#: Of each kind; with fewer known cases of a site nothing is said.
ENOUGH = 10
#: Rows of one table of known cases.
MOST_ROWS = 10_000
_NORMAL_95 = 1.959963984540054
#: The operating point at which two versions agree or not.
_POINT = "balanced"
_WORDS = {"yes": True, "1": True, "positive": True, "malignant": True, "no": False, "0": False, "negative": False,
          "benign": False, "normal": False}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """One study that both versions gave a score of."""

    study_id: object
    uid: str
    site_id: int
    score: float
    against: float

    @property
    def gap(self) -> float:
        return abs(self.score - self.against)


@dataclass(frozen=True)
class Pictured:
    """Such a study, and the image that stands for it; None where it has none."""

    pair: Pair
    image: object | None


@dataclass(frozen=True)
class Agreement:
    """How far two versions agree at one place. `kappa` and `flips` are of the balanced operating point; None where it
    cannot be said."""

    place: str
    studies: int
    mean_gap: float
    largest_gap: float
    flips: int
    kappa: float | None
    comparison: Comparison | None


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
    truth = _truth()
    by_site: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs(version, against):
        if pair.study_id in truth:
            by_site[pair.site_id].append(pair)
    made = [
        found
        for site in evidence.sites_concerned(version)
        if (found := _compared(version, against, site, by_site[site.pk], truth)) is not None
    ]
    Comparison.objects.bulk_create(made)
    return len(made)


def pairs(version: ModelVersion, against: ModelVersion) -> list[Pair]:
    """The studies that both gave a score of, on one content."""
    ours, theirs = _scores(version), _scores(against)
    return [
        Pair(key[0], uid, site, score, theirs[key][0])
        for key, (score, uid, site) in ours.items()
        if key in theirs
    ]


def agreement(actor: Actor, version: ModelVersion, against: ModelVersion) -> list[Agreement]:
    """Of all sites together, then of each; an approver of one site sees that one alone. Raises `NotPermitted`."""
    require(actor, "model.view")
    found = pairs(version, against)
    if actor.site_id is not None:
        found = [pair for pair in found if pair.site_id == actor.site_id]
    sites = {
        site.pk: site
        for site in Site.objects.filter(pk__in={pair.site_id for pair in found}).order_by("code")
    }
    levels = tuple(_level(each) for each in (version, against))
    told = (
        [_agreement(_("All sites"), found, levels, evidence.latest(version, against, None))]
        if len(sites) != 1
        else []
    )
    return told + [
        _agreement(
            site.name, [p for p in found if p.site_id == key], levels, evidence.latest(version, against, key)
        )
        for key, site in sites.items()
    ]


def disagreements(actor: Actor, version: ModelVersion, against: ModelVersion, limit: int = 12) -> list[Pair]:
    """The studies of the actor's site of which the two say the most different things, for who may see their images.

    Raises
    ------
    NotPermitted
        The actor sees no images, or approves no models.
    """
    require(actor, "model.view")
    require(actor, "image.view")
    here = [pair for pair in pairs(version, against) if pair.site_id == actor.site_id]
    return sorted(here, key=lambda pair: -pair.gap)[:limit]


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


@transaction.atomic
def record_truth(actor: Actor, table: str) -> int:
    """Keep what is known of studies, from a table of two columns, `study` (its UID) and `positive` (yes or no); returns
    of how many. All or nothing.

    Raises
    ------
    NotPermitted
    Invalid
        No such columns, a study that is not here, or neither yes nor no: the first ten lines are named.
    """
    require(actor, "model.manage")
    rows = _rows(table)
    uids = [row.get("study", "").strip() for row in rows]
    known: dict[str, list[Study]] = defaultdict(list)
    for study in Study.objects.filter(study_instance_uid__in=uids, withdrawn_at=None).only(
        "pk", "study_instance_uid"
    ):
        known[study.study_instance_uid].append(study)
    entries, wrong = [], []
    for line, (uid, row) in enumerate(zip(uids, rows, strict=True), start=2):
        positive = _WORDS.get((row.get("positive") or "").strip().lower())
        if positive is None or len(known[uid]) != 1:
            wrong.append(_("line %(line)d: no such study, or neither yes nor no") % {"line": line})
            continue
        entries.append(KnownTruth(study=known[uid][0], positive=positive, source="table", by=actor.user))
    if wrong:
        raise Invalid(
            _("The table was not taken."), errors=tuple(FieldError(each, "table") for each in wrong[:10])
        )
    return keep_truth(actor, entries, "table")


def keep_truth(actor: Actor, entries: list[KnownTruth], source: str) -> int:
    """What is known of studies, from `source`, which the audit log names; how many they are."""
    KnownTruth.objects.bulk_create(entries)
    record(
        actor, "truth.record", object_type="known_truth", object_id="", studies=len(entries), source=source
    )
    return len(entries)


def _rows(table: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(table.lstrip("\ufeff")), strict=True)
        rows = list(reader)
    except csv.Error:
        rows, reader = [], None
    if (
        reader is None
        or not rows
        or not {"study", "positive"} <= set(reader.fieldnames or ())
        or len(rows) > MOST_ROWS
    ):
        raise Invalid(
            _("The table was not taken."),
            errors=(
                FieldError(_("A CSV with the columns study and positive, of up to 10,000 lines"), "table"),
            ),
        )
    return rows


def _truth() -> Mapping[object, bool]:
    """Study → what is true of it: the latest entry."""
    return dict(KnownTruth.objects.order_by("at", "pk").values_list("study", "positive"))


def _scores(version: ModelVersion) -> dict[tuple[object, str], tuple[float, str, int]]:
    """(study, content) → score, UID, site: of present contents of studies that are not withdrawn."""
    found: dict[tuple[object, str], tuple[float, str, int]] = {}
    for model in (ShadowResult, AnalysisJob):  # a shown result before a shadow's
        rows = model.objects.exclude(study__site__code=KNOWN_CASES_SITE).filter(
            model_version=version, state="succeeded", score__isnull=False, study__withdrawn_at=None,
            content_hash=F("study__content_hash"),
        )  # fmt: skip
        for study, content, score, uid, site in rows.values_list(
            "study", "content_hash", "score", "study__study_instance_uid", "study__site"
        ):
            if score is not None:
                found[study, content] = score, uid, site
    return found


def _compared(
    version: ModelVersion,
    against: ModelVersion,
    site: Site,
    found: Iterable[Pair],
    truth: Mapping[object, bool],
) -> Comparison | None:
    import numpy as np

    from inference.evaluation.delong import delong

    cases = [(truth[pair.study_id], pair.score, pair.against) for pair in found]
    positives = sum(positive for positive, *_scores_of in cases)
    if positives < ENOUGH or len(cases) - positives < ENOUGH:
        return None
    positive, ours, theirs = (np.array(column) for column in zip(*cases, strict=True))
    test = delong(positive.astype(bool), ours.astype(float), theirs.astype(float))
    return Comparison(
        version=version, against=against, site=site, positives=positives, negatives=len(cases) - positives,
        auc=test.first, auc_against=test.second,
        low=test.first - test.second - _NORMAL_95 * test.standard_error,
    )  # fmt: skip


def _level(version: ModelVersion) -> float | None:
    level = version.manifest.get("thresholds", {}).get(_POINT)
    return float(level) if level is not None else None


def _agreement(
    place: str, found: list[Pair], levels: tuple[float | None, ...], comparison: Comparison | None
) -> Agreement:
    ours, theirs = levels
    gaps = [pair.gap for pair in found]
    said = (
        [(pair.score >= ours, pair.against >= theirs) for pair in found]
        if ours is not None and theirs is not None
        else []
    )
    return Agreement(
        place=place, studies=len(found), mean_gap=sum(gaps) / len(gaps) if gaps else 0.0,
        largest_gap=max(gaps, default=0.0), flips=sum(a != b for a, b in said), kappa=_kappa(said),
        comparison=comparison,
    )  # fmt: skip


def _kappa(said: list[tuple[bool, bool]]) -> float | None:
    """Cohen's; None where chance alone explains everything."""
    if not said:
        return None
    n = len(said)
    same = sum(a == b for a, b in said) / n
    first, second = sum(a for a, _b in said) / n, sum(b for _a, b in said) / n
    chance = first * second + (1 - first) * (1 - second)
    return (same - chance) / (1 - chance) if chance < 1 else None
