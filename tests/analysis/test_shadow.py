"""A version in shadow: it looks at every study, gives way to everybody, and nobody who reads ever sees what it says."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.analysis import comparing, known_studies, runner, shadow
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding, KnownTruth, ShadowResult
from cad_platform.analysis.sweeper import sweep
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.core.queues import SHORT
from cad_platform.reading import case_state
from cad_platform.registry import thresholds
from cad_platform.registry.models import Comparison, ModelRoute, ModelVersion
from cad_platform.reporting.revision import revision_of
from cad_platform.studies.services import withdraw
from tests import factories
from tests.analysis.conftest import MakeStudy

pytestmark = pytest.mark.django_db
State = ShadowResult.State


@pytest.fixture
def champion(models: dict[str, ModelVersion]) -> ModelVersion:
    return models["ultrasound"]


@pytest.fixture
def challenger(champion: ModelVersion) -> ModelVersion:
    """Known, approved, in shadow at every site; who asks for it is answered by the champion's network."""
    found = ModelVersion.objects.create(
        name="ultrasound", version="99.0.0", modality="US", manifest=champion.manifest,
        weights_sha256=champion.weights_sha256, state=ModelVersion.State.APPROVED, came_with_installation=True,
    )  # fmt: skip
    ModelRoute.objects.create(version=found, name="ultrasound", kind=ModelRoute.Kind.SHADOW)
    return found


def analysed(study: Any) -> AnalysisJob:
    runner.run_study(str(study.pk))
    return AnalysisJob.objects.get(study=study)


def shown(study: Any) -> list[str]:
    """Everything that readers, their systems and their lists are told of a study, as text."""
    reader = factories.user(Role.RADIOLOGIST, study.site)
    browser = Client()
    browser.force_login(reader)
    uid = study.study_instance_uid
    pages = [
        reverse("case", args=[uid]), reverse("worklist"), f"/api/v1/studies/{uid}", "/api/v1/studies",
    ]  # fmt: skip
    answers = [browser.get(page) for page in pages]
    assert [answer.status_code for answer in answers] == [200] * len(pages)
    return [answer.content.decode() for answer in answers]


def test_what_it_says_is_kept_and_nothing_shows_it(
    ultrasound_study: MakeStudy, champion: ModelVersion, challenger: ModelVersion
) -> None:
    study = ultrasound_study()
    job = analysed(study)
    before = (
        Finding.objects.count(),
        Artefact.objects.count(),
        OutboxEvent.objects.filter(topic="analysis.ended").count(),
    )
    revision = revision_of(study)
    assert shadow.request(study.pk) == 1 and shadow.work(SHORT) == 1
    row = ShadowResult.objects.get()
    assert (row.state, row.score) == (State.SUCCEEDED, pytest.approx(job.score, abs=1e-6))
    assert all(image["mask"] is None and image["heatmap"] is None for image in (row.result or {})["images"])
    after = (
        Finding.objects.count(),
        Artefact.objects.count(),
        OutboxEvent.objects.filter(topic="analysis.ended").count(),
    )
    assert after == before, "no finding, no picture, no news for other systems"
    assert [each.model_version for each in case_state.current_jobs(study)] == [champion]
    assert revision_of(study) == revision
    assert not any("99.0.0" in said for said in shown(study))


def test_it_is_asked_once_for_each_content(ultrasound_study: MakeStudy, challenger: ModelVersion) -> None:
    study = ultrasound_study()
    analysed(study)
    for _ in range(2):
        shadow.request(study.pk)
    assert ShadowResult.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        ShadowResult.objects.create(study=study, content_hash=study.content_hash, model_version=challenger)


def test_it_gives_way_to_whoever_waits(ultrasound_study: MakeStudy, challenger: ModelVersion) -> None:
    study, other = ultrasound_study(), ultrasound_study()
    analysed(study)
    shadow.request(study.pk)
    from cad_platform.analysis import services

    services.request_analyses(other.pk)
    assert shadow.work(SHORT) == 0 and shadow.call_waiting() == 0
    runner.run_next(SHORT)
    assert sweep().shadows == 1, "the sweeper wakes it"
    assert shadow.work(SHORT) == 1


