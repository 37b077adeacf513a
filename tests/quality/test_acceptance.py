"""Local acceptance on the platform: known cases from a table or from what is known, measured by the laboratory's own
function, signed by a second person. Measuring itself, on real pixels, is `test_acceptance_measured.py`."""

from __future__ import annotations

import csv
import io
import uuid
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from PIL import Image

from cad_platform.accounts.models import Role, Site
from cad_platform.analysis.models import AnalysisJob, KnownTruth
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.quality import acceptance, acceptance_cases, acceptance_run, acceptance_words
from cad_platform.quality.models import Acceptance
from cad_platform.registry import thresholds
from cad_platform.registry.models import ModelVersion
from cad_platform.studies import storage
from cad_platform.studies.models import Study
from cad_platform.studies.services import withdraw
from inference.evaluation.acceptance import Acceptance as Measured
from inference.evaluation.acceptance import accept
from inference.evaluation.figures import Figure
from inference.evaluation.records import Record
from inference.runtime.store import read_manifest
from tests import factories
from tests.posted_files import Hospital
from tests.whole_slides import WholeSlide, section

pytestmark = pytest.mark.django_db
MANIFEST = read_manifest("ultrasound")


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def version() -> ModelVersion:
    made = factories.model_version("ultrasound", "US", MANIFEST.version)
    made.manifest = MANIFEST.model_dump(mode="json")
    made.save()
    return made


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


def studies(site: Site, count: int = 50, modality: str = "US") -> list[Study]:
    patient = factories.patient(site)
    return Study.objects.bulk_create(
        Study(
            site=site, modality=modality, patient=patient, study_instance_uid=f"2.25.{uuid.uuid4().int}",
            accession_number=f"A-{uuid.uuid4().hex[:12]}", state=Study.State.COMPLETE,
            content_hash=uuid.uuid4().hex * 2, completed_at=timezone.now(),
        )
        for _ in range(count)
    )  # fmt: skip


def table(of: list[Study]) -> str:
    """By accession number and by UID in turn; malignant and benign in turn."""
    lines = ["study,label"]
    for number, study in enumerate(of):
        name = study.accession_number if number % 2 else study.study_instance_uid
        lines.append(f"{name},{('benign', 'malignant')[number % 2]}")
    return "\n".join(lines)


@cache
def reported(area: float = 2.0, patients: int = 60, seed: int = 0, home: float | None = None) -> Measured:
    """The laboratory's own report over made-up answers: the scores of the two kinds lie `area` deviations apart."""
    generator = np.random.default_rng(seed)
    records = []
    for number in range(patients):
        positive = number % 2 == 1
        chance = float(1 / (1 + np.exp(-(generator.normal() + (area / 2 if positive else -area / 2)))))
        records.append(
            Record(
                dataset="local", image=f"case-{number}", group=f"p{number}",
                label="malignant" if positive else "benign",
                probabilities={"normal": 0.0, "benign": 1 - chance, "malignant": chance},
                facts={"positive": "yes" if positive else "no", "gate": "let through",
                       "side": "L" if number % 4 < 2 else "R"},
                split="external",
            )
        )  # fmt: skip
    at_home = []
    if home is not None:
        dataset = next(iter(MANIFEST.training_data)) if hasattr(MANIFEST, "training_data") else "busi"
        at_home = [Figure("auc_malignant", home, home - 0.01, home + 0.01, 100, 100, "AUC", dataset, "oof")]
    return accept(MANIFEST, records, [{} for _ in records], [], at_home, None)


def measured(asked: Acceptance, found: Measured | None = None) -> Acceptance:
    """As a worker writes it."""
    report = (found or reported()).as_json() | {"curves": [], "left_out": []}
    acceptance_run.keep(asked, "", report)
    asked.refresh_from_db()
    return asked


