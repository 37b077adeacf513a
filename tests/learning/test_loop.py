"""What was signed becomes a version of a data set, where the patient consents, and the laboratory reads it."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from PIL import Image

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound
from cad_platform.learning import consent, exporting, versions
from cad_platform.learning.models import Consent, DatasetItem, DatasetVersion
from cad_platform.patients.models import Patient
from cad_platform.records import merging
from cad_platform.reporting.models import Report
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Study
from imaging.phantoms import ultrasound
from inference.datasets import catalogue, hospital
from inference.datasets.sample import DatasetError
from tests import factories
from tests.posted_files import dicom
from tests.reporting.test_content import COMPLETE_SM
from tests.reporting.test_services import signed_report

pytestmark = pytest.mark.django_db
US = {
    "kind": "imaging", "indication": "Lump.", "assessment": "2", "recommendation": "routine",
    "impression": "Cyst.",
}  # fmt: skip


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def lead(site: Site) -> Actor:
    return factories.actor(Role.CLINICAL_LEAD, site)


@pytest.fixture
def radiologist(site: Site) -> Actor:
    return factories.actor(Role.RADIOLOGIST, site)


Reads = Callable[..., Study]


@pytest.fixture
def read(site: Site, radiologist: Actor) -> Reads:
    """A study of one picture that was read and signed, of a patient who consents unless told otherwise."""

    def made(number: int, *, consents: str = "yes", of: Patient | None = None, **fields: Any) -> Study:
        patient = of or factories.patient(site, name=f"Okafor^Amara{number}")
        if consents and of is None:
            say(radiologist, patient, consents)
        study = factories.study(site, "US", patient=patient)
        image = picture(study, number, **fields)
        job = factories.succeeded_job(study, 0.1)
        kept = factories.finding(image, job, box=[10.0, 20.0, 60.0, 70.0])
        factories.decision(
            kept, radiologist.user, "edited", box=[12, 20, 60, 70], label="cyst", reason="narrower"
        )
        factories.decision(
            factories.finding(image, job), radiologist.user, "rejected", reason="Normal tissue"
        )
        factories.finding(image, author=radiologist.user, box=[1.0, 2.0, 30.0, 40.0])
        factories.signed_rows(study, radiologist, US)
        return study

    return made


def picture(study: Study, seed: int, **fields: Any) -> Instance:
    png = io.BytesIO()
    pixels = ultrasound.phantom(seed, "benign").pixels
    Image.fromarray(pixels).save(png, "PNG", compress_level=1)
    stored = storage.store_bytes(png.getvalue(), "image/png")
    rows, columns = pixels.shape[:2]
    told = {"view": "", "file": stored, "rows": rows, "columns": columns, "frames": 1, **fields}
    return factories.instance(study, **told)


def say(actor: Actor, patient: Patient, state: str) -> Consent:
    return consent.say(actor, patient.patient_id, patient.issuer, state=state, source="form")


def test_signed_findings_of_who_consents_reach_the_laboratory(
    site: Site, lead: Actor, radiologist: Actor, read: Reads, tmp_path: Path
) -> None:
    benign, proven = read(1), read(2)
    for state in ("", "no", "unknown"):
        read(3, consents=state)
    named = dicom(4, BurnedInAnnotation="YES", Modality="US")
    read(4, kind=Instance.Kind.DICOM, file=storage.store_bytes(named, "application/dicom"))
    pathologist = factories.actor(Role.PATHOLOGIST, site)
    signed_report(pathologist, factories.study(site, "SM", patient=proven.patient), COMPLETE_SM)
    made = versions.make(lead, site, "US")
    assert made.left_out == {"no_consent": 3, "names_in_pixels": 1}
    items = {item.study_id: item for item in made.items.all()}
    assert {key: (item.label, item.label_from) for key, item in items.items()} == {
        benign.pk: ("benign", "report"), proven.pk: ("malignant", "pathology"),
    }  # fmt: skip
    item = items[benign.pk]
    assert (item.reader_role, item.report_version) == ("radiologist", 1)
    assert item.report == Report.objects.get(study=benign)
    assert item.findings == [
        {"box": [12.0, 20.0, 60.0, 70.0], "label": "cyst", "marked_by": "model"},
        {"box": [1.0, 2.0, 30.0, 40.0], "label": "mass", "marked_by": "reader"},
    ]

    steps: list[tuple[int, int]] = []
    assert exporting.export(lead, made, tmp_path / "tree", lambda *step: steps.append(step)) == 2
    assert steps == [(1, 2), (2, 2)]
    names = {name for name, _manifest in catalogue.recognise(tmp_path / "tree")}
    assert names == {"hospital"}
    manifest = hospital.read(tmp_path / "tree")
    assert manifest.warnings == () and manifest.counts == {"benign": 1, "malignant": 1}
    sample = next(sample for sample in manifest.samples if sample.label == "benign")
    assert (sample.discipline, sample.laterality, sample.birads, sample.label_binary) == (
        "ultrasound",
        "L",
        "2",
        False,
    )
    assert sample.boxes == ((12.0, 20.0, 60.0, 70.0), (1.0, 2.0, 30.0, 40.0))
    assert sample.group_id == sample.patient_id == item.subject
    with Image.open(sample.path) as exported:
        assert exported.size == (item.instance.columns, item.instance.rows)
    # Nothing of what the hospital calls anybody is in any file or name of the tree.
    written = b"".join(
        str(path).encode() + (path.read_bytes() if path.is_file() else b"")
        for path in (tmp_path / "tree").rglob("*")
    )
    for study in (benign, proven):
        for secret in (
            "Okafor", "Amara", study.patient.patient_id, str(study.patient.pk), study.accession_number, str(study.pk),
            study.study_instance_uid, radiologist.user.last_name, radiologist.user.username,
        ):  # fmt: skip
            assert secret.encode() not in written
    assert set(AuditEvent.objects.values_list("action", flat=True)) >= {
        "consent.record", "dataset.make", "dataset.export",
    }  # fmt: skip


def test_who_withdraws_is_not_exported_and_marks_what_was_made(
    site: Site, lead: Actor, radiologist: Actor, read: Reads, tmp_path: Path
) -> None:
    stays, goes = read(1), read(2)
    first = versions.make(lead, site, "US")
    with pytest.raises(Conflict) as refusal:
        versions.make(lead, site, "US")
    assert refusal.value.code == "unchanged" and DatasetVersion.objects.count() == 1
    assert versions.withdrawn(first) == 0
    say(radiologist, goes.patient, "no")
    assert versions.withdrawn(first) == 1
    with pytest.raises(Conflict) as refusal:
        exporting.export(lead, first, tmp_path / "tree")
    assert refusal.value.code == "withdrawn" and list(tmp_path.iterdir()) == []
    second = versions.make(lead, site, "US")
    assert (second.number, [item.study_id for item in second.items.all()]) == (2, [stays.pk])
    assert second.items.get().subject == first.items.get(study=stays).subject, (
        "the same person, the same pseudonym"
    )
    assert versions.withdrawn(second) == 0


def test_withdrawn_while_the_pictures_are_written(
    site: Site, lead: Actor, radiologist: Actor, read: Reads, tmp_path: Path
) -> None:
    study = read(1)
    made = versions.make(lead, site, "US")
    with pytest.raises(Conflict):
        exporting.export(lead, made, tmp_path / "tree", lambda *_: say(radiologist, study.patient, "no"))
    assert list(tmp_path.iterdir()) == []


def test_records_that_became_one_have_one_word_and_one_group(
    site: Site, lead: Actor, radiologist: Actor, read: Reads
) -> None:
    kept, gone = read(1), read(2, consents="")
    merging.merge(radiologist, kept.patient.pk, gone.patient.pk, "One person.")
    made = versions.make(lead, site, "US")
    assert made.items.count() == 2 and made.items.values("subject").distinct().count() == 1
    say(radiologist, Patient.objects.get(pk=gone.patient.pk), "no")
    assert versions.withdrawn(made) == 1
    with pytest.raises(Conflict) as refusal:
        versions.make(lead, site, "US")
    assert refusal.value.code == "nothing_to_learn"


def test_of_two_breasts_each_image_is_what_is_said_of_its_own(
    site: Site, lead: Actor, radiologist: Actor
) -> None:
    patient = factories.patient(site)
    say(radiologist, patient, "yes")
    study = factories.study(site, "US", patient=patient)
    for number, side in enumerate(("R", "L", "L"), start=1):
        picture(study, number, laterality=side, number=number)
    picture(study, 4, laterality="", number=4)
    factories.succeeded_job(study)
    factories.signed_rows(study, radiologist, US | {"right": "1", "left": "5", "assessment": "5"})
    made = versions.make(lead, site, "US")
    assert [(item.side, item.label) for item in made.items.all()] == [("R", "normal")]
    assert made.left_out["not_settled"] == 2, "a suspicion that no specimen answered is no truth"
    pathologist = factories.actor(Role.PATHOLOGIST, site)
    factories.signed_rows(factories.study(site, "SM", patient=patient), pathologist, COMPLETE_SM)
    made = versions.make(lead, site, "US")
    assert sorted((item.side, item.label) for item in made.items.all()) == [
        ("L", "malignant"), ("L", "malignant"), ("R", "normal"),
    ]  # fmt: skip


def test_who_may_what(client: Client, site: Site, lead: Actor, radiologist: Actor, read: Reads) -> None:
    read(1)
    made = versions.make(lead, site, "US")
    with pytest.raises(NotFound):
        versions.make(factories.actor(Role.CLINICAL_LEAD), site, "US")
    pages = {
        "consents": reverse("consents"),
        "datasets": reverse("datasets"),
        "one": reverse("dataset", args=[made.pk]),
    }
    readers = {Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER}
    for role in Role.values:
        client.force_login(factories.user(role, site))
        seen = {name for name, page in pages.items() if client.get(page).status_code == 200}
        expected = {"consents"} if role in readers else set()
        expected |= {"datasets", "one"} if role in {Role.CLINICAL_LEAD, Role.ADMINISTRATOR} else set()
        expected |= {"consents"} if role == Role.CLINICAL_LEAD else set()
        assert seen == expected, role
        status = client.post(pages["datasets"], {"modality": "US"}).status_code
        # The lead is told that nothing has changed.
        assert status == {Role.CLINICAL_LEAD: 422, Role.ADMINISTRATOR: 422}.get(Role(role), 403), role
    assert DatasetVersion.objects.count() == 1
    client.force_login(factories.user(Role.CLINICAL_LEAD))
    assert client.get(pages["one"]).status_code == 404
    assert b"US 1" not in client.get(pages["datasets"]).content


def test_the_pages_record_and_make(client: Client, site: Site, read: Reads, radiologist: Actor) -> None:
    study = read(1)
    client.force_login(radiologist.user)
    said = {"patient_id": study.patient.patient_id, "issuer": "", "state": "no", "source": "letter"}
    assert client.post(reverse("consents"), said).status_code == 302
    assert "Does not consent" in client.get(reverse("consents")).content.decode()
    assert client.post(reverse("consents"), said | {"patient_id": "nobody"}).status_code == 422
    client.post(reverse("consents"), said | {"state": "yes"})
    client.force_login(factories.user(Role.CLINICAL_LEAD, site))
    answer = client.post(reverse("datasets"), {"modality": "US"}, follow=True)
    page = answer.content.decode()
    assert "benign" in page and "signed report" in page and "US 1" in page
    say(radiologist, study.patient, "no")
    assert "no longer consents" in client.get(answer.redirect_chain[-1][0]).content.decode()


def test_the_command_makes_lists_and_exports(
    site: Site, read: Reads, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(1)
    call_command("dataset", "make", site.code, "US")
    call_command("dataset", "export", site.code, "US", "1", str(tmp_path / "tree"))
    call_command("dataset", "list", site.code)
    said = capsys.readouterr().out
    assert f"{site.code} US 1: 1 benign" in said and "1 images" in said and "1 patients" in said
    assert json.loads((tmp_path / "tree" / "dataset.json").read_text())["patients"] == 1
    for wrong in (
        ["make", "nowhere", "US"],
        ["make", site.code, "SM"],
        ["export", site.code, "US", "7", "x"],
    ):
        with pytest.raises(CommandError):
            call_command("dataset", *wrong)


def test_a_row_stays_what_it_is(site: Site, lead: Actor, read: Reads) -> None:
    """The application's role can neither change nor take back a word, a version or an item."""
    for model in (Consent, DatasetVersion, DatasetItem):
        assert model.database_rights.value == ("SELECT", "INSERT")