def test_what_is_withdrawn_or_no_longer_in_shadow_is_left(
    ultrasound_study: MakeStudy, challenger: ModelVersion
) -> None:
    gone, kept = ultrasound_study(), ultrasound_study()
    for study in (gone, kept):
        analysed(study)
        shadow.request(study.pk)
    withdraw(factories.actor(Role.RADIOLOGIST, gone.site), gone, reason="wrong patient")
    assert shadow.request(gone.pk) == 0
    ModelRoute.objects.all().delete()
    shadow.work(SHORT)
    assert set(ShadowResult.objects.values_list("state", flat=True)) == {State.NOT_APPLICABLE}


def test_a_server_that_is_away_is_asked_again_and_given_up_in_the_end(
    ultrasound_study: MakeStudy, challenger: ModelVersion, settings: Any
) -> None:
    settings.MODEL_SERVER, settings.TORCHSERVE_URLS = "torchserve", []
    from cad_platform.modelserver.configured import get_model_server

    study = ultrasound_study()
    shadow.request(study.pk)
    get_model_server.cache_clear()
    try:
        for attempt in range(1, shadow.MOST_ATTEMPTS + 1):
            ShadowResult.objects.update(available_at=study.completed_at)
            shadow.work(SHORT)
            assert ShadowResult.objects.get().attempts == attempt
    finally:
        get_model_server.cache_clear()
    assert ShadowResult.objects.get().state == State.FAILED


# --- comparing ------------------------------------------------------------------------------------------


def told(
    champion: ModelVersion, challenger: ModelVersion, site: Any, cases: list[tuple[bool, float, float]]
) -> None:
    """Studies of which both have said something, and what is true of them."""
    for positive, ours, theirs in cases:
        study = factories.study(site, "US")
        factories.succeeded_job(study, theirs, by=champion)
        ShadowResult.objects.create(
            study=study, content_hash=study.content_hash, model_version=challenger, state=State.SUCCEEDED,
            result={}, score=ours,
        )  # fmt: skip
        KnownTruth.objects.create(study=study, positive=positive, source="table")


EQUAL = [(True, 0.6 + i / 100, 0.6 + i / 100) for i in range(12)] + [
    (False, 0.3 + i / 100, 0.3 + i / 100) for i in range(12)
]


def test_each_site_is_compared_by_its_known_cases(champion: ModelVersion, challenger: ModelVersion) -> None:
    good, bad, few = (factories.site() for _ in range(3))
    told(champion, challenger, good, EQUAL)
    told(champion, challenger, bad, [(positive, 1 - ours, theirs) for positive, ours, theirs in EQUAL])
    told(champion, challenger, few, EQUAL[:14])
    assert comparing.compare(challenger.pk, champion.pk) == 2
    found = {each.site: each for each in Comparison.objects.all()}
    assert set(found) == {good, bad}
    assert (found[good].low, found[good].auc) == (0.0, 1.0)
    assert found[bad].low < -0.9 and (found[bad].positives, found[bad].negatives) == (12, 12)


def test_agreement_is_told_by_site_and_disagreements_only_to_who_sees_images(
    champion: ModelVersion, challenger: ModelVersion
) -> None:
    here, there = factories.site(), factories.site()
    told(champion, challenger, here, [*EQUAL, (True, 0.1, 0.9)])
    told(champion, challenger, there, EQUAL)
    administrator, lead = factories.actor(Role.ADMINISTRATOR), factories.actor(Role.CLINICAL_LEAD, here)
    rows = comparing.agreement(administrator, challenger, champion)
    assert [(row.studies, row.flips > 0) for row in rows] == [(49, True), (25, True), (24, False)]
    assert [row.studies for row in comparing.agreement(lead, challenger, champion)] == [25]
    first, *others = comparing.disagreements(lead, challenger, champion)
    assert first.gap == pytest.approx(0.8) and len(others) == 12 - 1
    with pytest.raises(NotPermitted):
        comparing.disagreements(administrator, challenger, champion)
    for role in (Role.RADIOLOGIST, Role.INTEGRATOR):
        with pytest.raises(NotPermitted):
            comparing.agreement(factories.actor(role), challenger, champion)