def test_cases_of_a_table_are_measured_once_at_a_time(
    administrator: Actor, version: ModelVersion, site: Site
) -> None:
    of = studies(site)
    asked = acceptance.ask(administrator, version, site, table(of))
    assert (asked.state, asked.source, asked.cases.count()) == ("waiting", "table", 50)
    assert set(asked.cases.values_list("study", flat=True)) == {study.pk for study in of}
    assert acceptance.ask(administrator, version, site, table(of)) == asked
    assert OutboxEvent.objects.filter(topic=acceptance.ASKED_TOPIC).count() == 1
    assert AuditEvent.objects.filter(action="acceptance.ask", object_id=str(asked.pk)).count() == 1
    again = {"model_version": version, "site": site, "source": "table"}
    with pytest.raises(IntegrityError), transaction.atomic():
        Acceptance.objects.create(**again)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text, of: text.replace(of[1].accession_number, "NONE", 1), "line 3: the site has no study"),
        (lambda text, of: text.replace("malignant", "blue", 1), "line 3: the label is none of"),
        (lambda text, of: text.replace("study,label", "study,truth"), "line 1: there is no column label"),
        (lambda text, of: text + "\n" + text.splitlines()[1], "line 52: the study stands in line 2 already"),
        (lambda text, of: "\n".join(text.splitlines()[:9]), "8 known studies; a measurement takes from 50"),
        (lambda text, of: text.replace(",benign", "", 1), "line 2: 1 values under 2 columns"),
        (
            lambda text, of: text.replace(",", ";").replace("malignant", "blue", 1),
            "line 3: the label is none of",
        ),
        (lambda text, of: text + '\n"open', "line 52"),
        (lambda text, of: "", "line 1: there is no column study"),
    ],
)
def test_what_is_wrong_of_a_table_is_named_by_its_line(
    administrator: Actor, version: ModelVersion, site: Site, change: Any, why: str
) -> None:
    of = studies(site)
    with pytest.raises(Invalid) as refused:
        acceptance.ask(administrator, version, site, change(table(of), of))
    assert any(why in error.reason for error in refused.value.errors), refused.value.errors
    assert not Acceptance.objects.exists()


def test_studies_that_cannot_be_meant_are_named(
    administrator: Actor, version: ModelVersion, site: Site
) -> None:
    of = studies(site)
    Study.objects.filter(pk__in=[of[1].pk, of[3].pk]).update(accession_number="TWICE")
    Study.objects.filter(pk=of[5].pk).update(modality="MG")
    Study.objects.filter(pk=of[7].pk).update(state=Study.State.RECEIVING)
    Study.objects.filter(pk=of[9].pk).update(site=factories.site())
    withdraw(factories.actor(Role.RADIOLOGIST, site), of[11], "wrong patient")
    for side in "LR":
        factories.instance(of[13], side)
    of[1].refresh_from_db()
    with pytest.raises(Invalid) as refused:
        acceptance.ask(administrator, version, site, table(of))
    assert [error.reason.split(":")[0] for error in refused.value.errors] == [
        f"line {number}" for number in (3, 5, 7, 9, 11, 13, 15)
    ]
    said = table(of).replace(f"{of[13].accession_number},", f"{of[13].study_instance_uid},")
    heading, *lines = said.splitlines()
    good = [line for number, line in enumerate(lines) if number not in (1, 3, 5, 7, 9, 11)]
    more = [f"{study.accession_number},benign" for study in studies(site, 6)]
    sided = [f"{line},{'r' if of[13].study_instance_uid in line else ''}" for line in [*good, *more]]
    asked = acceptance.ask(administrator, version, site, "\n".join([f"{heading},side", *sided]))
    assert asked.cases.get(study=of[13]).side == "R"


