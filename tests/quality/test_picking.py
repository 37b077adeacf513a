"""The cases of a measurement picked one by one: found by what is known, shown with their labels, asked for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from cad_platform.accounts.models import Role, Site
from cad_platform.analysis.models import KnownTruth
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid, NotPermitted
from cad_platform.quality import acceptance, acceptance_run, picking
from cad_platform.quality.models import Acceptance, AnalysisFact
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study
from cad_platform.studies.services import withdraw
from tests import factories
from tests.quality.test_acceptance import MANIFEST, measured, studies
from tests.reporting.test_content import COMPLETE_SM
from tests.reporting.test_services import signed_report

pytestmark = pytest.mark.django_db


@pytest.fixture
def version() -> ModelVersion:
    made = factories.model_version("ultrasound", "US")
    made.manifest = MANIFEST.model_dump(mode="json")
    made.save()
    return made


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


def known(site: Site, version: ModelVersion, of: list[Study], device: str = "Alpha 1") -> None:
    """Each was analysed; signed pathology says of every second that it is malignant."""
    for number, study in enumerate(of):
        job = factories.succeeded_job(study, 0.5, by=version)
        AnalysisFact.objects.create(
            job=job, study=study, site=site, model_version=version, modality="US", ended_at=timezone.now(),
            state="succeeded", device=device, proven_positive=number % 2 == 1,
        )  # fmt: skip


def test_known_studies_are_found_by_what_is_known_of_them(
    administrator: Actor, version: ModelVersion, site: Site
) -> None:
    of = studies(site, 6)
    known(site, version, of[:4])
    known(site, version, of[4:5], "Beta 2")
    factories.succeeded_job(of[5], 0.5, by=version)  # nothing is known of it
    KnownTruth.objects.create(study=of[0], positive=True, source="table")  # a person's word goes before
    Study.objects.filter(pk=of[1].pk).update(study_date="2026-01-31")
    Study.objects.filter(pk__in=[study.pk for study in of if study != of[1]]).update(study_date="2026-03-01")
    known(elsewhere := factories.site(), version, studies(elsewhere, 2))

    def found(**asked: str) -> set[int]:
        told = picking.open_known(administrator, version, site, picking.choice_from(asked))
        assert told.count == len(told.studies) == len(told.usable)
        return {[study.pk for study in of].index(each.study.pk) for each in told.studies}

    assert found() == {0, 1, 2, 3, 4}
    assert found(label="positive") == {0, 1, 3} and found(label="negative") == {2, 4}
    assert found(source="table") == {0} and found(source="pathology", device="alpha") == {1, 2, 3}
    assert found(device="beta") == {4} and found(since="2026-02-01") == {0, 2, 3, 4}
    assert found(until="2026-01-31") == found(since="2026-01-31", until="2026-01-31") == {1}
    assert found(search=of[2].accession_number[:-1]) == found(search=of[2].study_instance_uid) == {2}
    withdraw(factories.actor(Role.RADIOLOGIST, site), of[2], reason="wrong patient")
    assert found() == {0, 1, 3, 4}
    assert AuditEvent.objects.filter(action="acceptance.list_known").count() == 12
    for wrong in ({"label": "perhaps"}, {"source": "hearsay"}):
        with pytest.raises(Invalid):
            picking.choice_from(wrong)
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        with pytest.raises(NotPermitted):
            picking.open_known(factories.actor(role, site), version, site, picking.Choice())


def test_picked_studies_are_measured_with_what_is_known_of_them(
    administrator: Actor, version: ModelVersion, site: Site
) -> None:
    of = studies(site, 52)
    known(site, version, of)
    names = [study.study_instance_uid for study in of[:30]] + [study.accession_number for study in of[30:51]]
    asked = acceptance.ask(administrator, version, site, studies=[*names, names[0]])
    assert (asked.source, asked.cases.count()) == ("picked", 51)
    assert dict(asked.cases.values_list("study", "label")) == {
        study.pk: ("negative", "positive")[number % 2] for number, study in enumerate(of[:51])
    }
    stranger, unknown = studies(factories.site(), 1), studies(site, 1)
    twin = factories.study(site, "US", accession_number=of[50].accession_number)
    for wrong, words in (
        (names[:49], "49 known studies"),
        ([*names[:49], stranger[0].study_instance_uid], stranger[0].study_instance_uid),
        ([*names[:49], unknown[0].accession_number], "nothing is known"),
        ([*names[:49], twin.accession_number], "name the study by its UID"),
    ):
        Acceptance.objects.update(state="failed")
        with pytest.raises(Invalid) as refusal:
            acceptance.ask(administrator, version, site, studies=wrong)
        assert words in refusal.value.errors[0].reason
    with pytest.raises(Invalid):
        acceptance.ask(administrator, version, site, table="study,label\n", studies=names)


def test_a_study_of_both_breasts_is_a_case_of_the_one_that_pathology_names(
    administrator: Actor, version: ModelVersion, site: Site
) -> None:
    named, silent = studies(site, 2)
    for study in (named, silent):
        for side in "LR":
            factories.instance(study, side, view="")
    known(site, version, [factories.study(site, "US"), named])
    known(site, version, [factories.study(site, "US"), silent])
    specimen = factories.study(site, "SM", patient=named.patient, study_date=named.study_date)
    pathologist = factories.actor(Role.PATHOLOGIST, site)
    signed_report(pathologist, specimen, COMPLETE_SM | {"laterality": "L"})
    Study.objects.filter(pk=silent.pk).update(patient=factories.patient(site))
    told = picking.open_known(administrator, version, site, picking.Choice(label="positive"))
    assert {each.study.pk: (each.side, each.is_usable) for each in told.studies} == {
        named.pk: ("L", True), silent.pk: ("", False),
    }  # fmt: skip
    known(site, version, studies(site, 50))
    taken = {case.study_id: case.side for case in picking.of_platform(version, site)}
    assert taken[named.pk] == "L" and silent.pk not in taken, "nor by all that is known"


def test_the_page_that_studies_are_picked_on(
    client: Client, administrator: Actor, version: ModelVersion, site: Site
) -> None:
    of = studies(site, 50)
    known(site, version, of)
    address = reverse("acceptance-pick")
    client.force_login(administrator.user)
    assert client.get(address).status_code == 200
    asked = {"version": version.pk, "site": site.pk, "label": "", "source": "pathology"}
    page = client.post(address, asked | {"step": "show"})
    assert page.status_code == 200 and page.content.decode().count('name="study"') == 50
    assert (
        client.post(address, asked | {"step": "ticked", "study": [of[0].study_instance_uid]}).status_code
        == 422
    )
    made = client.post(address, asked | {"step": "all"})
    found = Acceptance.objects.get()
    assert made.status_code == 302 and made["Location"] == reverse("acceptance", args=[found.pk])
    assert (found.source, found.cases.count()) == ("picked", 50)
    with translation.override("en"):
        assert "Studies that a person picked" in str(found.get_source_display())
    client.force_login(factories.user(Role.CLINICAL_LEAD, site))
    assert client.get(address).status_code == 403


def test_known_studies_by_api_and_command(
    administrator: Actor, version: ModelVersion, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = studies(site, 50)
    known(site, version, of)
    browser = Client()
    browser.force_login(administrator.user)  # type: ignore[arg-type]
    one = f"/api/v1/models/{version.name}/{version.version}"
    answer = browser.post(
        f"{one}/known-studies", {"site": site.code, "label": "positive"}, "application/json"
    ).json()
    assert answer["count"] == 25 and {row["label"] for row in answer["results"]} == {"positive"}
    wrong = browser.post(f"{one}/known-studies", {"site": site.code, "label": "odd"}, "application/json")
    assert wrong.status_code == 422
    names = [study.study_instance_uid for study in of]
    body = {"site": site.code, "studies": names}
    assert browser.post(f"{one}/acceptances", body, "application/json").status_code == 202
    assert Acceptance.objects.get().cases.count() == 50

    Acceptance.objects.update(state="failed")
    out = io.StringIO()
    call_command("acceptance", "known", version.name, version.version, "--site", site.code, stdout=out)
    assert len(out.getvalue().splitlines()) == 50 and "pathology" in out.getvalue()
    (file := tmp_path / "picked.tsv").write_text(out.getvalue())
    monkeypatch.setattr("getpass.getpass", lambda _prompt: factories.PASSWORD)
    monkeypatch.setattr(acceptance_run, "measure", lambda key: measured(Acceptance.objects.get(pk=key)).state)
    measure = ("acceptance", "measure", version.name, version.version, "--site", site.code, "--user")
    call_command(*measure, administrator.user.username, "--studies", str(file), stdout=out)  # type: ignore[union-attr]
    assert list(Acceptance.objects.values_list("source", flat=True)) == ["picked", "picked"]
