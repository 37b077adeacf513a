"""Choosing studies to be analysed again: what a choice names, what the page says, who may; and no patient shows."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from cad_platform.accounts.models import Role, User
from cad_platform.analysis import again
from cad_platform.analysis.models import AnalysisJob, ReanalysedStudy, Reanalysis
from cad_platform.core.actor import Actor
from cad_platform.core.days import NotATime
from cad_platform.core.errors import Invalid, NotPermitted
from cad_platform.reading import reanalysis
from cad_platform.reading.reanalysis import Choice, Extent, Shown, choice_from, chosen, extent
from cad_platform.reading.reanalysis_presenter import asked_words, why_nothing
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study
from tests import factories as make
from tests.analysis.conftest import models  # noqa: F401

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PAGE = "/reanalyses/"


@pytest.fixture
def reader() -> User:
    return make.user(Role.RADIOLOGIST, make.site())


@pytest.fixture
def versions() -> dict[str, ModelVersion]:
    """An earlier version of a mammography model, and the one in use."""
    return {
        "old": make.model_version(version="0.9.0", is_default=False),
        "new": make.model_version(version="1.0.0"),
    }


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def administrator() -> User:
    return make.user(Role.ADMINISTRATOR)


def ended(study: Study, version: ModelVersion, state: str = "succeeded") -> AnalysisJob:
    return AnalysisJob.objects.create(
        study=study,
        model_version=version,
        content_hash=study.content_hash,
        state=state,
        result={"flags": []} if state == "succeeded" else None,
        reason="" if state == "succeeded" else "damaged",
        attempt=1,
        finished_at=timezone.now(),
    )


def of(user: User, **asked: Any) -> set[Any]:
    return set(chosen(Actor.of_user(user), Choice(**{"state": "all", **asked})).values_list("pk", flat=True))


# --- what a choice names ---------------------------------------------------------------------------------


def test_modality_priority_and_days_narrow_it(reader: User) -> None:
    day = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
    first = make.study(reader.site, received_at=day, priority="urgent")
    second = make.study(reader.site, "US", received_at=day + timedelta(minutes=1))
    assert of(reader) == {first.pk, second.pk}
    assert of(reader, modality="US") == {second.pk}
    assert of(reader, priority="urgent") == {first.pk}
    assert of(reader, received_until=date(2026, 11, 20)) == {first.pk}, "the last day is inclusive"
    assert of(reader, received_from=date(2026, 11, 21)) == {second.pk}
    assert of(reader, received_from=date(2026, 11, 20), received_until=date(2026, 11, 21)) == {
        first.pk,
        second.pk,
    }
    assert of(reader, received_from=date(2026, 11, 22), received_until=date(2026, 11, 1)) == set()


def test_the_days_are_those_of_the_platforms_time_zone(reader: User, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"
    study = make.study(reader.site, received_at=datetime(2026, 11, 20, 17, 0, tzinfo=UTC))
    assert of(reader, received_from=date(2026, 11, 21)) == {study.pk}


def test_reading_states_are_those_of_the_worklist(reader: User, versions: Any) -> None:
    ready, analysing = make.study(reader.site), make.study(reader.site)
    ended(ready, versions["new"])
    assert of(reader, state="ready") == {ready.pk}
    assert of(reader, state="analysing") == {analysing.pk}
    assert of(reader, state="unread") == {ready.pk, analysing.pk}
    assert of(reader, state="signed") == of(reader, state="draft") == set()


def test_what_cannot_be_analysed_is_no_choice(reader: User) -> None:
    make.study(reader.site, state="quarantined")
    make.study(reader.site, withdrawn_at=timezone.now(), withdrawn_by=reader, withdrawn_reason="wrong")
    assert of(reader) == set()


def test_whose_result_is_shown_is_what_case_state_says(reader: User, versions: Any) -> None:
    old, new = versions["old"], versions["new"]
    earlier, both, failed, declined, never, at_it = (make.study(reader.site) for _ in range(6))
    ended(earlier, old)
    ended(both, old)
    ended(both, new)
    ended(failed, old)
    ended(failed, new, "failed")
    ended(declined, new, "not_applicable")
    AnalysisJob.objects.create(study=at_it, model_version=new, content_hash=at_it.content_hash)
    assert of(reader, shown=Shown.BY, version=old) == {earlier.pk}
    assert of(reader, shown=Shown.BY, version=new) == {both.pk}
    assert of(reader, shown=Shown.OTHER, version=new) == {earlier.pk}
    assert of(reader, shown=Shown.OTHER, version=old) == {both.pk}
    assert of(reader, shown=Shown.NONE) == {failed.pk, declined.pk, never.pk}
    assert of(reader, shown=Shown.ANY) >= {at_it.pk}


def test_a_clinician_chooses_among_the_own_site_and_an_administrator_among_all(reader: User) -> None:
    own, other = make.study(reader.site), make.study(make.site())
    assert of(reader) == {own.pk}
    assert of(administrator()) == {own.pk, other.pk}


@pytest.mark.parametrize(
    "asked",
    [
        {"state": "unraed"},
        {"state": "withdrawn"},
        {"modality": "XX"},
        {"priority": "soon"},
        {"received_from": "yesterday"},
        {"received_until": "2026-02-30"},
        {"shown": "by"},
        {"shown": "by:999999"},
        {"shown": "none:1"},
        {"shown": "by:²"},
        {"shown": "\0"},
    ],
)
def test_a_choice_that_is_not_known_never_means_all(asked: dict[str, str], reader: User) -> None:
    with pytest.raises((Invalid, NotATime)):
        choice_from(asked)
    client = browser_of(reader)
    make.study(reader.site)
    assert client.post(PAGE, asked).status_code in {400, 422}
    assert not Reanalysis.objects.exists()


def test_an_address_says_the_choice_and_is_read_back(versions: Any) -> None:
    choice = Choice("ready", "MG", "stat", date(2026, 1, 2), date(2026, 3, 4), Shown.BY, versions["old"])
    assert choice_from(choice.query()) == choice
    assert choice_from({}) == Choice() and Choice().query() == {}
    assert choice.criteria() == {
        "state": "ready",
        "modality": "MG",
        "priority": "stat",
        "received_from": "2026-01-02",
        "received_until": "2026-03-04",
        "shown": "by",
        "version": "mammography 0.9.0",
    }


# --- how many --------------------------------------------------------------------------------------------


def test_the_count_is_what_is_started(reader: User, versions: Any) -> None:
    earlier, both, _never = (make.study(reader.site) for _ in range(3))
    make.study(reader.site, "US")
    ended(earlier, versions["old"])
    ended(both, versions["new"])
    actor = Actor.of_user(reader)
    told = extent(actor, Choice())
    assert told == Extent(fitting=4, needed=2, without_model=1)
    made = again.reanalyse_set(actor, chosen(actor, Choice()), Choice().criteria())
    assert made.members.count() == told.needed
    assert extent(actor, Choice()).needed == 0


def test_why_nothing_is_said_in_words() -> None:
    assert why_nothing(Extent(0, 0, 0)) == "No study fits this choice."
    assert why_nothing(Extent(3, 0, 3)) == "No model is in use for the studies of this choice."
    assert why_nothing(Extent(3, 0, 0)).startswith("Every study of this choice has been looked at")
    assert why_nothing(Extent(3, 0, 1)).endswith("For 1 study no model is in use.")


def test_a_choice_in_words(versions: Any) -> None:
    choice = Choice("unread", "MG", "urgent", date(2026, 1, 2), None, Shown.OTHER, versions["new"])
    words = asked_words(choice.criteria())
    assert words == (
        "Mammography · Not signed yet · Urgent · received from 2026-01-02 on · "
        "Result by another version than mammography 1.0.0"
    )
    with override("zh-hans"):
        assert "mammography 1.0.0 以外其他版本的结果" in asked_words(choice.criteria())
    assert asked_words({"state": "of a later platform"}) == "Every modality"


# --- the page --------------------------------------------------------------------------------------------


def test_the_page_counts_and_starts_the_set(reader: User, versions: Any) -> None:
    make.study(reader.site, patient=make.patient(reader.site, name="Lindqvist^Sara", patient_id="HN-77"))
    make.study(reader.site, "US")
    client = browser_of(reader)
    page = client.get(PAGE).content.decode()
    assert "Analyse 1 study again" in page and "For 1 study no model is in use." in page
    assert "No set of studies was analysed again yet." in page
    answer = client.post(PAGE, {"modality": "MG", "shown": "none"}, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain == [("/reanalyses/?modality=MG&shown=none", 302)]
    assert "1 study is analysed again." in page and "0 of 1" in page and "1 waiting" in page
    assert 'role="progressbar"' in page and 'aria-valuenow="0"' in page
    assert "Every study of this choice has been looked at" in page
    for patient in ("Lindqvist", "HN-77"):
        assert patient not in page


def test_changing_the_form_answers_with_the_count_alone(reader: User, versions: Any) -> None:
    make.study(reader.site)
    client = browser_of(reader)
    answer = client.get(
        PAGE, {"modality": "MG", "state": "unread", "shown": "any", "priority": ""}, headers=HTMX
    )
    assert answer["HX-Replace-Url"] == "/reanalyses/?modality=MG"
    html = answer.content.decode()
    assert "<html" not in html and "Analyse 1 study again" in html
    none = client.get(PAGE, {"modality": "US"}, headers=HTMX).content.decode()
    assert "No study fits this choice." in none and "<button" not in none


def test_asking_for_what_is_done_meanwhile_is_no_error(reader: User, versions: Any) -> None:
    ended(make.study(reader.site), versions["new"])
    answer = browser_of(reader).post(PAGE, {"modality": "MG"}, follow=True)
    assert answer.status_code == 200 and not Reanalysis.objects.exists()
    assert "No study of this choice needs it" in answer.content.decode()


def test_a_models_page_leads_to_what_is_not_by_its_version(reader: User, versions: Any) -> None:
    ended(make.study(reader.site), versions["old"])
    ended(make.study(reader.site), versions["new"])
    client = browser_of(administrator())
    page = client.get(PAGE, {"model": versions["new"].pk}).content.decode()
    assert f'value="other:{versions["new"].pk}" selected' in page
    assert "Analyse 1 study again" in page
    offer = reverse("reanalyses-offer", args=[versions["new"].pk])
    assert f"{PAGE}?model={versions['new'].pk}" in client.get(offer).content.decode()
    earlier = AnalysisJob.objects.get(model_version=versions["old"]).study
    AnalysisJob.objects.create(
        study=earlier, model_version=versions["new"], content_hash=earlier.content_hash
    )
    assert "No study that waits for its signature" in client.get(offer).content.decode()
    assert client.get(reverse("reanalyses-offer", args=[999_999])).status_code == 422


def test_the_page_of_the_version_in_use_asks_for_the_offer(models: dict[str, ModelVersion]) -> None:  # noqa: F811
    version = models["ultrasound"]
    standby = make.model_version("ultrasound", "US", "0.9.0", is_default=False)
    ModelVersion.objects.filter(pk=standby.pk).update(manifest=version.manifest)
    client = browser_of(administrator())
    offer = f'hx-get="{reverse("reanalyses-offer", args=[version.pk])}" hx-trigger="load"'
    assert offer in client.get(reverse("model", args=[version.pk])).content.decode()
    assert "reanalyses/offer" not in client.get(reverse("model", args=[standby.pk])).content.decode()


def test_the_worklist_carries_its_filters_and_no_search(reader: User) -> None:
    client = browser_of(reader)
    page = client.get("/worklist/?modality=US&priority=stat").content.decode()
    assert 'href="/reanalyses/?state=unread&amp;modality=US&amp;priority=stat"' in page
    form = {"state": "signed", "modality": "", "priority": "", "order": "suggested", "search": "Lindqvist"}
    changed = client.post("/worklist/", form, headers=HTMX).content.decode()
    assert 'id="again" hx-swap-oob="true"' in changed and 'href="/reanalyses/?state=signed"' in changed
    gone = client.post("/worklist/", form | {"state": "withdrawn"}, headers=HTMX).content.decode()
    assert "/reanalyses/" not in gone, "none of these can be analysed"


# --- progress --------------------------------------------------------------------------------------------


@pytest.fixture
def asked(reader: User, versions: Any) -> Reanalysis:
    for _ in range(2):
        make.study(reader.site)
    actor = Actor.of_user(reader)
    return again.reanalyse_set(actor, chosen(actor, Choice()), Choice().criteria())


def seen(html: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', html)
    assert found
    return found[1]


def test_progress_is_asked_for_only_while_a_set_is_open(reader: User, asked: Reanalysis) -> None:
    client = browser_of(reader)
    page = client.get(PAGE).content.decode()
    assert 'hx-trigger="every 2s"' in page
    progress = reverse("reanalyses-progress")
    assert client.get(progress, {"seen": seen(page)}).status_code == 204
    ReanalysedStudy.objects.filter(pk=asked.members.all()[0].pk).update(state="gone")
    half = client.get(progress, {"seen": seen(page)}).content.decode()
    assert "1 of 2" in half and 'aria-valuenow="50"' in half and "1 left out" in half
    assert 'hx-trigger="every 2s"' in half
    ReanalysedStudy.objects.update(state="unneeded")
    done = client.get(progress, {"seen": seen(half)}).content.decode()
    assert "hx-trigger" not in done and "2 of 2" in done and ">Done<" in done


def test_a_set_is_stopped_after_its_page_said_what_that_means(reader: User, asked: Reanalysis) -> None:
    client = browser_of(reader)
    stop = reverse("reanalysis-stop", args=[asked.pk])
    assert f'href="{stop}"' in client.get(PAGE).content.decode()
    page = client.get(stop).content.decode()
    assert "This cannot be taken back" in page and "Stop this set" in page
    asked.refresh_from_db()
    assert asked.stopped_at is None, "looking stops nothing"
    page = client.post(stop, follow=True).content.decode()
    assert "The set is stopped." in page and "2 not begun" in page and 'hx-trigger="every' not in page
    asked.refresh_from_db()
    assert asked.stopped_at is not None
    assert "Nothing of this set waits any more." in client.get(stop).content.decode()


# --- who may ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER])
def test_clinicians_have_the_page_in_their_navigation(role: str) -> None:
    page = browser_of(make.user(role, make.site())).get(PAGE)
    assert page.status_code == 200
    assert f'<a href="{PAGE}" aria-current="page">Analyse again</a>' in page.content.decode()


def test_an_administrator_sees_counts_and_sites_and_no_patient(reader: User, versions: Any) -> None:
    make.study(reader.site, patient=make.patient(reader.site, name="Lindqvist^Sara", patient_id="HN-77"))
    make.study(make.site())
    client = browser_of(administrator())
    pages = [
        client.get(PAGE).content.decode(),
        client.post(PAGE, {}, follow=True).content.decode(),
        client.get(reverse("reanalyses-progress")).content.decode(),
        client.get(reverse("reanalysis-stop", args=[Reanalysis.objects.get().pk])).content.decode(),
    ]
    assert "Analyse 2 studies again" in pages[0] and "Every site" in pages[1]
    studies = Study.objects.values_list("study_instance_uid", "accession_number")
    for page in pages:
        for private in ("Lindqvist", "HN-77", "Okafor", *(value for row in studies for value in row)):
            assert private not in page
    assert client.get("/worklist/").status_code == 403, "and still no worklist"


ADDRESSES = ["reanalyses", "reanalyses-progress"]


def test_an_integrator_and_a_visitor_are_refused(asked: Reanalysis, versions: Any) -> None:
    addresses = [reverse(name) for name in ADDRESSES]
    addresses += [
        reverse("reanalysis-stop", args=[asked.pk]),
        reverse("reanalyses-offer", args=[versions["new"].pk]),
    ]
    integrator = make.user(Role.INTEGRATOR, asked.site)
    with pytest.raises(NotPermitted):
        extent(Actor.of_user(integrator), Choice())
    with pytest.raises(NotPermitted):
        reanalysis.versions_to_choose(Actor.of_user(integrator))
    for address in addresses:
        assert browser_of(integrator).get(address).status_code == 403, address
        assert Client().get(address).status_code == 302, address
    for client, status in ((browser_of(integrator), 403), (Client(), 302)):
        assert client.post(PAGE, {"state": "all"}).status_code == status
        assert client.post(reverse("reanalysis-stop", args=[asked.pk])).status_code == status
    asked.refresh_from_db()
    assert asked.stopped_at is None and Reanalysis.objects.count() == 1


def test_another_sites_set_does_not_exist(asked: Reanalysis) -> None:
    client = browser_of(make.user(Role.RADIOLOGIST, make.site()))
    stop = reverse("reanalysis-stop", args=[asked.pk])
    assert client.get(stop).status_code == client.post(stop).status_code == 404
    assert str(asked.pk) not in client.get(PAGE).content.decode()