def test_what_the_platform_knows_is_taken(administrator: Actor, version: ModelVersion, site: Site) -> None:
    of = studies(site, 53)
    for number, study in enumerate(of):
        KnownTruth.objects.create(study=study, positive=number % 2 == 1, source="pathology")
    KnownTruth.objects.create(study=of[0], positive=True, source="table")
    KnownTruth.objects.create(study=studies(site, 1, "MG")[0], positive=True, source="table")
    for side in "LR":
        factories.instance(of[1], side)
    asked = acceptance.ask(administrator, version, site)
    assert (asked.source, asked.cases.count()) == ("platform", 52)
    assert asked.cases.get(study=of[0]).label == "positive", "the latest word counts"
    assert not asked.cases.filter(study=of[1]).exists(), "which breast is not known"


def test_two_people(administrator: Actor, version: ModelVersion, site: Site) -> None:
    asked = acceptance.ask(administrator, version, site, table(studies(site)))
    lead = factories.actor(Role.CLINICAL_LEAD, site)
    with pytest.raises(Conflict):
        acceptance.sign(lead, asked.pk, "seen")
    measured(asked)
    with pytest.raises(Conflict) as same:
        acceptance.sign(administrator, asked.pk, "seen")
    assert same.value.code == "same_person"
    with pytest.raises(NotFound):
        acceptance.sign(factories.actor(Role.CLINICAL_LEAD), asked.pk, "seen")
    for role in (Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.INTEGRATOR):
        with pytest.raises(NotPermitted):
            acceptance.sign(factories.actor(role, site), asked.pk, "seen")
    with pytest.raises(NotPermitted):
        acceptance.sign(Actor.system("test"), asked.pk, "seen")
    with pytest.raises(Invalid):
        acceptance.sign(lead, asked.pk, "  ")
    signed = acceptance.sign(lead, asked.pk, "seen")
    assert signed.signed_by == lead.user
    assert AuditEvent.objects.filter(action="acceptance.sign", object_id=str(asked.pk)).count() == 1
    with pytest.raises(Conflict):
        acceptance.sign(factories.actor(Role.ADMINISTRATOR), asked.pk, "again")
    with pytest.raises(IntegrityError), transaction.atomic():
        Acceptance.objects.filter(pk=asked.pk).update(signed_by=administrator.user)


def test_a_repetition_by_the_clock_is_not_signed(version: ModelVersion, site: Site) -> None:
    asked = measured(Acceptance.objects.create(model_version=version, site=site, source="table"))
    with pytest.raises(Conflict) as refused:
        acceptance.sign(factories.actor(Role.ADMINISTRATOR), asked.pk, "seen")
    assert refused.value.code == "by_the_clock"


@pytest.mark.parametrize("state", ["uploaded", "retired"])
def test_what_was_not_examined_is_not_measured(
    administrator: Actor, version: ModelVersion, site: Site, state: str
) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(state=state, is_default=False)
    with pytest.raises(Conflict):
        acceptance.ask(administrator, version, site, table(studies(site)))


def test_a_patients_slide_comes_first(version: ModelVersion, site: Site) -> None:
    waiting = Acceptance.objects.create(model_version=version, site=site, source="table")
    assert not acceptance_run.must_wait(waiting.pk)
    at_work = Acceptance.objects.create(
        model_version=version, site=factories.site(), source="table", told_at=timezone.now()
    )
    assert acceptance_run.must_wait(waiting.pk) and not acceptance_run.must_wait(at_work.pk)
    measured(at_work)
    assert not acceptance_run.must_wait(waiting.pk)
    AnalysisJob.objects.create(
        study=factories.study(site), model_version=version, content_hash="ab" * 32, queue="slide"
    )
    assert acceptance_run.must_wait(waiting.pk)


def test_others_see_nothing(client: Client, version: ModelVersion, site: Site) -> None:
    asked = measured(Acceptance.objects.create(model_version=version, site=site, source="table"))
    one = reverse("acceptance", args=[asked.pk])
    for role in set(Role.values) - {Role.ADMINISTRATOR, Role.CLINICAL_LEAD}:
        client.force_login(factories.user(role, site))
        for address in (reverse("acceptances"), one, reverse("acceptance-progress", args=[asked.pk])):
            assert client.get(address).status_code == 403, (role, address)
        assert client.post(reverse("acceptances"), {}).status_code == 403, role
        assert client.post(one, {"note": "x"}).status_code == 403, role


