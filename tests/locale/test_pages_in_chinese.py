"""Every page of every role, with a case of each modality that has everything a case can have: a Chinese reader meets no
English but codes, and nobody reads a sentence twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from cad_platform import modalities
from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis import bulk
from cad_platform.analysis.models import AnalysisJob, Finding, JobAttempt
from cad_platform.core.actor import Actor
from cad_platform.delivery.models import Delivery, DeliveryAttempt, Event, Webhook
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.patients.models import Patient
from cad_platform.quality import watching
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import AlertRule
from cad_platform.records import erasing, merging, retention
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.reporting import content as contents
from cad_platform.reporting import selectors, services, signing
from cad_platform.reporting.document import document_of
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Instance, KeptAside, Study, StudyCorrection
from embedded.state import REPOSITORY
from imaging.description import ImageFacts
from tests import factories as make
from tests.locale.latin import english_words
from tests.locale.shown import repeated, shown
from tests.reporting.test_content import COMPLETE_MG, COMPLETE_SM
from tests.reporting.test_services import pdf_of

pytestmark = pytest.mark.django_db(transaction=True)
FRAGMENT = {"HTTP_HX_REQUEST": "true"}
CHAMPIONS = {"MG": "mammography", "US": "ultrasound", "SM": "histopathology"}
CHINESE_MG = {
    **COMPLETE_MG, "indication": "常规筛查。", "impression": "左乳肿块。", "comparison": "与既往对比。",
    "recommendation_text": "两周内。",
}  # fmt: skip
CHINESE_US = {key: value for key, value in CHINESE_MG.items() if key != "density"}
CHINESE_SM = {
    **COMPLETE_SM,
    "diagnosis_text": "非特殊类型浸润性癌。",
    "her2_ihc": "2+",
    "her2_ish": "pending",
}
CONTENTS = {"MG": CHINESE_MG, "US": CHINESE_US, "SM": CHINESE_SM}
#: Named by a person or a system, not by us.
TYPED = (
    "Webhook", "webhook", "mini-MIAS", "MIAS", "Suckling", "CBIS-DDSM", "BY", "CC0", "Sawyer-Lee", "Lee", "BUSI", "IDC",
    "Al-Dhabyani", "patches", "Cruz-Roa", "Janowczyk", "Madabhushi", "Latin", "Shift", "EN", "h", "Shift+B", "P",
    "Unicode", "Europe", "London", "Asia", "Shanghai", "Page", "Up", "Down", "Alt", "Tab", "Enter", "Esc", "Space",
    "Ctrl", "a", "b", "c", "d", "mammography", "ultrasound", "histopathology", "https", "example", "gpu",
    "TorchServe", "KServe", "logits", "mailto", "PSI", "KS", "AUC", "Kolmogorov-Smirnov", "p", "s", "system", "quality",
    "study", "positive", "reader", "modality", "case", "truth", "score",  # columns of a table
    "Obuchowski", "Rockette", "Hillis",
)  # fmt: skip


def manifest(name: str) -> dict[str, Any]:
    path = REPOSITORY / "model_store" / name / "2.2.0" / "manifest.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def chinese(user: User | None = None) -> Client:
    client = Client()
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    if user:
        client.force_login(user)
    return client


@pytest.fixture
def site() -> Site:
    return make.site("院")


@pytest.fixture(autouse=True)
def a_chinese_hospital(site: Site) -> Iterator[None]:
    site.name = "示范医院"
    site.save()
    yield


def person(role: str, at: Site) -> User:
    return make.user(role, at, first_name="敏", last_name="王", username=f"u{uuid.uuid4().hex[:8]}")


def analysed(study: Study, images: list[Instance]) -> AnalysisJob:
    champion = modalities.get(study.modality).champion
    job = make.succeeded_job(study)
    found = manifest(champion)
    job.model_version.manifest = found
    job.model_version.save()
    classes = found["classes"]
    probabilities = {name: round(0.9 / (place + 1), 2) for place, name in enumerate(classes)}
    results = [
        {
            "image_id": image.sop_instance_uid,
            "probabilities": probabilities,
            "flags": flags,
            "frames_read": [0],
        }
        for image, flags in zip(
            images, [["low_quality"], ["uncertain"], ["out_of_distribution"], ["partial"]], strict=False
        )
    ]
    if len(images) > 4:
        unread = {"image_id": images[4].sop_instance_uid, "probabilities": {}, "flags": ["not_read"]}
        results.append(
            {**unread, "frames_read": [], "not_read": "The pixel data cannot be decoded: they are damaged."}
        )
    job.result = {
        **job.result,
        "probabilities": probabilities,
        "breasts": {"R": probabilities, "L": probabilities} if study.modality == "MG" else {},
        "images": results,
        "flags": ["uncertain", "not_read", "low_quality"],
        "thresholds": found["thresholds"],
    }
    job.save()
    return job


def rich_case(site: Site, modality: str, reader: User) -> Study:
    """Findings of every label, every decision, every flag; images that hang and such as are kept aside; a file that is
    no image; a correction; and what the headers contradict."""
    patient = make.patient(site, name="王^小明")
    study = make.study(site, modality, patient=patient, procedure="双乳筛查", accession_number="A1")
    images = [
        make.instance(study, side, view, number=place, frames=frames)
        for place, (side, view, frames) in enumerate(
            [("R", "CC", 1), ("L", "CC", 1), ("R", "MLO", 1), ("L", "MLO", 30), ("", "", 1)], start=1
        )
    ]
    for place, image_type in enumerate((("DERIVED", "SECONDARY", "LOCALIZER"),), start=6):
        facts = ImageFacts(image_type=image_type).model_dump(mode="json", exclude_defaults=True)
        make.instance(study, "L", "CC", number=place, facts=facts)
    doubt = ImageFacts(chest_wall="left", patient_orientation=("P", "L"))
    make.instance(study, "L", "ML", number=7, facts=doubt.model_dump(mode="json", exclude_defaults=True))
    job = analysed(study, images)
    for label in modalities.get(modality).labels:
        make.finding(
            images[0], job, label=label, descriptors={"area_mm2": 20.5, "longest_mm": 6.0, "malignancy": 0.4}
        )
    findings = list(Finding.objects.filter(study=study).order_by("number"))
    make.decision(findings[0], reader)
    make.decision(findings[1], reader, "rejected", reason="Normal tissue")
    make.decision(findings[2], reader, "edited", reason="Too large", label="other")
    make.finding(images[1], label="other", author=reader)
    KeptAside.objects.create(
        study=study,
        what="radiation dose report",
        reason="no_image",
        file=make.stored_file(),
        file_name="d.dcm",
    )
    study.header_differences = [
        {"file": "a.dcm", "field": "patient.sex", "header": "F", "used": "M"},
        {
            "file": "a.dcm", "field": "patient.name", "header": "佚名", "used": "",
            "note": "The patient's name could not be read. Its bytes do not fit the header's character set.",
        },
    ]  # fmt: skip
    study.save()
    StudyCorrection.objects.create(
        study=study, version=2, kind="corrected", reason="更正", by=reader,
        changes=[{"file": "", "field": "priority", "old": "routine", "new": "stat"}],
    )  # fmt: skip
    return study


def signed_case(site: Site, modality: str, reader: User) -> Study:
    """A report with an addendum, signed in Chinese, of marks of every kind."""
    study = make.study(site, modality, patient=make.patient(site, name="王^小明"), procedure="双乳筛查")
    image = make.instance(study, "L", "CC", number=1)
    other = make.instance(study, "L" if modality == "SM" else "R", "CC", number=2)
    job = analysed(study, [image, other])
    for label in modalities.get(modality).labels:
        make.finding(image, job, label=label)
    found = list(Finding.objects.filter(study=study).order_by("number"))
    make.decision(found[0], reader)
    make.decision(found[1], reader, "rejected", reason="Normal tissue")
    if modality != "SM":  # there the third is another diagnosis, which the report must not contradict
        make.decision(found[2], reader, "edited", reason="Too large", box=[100, 200, 220, 300])
    return study


def open_jobs(site: Site) -> list[AnalysisJob]:
    """A study for each end of a job, and its attempts."""
    jobs = []
    for state in AnalysisJob.State.values:
        study = make.study(site, "MG", patient=make.patient(site, name="李^静"), accession_number="A2")
        make.instance(study)
        version = make.model_version("mammography", "MG")
        version.manifest = manifest("mammography")
        version.save()
        if state == AnalysisJob.State.SUCCEEDED:
            jobs.append(make.succeeded_job(study))
            continue
        job = AnalysisJob.objects.create(
            study=study, model_version=version, content_hash=study.content_hash, state=state,
            reason="The file is empty." if state in {"failed", "not_applicable"} else "",
        )  # fmt: skip
        jobs.append(job)
    for number, outcome in enumerate(JobAttempt.Outcome.values, start=1):
        JobAttempt.objects.create(
            job=jobs[-1], number=number, worker="w1", outcome=outcome, ended_at=timezone.now(),
            error="the machine was short of memory",
        )  # fmt: skip
    return jobs


def english_on(html: str) -> list[tuple[str, list[str]]]:
    return [(text, words) for text in shown(html) if (words := english_words(text, also=TYPED))]


def hosts_of_every_state() -> list[ModelHost]:
    """Model servers that are ready, degraded, down and drained, with what they may say of themselves."""
    now, made = timezone.now(), []
    worker = {"id": "9000", "status": "READY", "since": now.isoformat(), "memory_mb": 440, "gpu": True}
    wrong = "answers its known case wrongly: logits deviates by 0.3, allowed are 0.002"
    late = {"is_resting": True, "failed_at": now, "reason": "ReadTimeout", "failures": 2}
    quiet = {"counted_at": now, "quiet_since": now, "requests_total": 7, "pending": 0}
    states: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"memory_used_mb": 900, "memory_total_mb": 8000}, {"is_default": True, "worker_details": [worker]}),
        ({}, {**late, "worker_details": [worker]}),
        ({}, {"is_right": False, "reason": wrong}),
        ({"draining_since": now, **quiet}, {}),
        ({"draining_since": now - timedelta(minutes=5)}, {"is_loaded": False}),
    ]
    for number, (host, version) in enumerate(states, 1):
        url = f"http://10.0.0.{number}"
        addresses = {"url": f"{url}:8080", "management_url": f"{url}:8081"}
        row = ModelHost.objects.create(name=f"服务器-{number}", source="added", **addresses, **host)
        seen = {"is_loaded": True, "succeeded_at": now, "changed_at": now, **version}
        HostedVersion.objects.create(host=row, name="ultrasound", version="2.2.0", **seen)
        made.append(row)
    return made


@pytest.mark.parametrize("modality", ["MG", "US", "SM"])
def test_a_case_its_report_and_its_pdf(site: Site, modality: str) -> None:
    role = Role.PATHOLOGIST if modality == "SM" else Role.RADIOLOGIST
    reader = person(role, site)
    browser = chinese(reader)
    study = rich_case(site, modality, reader)
    uid = study.study_instance_uid

    def look(response: Any, what: str) -> None:
        html = response.content.decode()
        assert response.status_code == 200, (what, html[:400])
        assert english_on(html) == [], what
        assert repeated(html) == [], what

    look(browser.get(reverse("case", args=[uid])), "case")
    look(browser.get(reverse("case-live", args=[uid]), **FRAGMENT), "live")
    look(browser.post(reverse("report-start", args=[uid]), **FRAGMENT), "draft")
    draft = Report.objects.get(study=study)
    browser.post(reverse("report-save", args=[draft.pk]), {"kind": CONTENTS[modality]["kind"], "revision": 0})
    ready = browser.get(reverse("report-readiness", args=[draft.pk])).json()
    assert [words for words in _texts(ready) if english_words(words, also=TYPED)] == []
    draft.refresh_from_db()
    lines = {"line_finding": [], "line_text": []}
    for line in draft.content.get("findings", []):
        lines["line_finding"].append(line["finding"] or "")
        lines["line_text"].append("边界不清。")
    form = {**CONTENTS[modality], **lines, "revision": draft.revision}
    saved = browser.post(reverse("report-save", args=[draft.pk]), form)
    assert saved.status_code == 200, saved.content.decode()
    look(browser.get(reverse("report-editor", args=[uid]), **FRAGMENT), "editor")
    said = {"revision": saved.json()["revision"], "password": make.PASSWORD}
    refused = browser.post(reverse("report-sign", args=[draft.pk]), said)
    assert [words for words in _texts(refused.json()) if english_words(words, also=TYPED)] == []
    look(browser.get(reverse("report-trail", args=[uid]), **FRAGMENT), "trail")


@pytest.mark.parametrize("modality", ["MG", "US", "SM"])
def test_a_signed_report_and_its_pdf(site: Site, modality: str) -> None:
    role = Role.PATHOLOGIST if modality == "SM" else Role.RADIOLOGIST
    reader = person(role, site)
    study = signed_case(site, modality, reader)
    with translation.override("zh-hans"):
        actor = Actor.of_user(reader)
        draft = services.open_draft(actor, study)
        content = contents.dump(selectors.draft_content(draft))
        for line in content["findings"]:
            line["text"] = "边界不清。"
        draft = services.save_draft(actor, draft.pk, {**content, **CONTENTS[modality]}, draft.revision).report
        signing.sign(actor, draft.pk, password=make.PASSWORD, revision=draft.revision)
    html = (
        chinese(reader)
        .get(reverse("report-editor", args=[study.study_instance_uid]), **FRAGMENT)
        .content.decode()
    )
    assert english_on(html) == []
    assert repeated(html) == []
    report = Report.objects.get(pk=draft.pk)
    text = "\n".join(page.extract_text() for page in pdf_of(report).pages)
    assert english_words(text, also=(*TYPED, "P")) == []
    # A colleague who reads English reads the same report in English.
    with translation.override("en"):
        english = document_of(report, report.signature)
    assert "Accepted by" in str(english["ai"]) and "肿块" not in str(english["ai"])
    assert english["signature"]["meaning"].startswith("Read, interpreted")


def _texts(value: Any) -> Iterator[str]:
    """What an answer says to people; not the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in {
                "title",
                "field",
                "code",
                "type",
                "rule",
                "kind",
                "name",
                "id",
                "severity",
                "request_id",
                "instance",
            }:
                yield from _texts(each)