def looked(
    version: ModelVersion, study: Any, state: str, score: float | None = None, reason: str = ""
) -> None:
    """A version in shadow has ended with a study: with a score, without a verdict, or without a result."""
    ShadowResult.objects.create(
        study=study, content_hash=study.content_hash, model_version=version, state=state, reason=reason,
        result={} if state == State.SUCCEEDED else None, score=score,
    )  # fmt: skip


def ended(version: ModelVersion, study: Any, state: str) -> None:
    """The same of a version whose results are shown."""
    AnalysisJob.objects.create(
        study=study, content_hash=study.content_hash, model_version=version, state=state,
        reason="" if state == AnalysisJob.State.CANCELLED else "why",
    )  # fmt: skip


def test_what_has_no_score_is_neither_agreement_nor_silence(
    client: Client, champion: ModelVersion, challenger: ModelVersion
) -> None:
    here, there = factories.site(), factories.site()
    told(champion, challenger, here, EQUAL[:3])
    one, two, three, four, five, six, seven = (factories.study(here, "US") for _ in range(7))
    factories.succeeded_job(one, 0.4, by=champion)
    looked(challenger, one, State.SUCCEEDED)  # unlike what it knows: no verdict
    factories.succeeded_job(two, 0.4, by=champion)
    looked(challenger, two, State.FAILED, reason="five attempts")
    ended(champion, three, AnalysisJob.State.NOT_APPLICABLE)
    looked(challenger, three, State.NOT_APPLICABLE, reason="no pixel spacing")
    ended(champion, four, AnalysisJob.State.FAILED)
    looked(challenger, four, State.SUCCEEDED, 0.3)
    # Neither of these was looked at by both: no word, a person's word, one that left the shadow before its turn.
    factories.succeeded_job(five, 0.4, by=champion)
    looked(challenger, five, State.WAITING)
    ended(champion, six, AnalysisJob.State.CANCELLED)
    looked(challenger, six, State.SUCCEEDED, 0.3)
    factories.succeeded_job(seven, 0.4, by=champion)
    looked(challenger, seven, State.NOT_APPLICABLE, reason=shadow.LEFT)
    told(champion, challenger, there, EQUAL[:2])

    administrator = factories.actor(Role.ADMINISTRATOR)
    whole, mine, other = comparing.agreement(administrator, challenger, champion)
    for row in (whole, mine):
        assert (row.unscored.by_version, row.unscored.by_against) == (
            comparing.WithoutScore(no_verdict=1, not_analysed=1, failed=1),
            comparing.WithoutScore(no_verdict=0, not_analysed=1, failed=1),
        )
        assert (row.unscored.by_both, row.unscored.studies) == (1, 4)
        assert row.looked_at == row.studies + 4
    assert (mine.studies, mine.looked_at, other.unscored.studies, other.looked_at) == (3, 7, 0, 2)
    client.force_login(administrator.user)
    page = client.get(reverse("model-agreement", args=[challenger.pk, champion.pk])).content.decode()
    assert "Without a score" in page and "3 (1 without a verdict, 1 not analysed, 1 failed)" in page
    out = io.StringIO()
    call_command("agreement", "ultrasound", "99.0.0", champion.version, stdout=out)
    assert "5 compared, 4 without a score (3 of 99.0.0, 2 of " in out.getvalue()


def test_a_site_of_which_nothing_has_a_score_is_still_told(
    champion: ModelVersion, challenger: ModelVersion
) -> None:
    study = factories.study(factories.site(), "US")
    factories.succeeded_job(study, 0.4, by=champion)
    looked(challenger, study, State.SUCCEEDED)
    (row,) = comparing.agreement(factories.actor(Role.ADMINISTRATOR), challenger, champion)
    assert (row.studies, row.looked_at, row.kappa) == (0, 1, None)