def test_a_clinical_lead_sees_and_signs_the_sites_own_alone(
    client: Client, administrator: Actor, version: ModelVersion, site: Site
) -> None:
    asked = measured(acceptance.ask(administrator, version, site, table(studies(site))))
    other = measured(Acceptance.objects.create(model_version=version, site=factories.site(), source="table"))
    client.force_login(factories.user(Role.CLINICAL_LEAD, site))
    page = client.get(reverse("acceptances")).content.decode()
    assert str(asked.pk) in page and str(other.pk) not in page and "Measure it" not in page
    assert client.post(reverse("acceptances"), {}).status_code == 403
    assert client.get(reverse("acceptance", args=[other.pk])).status_code == 404
    address = reverse("acceptance", args=[asked.pk])
    assert "Sign this verdict" in client.get(address).content.decode()
    assert client.post(address, {"note": "seen, and agreed"}).status_code == 302
    assert "seen, and agreed" in client.get(address).content.decode()


def test_from_the_form_to_the_page_of_the_verdict(
    client: Client, administrator: Actor, version: ModelVersion, site: Site
) -> None:
    client.force_login(administrator.user)
    form = {"version": version.pk, "site": site.pk, "source": "table"}
    assert "Choose the table" in client.post(reverse("acceptances"), form).content.decode()
    bad = SimpleUploadedFile("known.csv", b"study,label\nA,malignant\nB,\xff\n")
    assert "line 3: not UTF-8" in client.post(reverse("acceptances"), {**form, "table": bad}).content.decode()
    short = SimpleUploadedFile("known.csv", b"study,label\nNONE,malignant\n")
    refused = client.post(reverse("acceptances"), {**form, "table": short})
    assert refused.status_code == 422 and "line 2: the site has no study" in refused.content.decode()
    file = SimpleUploadedFile("known.csv", table(studies(site)).encode())
    answer = client.post(reverse("acceptances"), {**form, "table": file})
    asked = Acceptance.objects.get()
    assert answer["Location"] == reverse("acceptance", args=[asked.pk])
    assert "Waits until no slide does" in client.get(answer["Location"]).content.decode()
    assert "HX-Refresh" not in client.get(reverse("acceptance-progress", args=[asked.pk]))
    found = reported(area=0.0)
    measured(asked, found)
    assert client.get(reverse("acceptance-progress", args=[asked.pk]))["HX-Refresh"] == "true"
    page = client.get(answer["Location"]).content.decode()
    assert "Do not switch on" in page and "another person signs it" in page
    auc = next(figure for figure in found.figures if figure.name == "auc_malignant")
    assert f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]" in page


def test_a_measurement_that_failed_says_why(client: Client, version: ModelVersion, site: Site) -> None:
    asked = Acceptance.objects.create(model_version=version, site=site, source="table")
    acceptance_run.keep(asked, "the measurement did not end (exit status -9)", None)
    client.force_login(factories.user(Role.ADMINISTRATOR))
    page = client.get(reverse("acceptance", args=[asked.pk])).content.decode()
    assert "It was not measured." in page and "exit status -9" in page


@pytest.mark.parametrize(
    "found",
    [
        reported(0.0),
        reported(2.5, 100),
        reported(3.0, 30),
        reported(1.0, 60),
        reported(2.0, 24),
        reported(2.5, 200, seed=3, home=0.9),
    ],
    ids=str,
)
def test_every_sentence_of_the_laboratory_is_known_in_chinese(found: Measured) -> None:
    for sentence in (*found.reasons, *found.conditions, *found.notes):
        words = acceptance_words.is_known(sentence)
        assert words is not None, sentence
        with translation.override("zh-hans"):
            assert acceptance_words.is_known(sentence) != words, sentence