def test_a_tree_that_is_another_than_it_says(site: Site, lead: Actor, read: Reads, tmp_path: Path) -> None:
    for number in (1, 2):
        read(number)
    tree = tmp_path / "tree"
    exporting.export(lead, versions.make(lead, site, "US"), tree)
    (tree / "images" / "image-000001.png").write_bytes(b"another")
    manifest = hospital.read(tree)
    assert len(manifest.samples) == 1 and "another than images.csv says" in manifest.warnings[0]
    (tree / "dataset.json").write_text('{"format": 9}')
    with pytest.raises(DatasetError, match="format 1"):
        hospital.read(tree)


def test_unknown_ids_and_other_sites_are_not_found(radiologist: Actor) -> None:
    elsewhere = factories.patient(factories.site())
    for name in (elsewhere.patient_id, uuid.uuid4().hex):
        with pytest.raises(NotFound):
            consent.say(radiologist, name, "", state="yes", source="form")


def test_of_two_people_with_one_id_the_issuer_is_asked_for(
    client: Client, site: Site, radiologist: Actor
) -> None:
    """The word of one patient is never kept as another's: service, page, API and command ask whose id it is."""
    ours, theirs = (
        factories.patient(site, patient_id="P-7"),
        factories.patient(site, patient_id="P-7", issuer="ELSEWHERE"),
    )
    with pytest.raises(Invalid) as refused:
        consent.say(radiologist, "P-7", "", state="yes", source="form")
    (error,) = refused.value.errors
    assert error.field == "issuer" and f"ELSEWHERE, {site.code}" in error.reason.replace(
        f"{site.code}, ELSEWHERE", f"ELSEWHERE, {site.code}"
    )
    said = {"patient_id": "P-7", "issuer": "", "state": "yes", "source": "form"}
    client.force_login(radiologist.user)
    page = client.post(reverse("consents"), said)
    assert page.status_code == 422 and "say whose it is" in page.content.decode()
    answer = client.post(reverse("api-consents"), said, content_type="application/json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "issuer"
    assert not Consent.objects.exists()
    for issuer, who in (("ELSEWHERE", theirs), (site.code, ours)):
        assert consent.say(radiologist, "P-7", issuer, state="yes", source="form").patient == who


def test_two_records_of_ones_own_are_merged_first(site: Site, radiologist: Actor) -> None:
    site.default_issuer = "HERE"
    site.save()
    one, other = (
        factories.patient(site, patient_id="P-8"),
        factories.patient(site, patient_id="P-8", issuer="HERE"),
    )
    for issuer in ("", "HERE", site.code):
        with pytest.raises(Conflict) as refused:
            consent.say(radiologist, "P-8", issuer, state="yes", source="form")
        assert refused.value.code == "two_records"
    Patient.objects.filter(pk=one.pk).update(merged_into=other)
    assert consent.say(radiologist, "P-8", "", state="yes", source="form").patient == other


def test_a_command_records_consent_in_a_persons_name(
    site: Site, radiologist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = factories.patient(site, patient_id="P-9", issuer="ELSEWHERE")
    factories.patient(site, patient_id="P-9")
    monkeypatch.setattr("getpass.getpass", lambda _prompt: factories.PASSWORD)
    command = ["dataset", "consent", site.code, "yes", "form", "--user", radiologist.user.username]
    monkeypatch.setattr("sys.stdin", io.StringIO("P-9\n"))
    with pytest.raises(CommandError, match="issuer"):
        call_command(*command)
    monkeypatch.setattr("sys.stdin", io.StringIO("P-9\tELSEWHERE\n"))
    call_command(*command)
    assert Consent.objects.get().patient == patient
