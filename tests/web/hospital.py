"""A hospital to send the forms of the pages to."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Scope, Site, User
from cad_platform.analysis.models import AnalysisJob, KnownTruth
from cad_platform.core.actor import Actor
from cad_platform.delivery import services as delivery
from cad_platform.delivery.models import Delivery, Event, Webhook
from cad_platform.learning import consent, trainings, versions
from cad_platform.learning.models import DatasetVersion, Training
from cad_platform.modelserver import services as modelserver
from cad_platform.modelserver.models import ModelHost
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.quality import watching
from cad_platform.quality.acceptance_cases import FEWEST
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import Acceptance, Alert, AlertRule
from cad_platform.reading.models import Annotation
from cad_platform.records import retention
from cad_platform.studies.models import Study
from cad_platform.studies.services import withdraw
from inference.runtime.store import read_manifest
from tests import factories as make


class Hospital:
    """A site with a study, a reader and an administrator."""

    def __init__(self) -> None:
        self.site: Site = make.site()
        self.study: Study = make.study(self.site)
        self.image = make.instance(self.study)
        self.job = make.succeeded_job(self.study)
        self.reader: User = make.user(Role.RADIOLOGIST, self.site)
        self.administrator: User = make.user(Role.ADMINISTRATOR)
        self.lead: User = make.user(Role.CLINICAL_LEAD, self.site)

    @property
    def admin(self) -> Actor:
        return Actor.of_user(self.administrator)

    def colleague(self) -> Actor:
        return make.actor(Role.RADIOLOGIST, self.site)

    def other_patient(self) -> Patient:
        return make.patient(self.site, patient_id="OTHER")

    def learnable(self) -> None:
        """The study is signed as benign, and its patient consents."""
        reader, patient = Actor.of_user(self.reader), self.study.patient
        assert patient is not None
        make.signed_rows(self.study, reader, {"kind": "imaging", "assessment": "2"})
        consent.say(reader, patient.patient_id, "", state="yes", source="form")

    def dataset(self) -> DatasetVersion:
        self.learnable()
        return versions.make(Actor.of_user(self.lead), self.site, self.study.modality)

    def training(self) -> Training:
        return trainings.ask(self.admin, self.dataset(), "byra2021_deep_representation_scaling")

    def due_patient(self) -> Patient:
        retention.change_policy(self.admin, self.site.pk, 1)
        Study.objects.filter(pk=self.study.pk).update(study_date=date(1990, 1, 1))
        Patient.objects.update(created_at=timezone.now() - timedelta(days=9999))
        assert self.study.patient is not None
        return self.study.patient

    def withdrawn(self) -> Study:
        return withdraw(Actor.of_user(self.reader), self.study, "wrong patient")

    def review(self) -> DemographicsReview:
        return DemographicsReview.objects.create(
            patient=self.study.patient,
            study_instance_uid=self.study.study_instance_uid,
            reported={"sex": "O"},
        )

    def webhook(self) -> Webhook:
        return delivery.add_webhook(
            self.admin, site=self.site, url="https://pacs.example/hook", events=[Event.STUDY_ANALYSED]
        )[0]

    def alert(self) -> Alert:
        rule = AlertRule.objects.get(measure="drift")
        watching.settle(rule, self.site.pk, self.job.model_version_id, Measured(1.0, True), timezone.now())
        return Alert.objects.get()

    def known_cases(self) -> int:
        """As many as a measurement takes."""
        for _ in range(FEWEST):
            study = make.study(self.site, self.study.modality, patient=self.study.patient)
            KnownTruth.objects.create(study=study, positive=False, source="table")
        return FEWEST

    def measured(self) -> Acceptance:
        return Acceptance.objects.create(
            model_version=self.job.model_version,
            site=self.site,
            asked_by=make.user(Role.ADMINISTRATOR),
            source=Acceptance.Source.TABLE,
            state=Acceptance.State.MEASURED,
            verdict=Acceptance.Verdict.DO_NOT,
            report={"figures": []},
        )

    def proposing(self) -> Acceptance:
        """Its verdict is signed, and it leads to thresholds."""
        levels = {"high_sensitivity": 0.1, "balanced": 0.4, "high_specificity": 0.8}
        found, version = self.measured(), self.job.model_version
        version.manifest = read_manifest("ultrasound").model_dump(mode="json")
        version.save()
        found.verdict, found.report = (
            Acceptance.Verdict.ON,
            {"figures": [], "proposal": {"thresholds": levels}},
        )
        found.signed_by, found.signed_at = make.user(Role.CLINICAL_LEAD, self.site), timezone.now()
        found.save()
        return found

    def taken_delivery(self, webhook: Webhook) -> Delivery:
        delivery.announce(self.study, Event.STUDY_ANALYSED, "one")
        Delivery.objects.update(state=Delivery.State.DELIVERED)
        return Delivery.objects.get(webhook=webhook)

    def model_host(self) -> ModelHost:
        return modelserver.add_host(self.admin, "http://gpu-1:8080", name="gpu-1")

    def drained_host(self) -> ModelHost:
        host = self.model_host()
        modelserver.drain(self.admin, host)
        return host

    def token(self) -> Any:
        token, _plaintext = tokens.issue(
            self.admin,
            self.reader,
            name="gateway",
            scopes=[Scope.STUDIES_READ],
            expires_at=timezone.now() + timedelta(days=9),
        )
        return token

    def length(self) -> Annotation:
        return Annotation.objects.create(
            id=uuid4(),
            study=self.study,
            instance=self.image,
            author=self.reader,
            kind="length",
            points=[[10, 10], [40, 50]],
            revision=1,
        )

    def open_job(self) -> AnalysisJob:
        job = self.failed_job()
        AnalysisJob.objects.filter(pk=job.pk).update(state="requested", reason="")
        return job

    def failed_job(self) -> AnalysisJob:
        AnalysisJob.objects.filter(pk=self.job.pk).update(
            state="failed", reason="away", result=None, score=None
        )
        return self.job


def clients(hospital: Hospital, name: str) -> Client:
    ours = name.startswith(
        (
            "image",
            "study",
            "decide",
            "report",
            "session",
            "keyboard",
            "annotation",
            "patient",
            "erasure",
            "hold",
            "consent",
        )
    )
    client = Client()
    other = hospital.lead if name == "datasets" else hospital.administrator
    client.force_login(hospital.reader if ours else other)
    return client