def test_sides_are_told_by_the_thresholds_of_each_site(
    client: Client, champion: ModelVersion, challenger: ModelVersion
) -> None:
    """A site's own, once two people signed them, take the place of those that a version ships, for that version there
    and nowhere else."""
    own, shipped = factories.site(), champion.manifest["thresholds"]["balanced"]
    for site in (own, factories.site()):
        told(champion, challenger, site, [(True, 0.95, 0.95), (True, 0.9, 0.9), (False, 0.01, 0.01)])
    administrator, lead = factories.actor(Role.ADMINISTRATOR), factories.actor(Role.CLINICAL_LEAD, own)
    row = thresholds.propose(administrator, champion, own, {"balanced": 0.93}, uuid.uuid4())

    def flips() -> dict[str, tuple[int, float | None, float | None]]:
        rows = comparing.agreement(administrator, challenger, champion)
        return {each.place: (each.flips, each.level, each.level_against) for each in rows}

    assert {flips for flips, *_levels in flips().values()} == {0}, "a proposal does nothing"
    thresholds.sign(lead, row.pk)
    assert flips()["All sites"] == (1, None, None) and flips()[own.name] == (1, shipped, 0.93)
    assert sum(count for count, *_levels in flips().values()) == 2, "the other site's stay as shipped"
    client.force_login(lead.user)
    page = client.get(reverse("model-agreement", args=[challenger.pk, champion.pk])).content.decode()
    assert f"{shipped:.4f} / 0.9300" in page or f"{round(shipped, 4):g} / 0.93" in page


def test_a_table_of_known_cases_is_taken_whole_or_not(champion: ModelVersion) -> None:
    administrator = factories.actor(Role.ADMINISTRATOR)
    one, other = factories.study(factories.site(), "US"), factories.study(factories.site(), "US")
    rows = [f"{one.study_instance_uid},yes", f"{other.study_instance_uid},Benign"]
    assert known_studies.record_truth(administrator, "\n".join(["study,positive", *rows])) == 2
    assert dict(KnownTruth.objects.values_list("study", "positive")) == {one.pk: True, other.pk: False}
    for wrong in (
        "",
        "a,b\n1,2",
        f"study,positive\n{one.study_instance_uid},perhaps",
        "study,positive\n1.2.3,yes",
    ):
        with pytest.raises(Invalid):
            known_studies.record_truth(administrator, wrong)
    assert KnownTruth.objects.count() == 2


def test_only_versions_of_one_model_are_compared(
    champion: ModelVersion, models: dict[str, ModelVersion]
) -> None:
    for other in (champion, models["mammography"]):
        with pytest.raises(Conflict):
            comparing.ask(factories.actor(Role.ADMINISTRATOR), champion, other)


def test_the_page_of_two_versions(client: Client, champion: ModelVersion, challenger: ModelVersion) -> None:
    site = factories.site()
    told(champion, challenger, site, [(True, 0.1, 0.9), *EQUAL])
    image = factories.instance(AnalysisJob.objects.get(score=0.9).study)
    picture = reverse("image-thumbnail", args=[image.pk])
    page = reverse("model-agreement", args=[challenger.pk, champion.pk])
    for role, status, sees in (
        (Role.ADMINISTRATOR, 200, False),
        (Role.CLINICAL_LEAD, 200, True),
        (Role.RADIOLOGIST, 403, False),
    ):
        client.force_login(factories.user(role, None if role == Role.ADMINISTRATOR else site))
        answer = client.get(page)
        assert answer.status_code == status
        shown = answer.content.decode()
        assert ("Largest disagreements" in shown) == (picture in shown) == sees
    client.force_login(factories.user(Role.ADMINISTRATOR))
    assert client.post(page).status_code == 302
    payload = OutboxEvent.objects.get(topic="model.compare").payload
    assert payload == {"version_id": challenger.pk, "against_id": champion.pk}