def test_the_sites_own_thresholds_from_proposal_to_withdrawal(
    client: Client, administrator: Actor, version: ModelVersion, site: Site
) -> None:
    asked = measured(acceptance.ask(administrator, version, site, table(studies(site))))
    page = reverse("acceptance", args=[asked.pk])

    def step(name: str, **fields: str) -> str:
        answer = client.post(reverse("acceptance-thresholds", args=[asked.pk, name]), fields)
        return "403" if answer.status_code == 403 else client.get(page).content.decode()

    client.force_login(administrator.user)
    assert "whose verdict is signed" in step("propose"), "an unsigned verdict proposes nothing"
    lead = factories.actor(Role.CLINICAL_LEAD, site)
    acceptance.sign(lead, asked.pk, "seen")
    assert "Propose these thresholds" in client.get(page).content.decode()
    client.force_login(factories.user(Role.RADIOLOGIST, site))
    assert [step(name) for name in ("propose", "sign", "withdraw")] == ["403"] * 3
    client.force_login(lead.user)
    assert step("propose") == "403", "a clinical lead signs, and proposes nothing"
    client.force_login(administrator.user)
    assert "Put them in force" not in step("propose")
    assert "another person signs them" in step("sign") and thresholds.in_force(version, site.pk) is None
    client.force_login(lead.user)
    assert "Put them in force" in client.get(page).content.decode()
    assert "In force" in step("sign")
    own = thresholds.in_force(version, site.pk)
    assert own is not None and own.thresholds == asked.report["proposal"]["thresholds"]  # type: ignore[index]
    assert (
        "Ended" in step("withdraw", reason="a new scanner") and thresholds.in_force(version, site.pk) is None
    )


def test_a_slide_of_several_files_is_one_case(administrator: Actor, tmp_path: Path) -> None:
    """Laid out as the laboratory reads it: a folder with all its files, and without its label."""
    version = factories.model_version("histopathology", "SM")
    version.manifest = read_manifest("histopathology").model_dump(mode="json")
    version.save()
    made = WholeSlide(patient_id="SEVERAL")
    parts = [*made.concatenation(section(), 2, 0.5), made.file(section(64, 64), None, "LABEL")]
    assert Hospital().post(None, {f"{n}.dcm": part for n, part in enumerate(parts)}).status_code == 201
    study = Study.objects.get(study_instance_uid=made.study)
    asked = acceptance.begin(
        administrator, version, study.site, "table", [acceptance_cases.KnownCase(study.pk, "malignant")]
    )
    with ExitStack() as files:
        assert acceptance_run._lay_out(asked, tmp_path, files) == ([], 1)
        (line,) = csv.DictReader((tmp_path / "cases.csv").open())
        laid = [path.read_bytes() for path in sorted((tmp_path / "images" / line["image"]).iterdir())]
    assert sorted(map(len, laid)) == sorted(map(len, parts[:2])) and float(line["um_per_px"]) == 0.5


def test_a_measurement_has_a_limit_of_memory(
    administrator: Actor, version: ModelVersion, site: Site, settings: Any
) -> None:
    """The laboratory's own process, with less than it needs: the page says so, and the worker is well."""
    settings.ACCEPTANCE_MEMORY_BYTES = 200_000_000
    study = factories.study(site, "US")
    png = io.BytesIO()
    Image.new("L", (320, 240), 90).save(png, "PNG")
    with transaction.atomic():
        file = storage.store_bytes(png.getvalue(), "image/png")
    factories.instance(
        study, "L", view="", kind="image", file=file, rows=240, columns=320, pixel_spacing_um=80.0
    )
    asked = acceptance.begin(
        administrator, version, site, "table", [acceptance_cases.KnownCase(study.pk, "malignant")]
    )
    assert acceptance_run.measure(asked.pk) == "failed"
    asked.refresh_from_db()
    assert acceptance_words.in_words(asked.said.splitlines()) == [
        "The measurement needs more memory than the 200 MB that it may use."
    ]