def test_the_pages_of_every_role(site: Site) -> None:
    reader = person(Role.RADIOLOGIST, site)
    rich_case(site, "MG", reader)
    jobs = open_jobs(site)
    administrator = person(Role.ADMINISTRATOR, site)
    integrator = person(Role.INTEGRATOR, site) if hasattr(Role, "INTEGRATOR") else reader
    tokens.issue(Actor.of_user(administrator), integrator, name="网关")
    webhook = Webhook.objects.create(site=site, url="https://example.org/h", topics=["report.signed"])
    delivery = Delivery.objects.create(
        webhook=webhook,
        event=Event.REPORT_SIGNED,
        study=jobs[0].study,
        occurrence="1",
        state=Delivery.State.DEAD,
    )
    for status, error in ((None, "No answer within 5 s."), (503, "The receiver answered 503.")):
        DeliveryAttempt.objects.create(delivery=delivery, status=status, error=error, seconds=1)
    addresses = [
        reverse(name)
        for name in (
            "worklist", "jobs", "models", "users", "new-user", "sites", "tokens", "webhooks", "keyboard", "reanalyses",
            "quality", "alerts", "alert-rules", "patient-merges", "model-upload", "reader-studies",
            "reader-study-signed",
            "retention", "holds", "erasures", "retention-policies", "roles",
            "demographics-reviews", "account_change_password", "account_logout", "account_reauthenticate",
        )
    ]  # fmt: skip
    addresses += [f"{reverse('worklist')}?state=all", "/audit/", reverse("user", args=[reader.pk])]
    addresses += [reverse("site", args=[site.pk]), *(reverse("job", args=[job.pk]) for job in jobs)]
    other = make.model_version(jobs[0].model_version.name, version="0.9.0", is_default=False)
    other.manifest = jobs[0].model_version.manifest | {"version": other.version}
    other.save(update_fields=["manifest"])
    addresses += [
        reverse("model", args=[jobs[0].model_version_id]),
        reverse("model", args=[other.pk]),
        reverse("model-agreement", args=[other.pk, jobs[0].model_version_id]),
        reverse("webhook", args=[webhook.pk]),
    ]
    addresses += [reverse("alert-rule", args=[rule.measure]) for rule in AlertRule.objects.all()]
    rule = AlertRule.objects.get(measure="drift")
    measured = Measured(0.4, True, {"ks": 0.3, "p": 0.1, "cases": 200, "features": "score, all"})
    watching.settle(rule, site.pk, jobs[0].model_version_id, measured, timezone.now())
    addresses.append(reverse("alert", args=[rule.alerts.get().pk]))
    many = bulk.ask(Actor.of_user(administrator), "cancel", AnalysisJob.objects.all(), {})
    addresses += [reverse("jobs-many", args=[kind]) for kind in ("retry", "cancel", "again")]
    addresses += [reverse("jobs-action", args=[many.pk])]
    hosts = hosts_of_every_state()
    addresses += [reverse("fleet"), *(reverse("fleet-host", args=[host.pk]) for host in hosts)]
    kept, gone, old, due = (make.patient(site, patient_id=f"M-{number}", name="王^芳") for number in range(4))
    Patient.objects.filter(pk=due.pk).update(created_at=timezone.now() - timedelta(days=9999))
    merged = merging.merge(Actor.of_user(reader), kept.pk, gone.pk, "同一人。")
    addresses.append(reverse("patient-merge", args=[merged.pk]))
    retention.change_policy(Actor.of_user(administrator), site.pk, 10)
    retention.place_hold(Actor.of_user(reader), gone, "试验。")
    asked = erasing.ask(Actor.of_user(reader), old, on_behalf="patient", reason="本人要求。")
    addresses += [reverse("erasure", args=[asked.pk]), reverse("person-roles", args=[reader.pk])]
    seen = 0
    others = [person(role, site) for role in (Role.PATHOLOGIST, Role.SONOGRAPHER)]
    for user in (reader, administrator, *others):
        browser = chinese(user)
        for address in addresses:
            response = browser.get(address)
            html = response.content.decode()
            if response.status_code in (301, 302):
                continue
            assert english_on(html) == [], (user.role, address)
            assert repeated(html) == [], (user.role, address)
            seen += response.status_code == 200
    assert seen > 30
    for address in ("/accounts/login/", "/accounts/signup/", "/accounts/inactive/", "/nothing-here/"):
        html = chinese().get(address, follow=True).content.decode()
        assert english_on(html) == [], address


def test_manifests_are_said_in_chinese() -> None:
    for name in CHAMPIONS.values():
        found = manifest(name)
        with translation.override("zh-hans"):
            for key in ("title", "intended_use", "licence"):
                assert english_words(manifest_words(found[key]), also=TYPED) == [], (name, key)


def test_english_and_what_is_said_twice_are_seen() -> None:
    html = '<p title="Back">未分析</p><span class="code">abc</span><p>Not analysed. not analysed</p>'
    assert [words for _text, words in english_on(html)] == [["Back"], ["Not", "analysed", "not", "analysed"]]
    assert repeated(html) and repeated("<h2>诊断意见</h2><label>诊断意见</label>")
    assert not repeated("<h2>诊断意见</h2><p>左乳</p>")
