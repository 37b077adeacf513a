"""`docs/contributing/add-a-modality.md` does what it says: its one file makes a modality; nothing else is touched."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.checks import run_checks
from django.test import Client
from django.urls import reverse

from cad_platform import modalities
from cad_platform.accounts.models import Role, Site
from cad_platform.modalities.modality import Modality
from cad_platform.reading.states import ReadingState, reading_state_of
from cad_platform.registry.routing import route
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Instance, Study
from embedded.state import REPOSITORY
from tests import factories
from tests.posted_files import Hospital, dicom, png, reasons
from tests.reporting.sign_dialog import sign
from tests.reporting.test_content import COMPLETE_MG

PAGE = REPOSITORY / "docs" / "contributing" / "add-a-modality.md"
CODE = "MRTOYBREAST"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the page, outside the repository."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path_factory.mktemp("hospital") / "mrtoybreast.py"
    path.write_text(source)
    return path


@pytest.fixture
def toy(toy_file: Path, monkeypatch: pytest.MonkeyPatch) -> Modality:
    """The modality of the page, registered as at a start that names it in `CAD_MODALITIES`."""
    spec = importlib.util.spec_from_file_location(toy_file.stem, toy_file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(modalities, "_modalities", dict(modalities._modalities))
    modalities.register(module.MODALITY)
    return modalities.get(CODE)


def manage(toy_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of a platform that starts with the toy."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=os.environ
        | {"CAD_MODALITIES": toy_file.stem, "PYTHONPATH": str(toy_file.parent), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_migration_is_needed(toy_file: Path) -> None:
    done = manage(toy_file, "makemigrations", "--check", "--dry-run")
    assert (done.returncode, done.stdout.strip()) == (0, "No changes detected"), done.stderr


def test_the_openapi_file_lists_it(toy_file: Path, tmp_path: Path) -> None:
    done = manage(
        toy_file, "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "api.yaml")
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "api.yaml").read_text()
    listed = [values for values in _enumerations(yaml.safe_load(text)) if "MG" in values]
    assert len(listed) >= 4 and all(set(values) == {"MG", "US", "SM", CODE} for values in listed), listed


def _enumerations(node: Any) -> list[list[str]]:
    if isinstance(node, list):
        return [found for item in node for found in _enumerations(item)]
    if not isinstance(node, dict):
        return []
    own = [list(node["enum"])] if isinstance(node.get("enum"), list) else []
    return own + [found for value in node.values() for found in _enumerations(value)]


@pytest.mark.django_db(transaction=True)
class TestAStudyOfIt:
    """Posted, listed, opened, marked, reported and signed."""

    @pytest.fixture
    def site(self, toy: Modality) -> Site:
        return factories.site()

    @pytest.fixture
    def hospital(self, site: Site) -> Hospital:
        return Hospital(site)

    @pytest.fixture
    def reader(self, site: Site) -> Client:
        client = Client()
        client.force_login(factories.user(Role.RADIOLOGIST, site))
        return client

    @pytest.fixture
    def study(self, hospital: Hospital) -> Study:
        study = {"modality": "mrtoybreast", "study_instance_uid": "2.25.77", "procedure": "MRI, both breasts"}
        files = {
            "mr.dcm": dicom(SOPClassUID=MR_IMAGE, Modality="MR", StudyInstanceUID="2.25.77"),
            "screen.png": png(),
        }
        answer = hospital.post(study, files)
        assert answer.status_code == 201, answer.content
        return Study.objects.get()

    def test_waits_for_a_model_that_the_hospital_brings(self, reader: Client, study: Study) -> None:
        addresses = [reverse(name, args=args) for name, args in (("worklist", []), ("case", ["2.25.77"]))]
        without = [reader.get(address).content.decode() for address in addresses]
        assert all("Not analysed" in page and "Waiting for the model" not in page for page in without)
        assert reading_state_of(study) == ReadingState.READY
        seen = re.search(r'name="seen" value="(\w+)"', without[1])
        assert seen is not None
        live = reverse("case-live", args=["2.25.77"])
        assert reader.get(live, {"seen": seen[1]}).status_code == 204

        factories.model_version("hospital-mri", CODE)
        assert reading_state_of(study) == ReadingState.ANALYSING
        waiting = [reader.get(address).content.decode() for address in addresses]
        assert all("Waiting for the model" in page for page in waiting)
        assert "Waiting for the model" in reader.get(live, {"seen": seen[1]}).content.decode()

    def test_is_posted_and_found_through_the_api(self, hospital: Hospital, study: Study) -> None:
        assert study.modality == CODE
        composed = hospital.get("/2.25.77").json()
        assert (composed["modality"], len(composed["images"])) == (CODE, 2)
        assert {"file": "mr.dcm", "field": "modality", "header": "MR", "used": CODE} in composed[
            "header_differences"
        ]
        found = [hospital.get(modality=code).json()["results"] for code in (CODE, "MG")]
        assert [len(results) for results in found] == [1, 0]

    def test_its_headers_alone_say_what_it_is(self, hospital: Hospital) -> None:
        said: dict[str, Any] = {"SOPClassUID": MR_IMAGE, "Modality": CODE, "StudyInstanceUID": "2.25.78"}
        assert hospital.post(None, {"mr.dcm": dicom(**said)}).status_code == 201
        assert Study.objects.get().modality == CODE

    def test_its_objects_are_of_no_other_modality(self, hospital: Hospital) -> None:
        answer = hospital.post({"modality": "MG"}, {"mr.dcm": dicom(SOPClassUID=MR_IMAGE, Modality="MR")})
        assert answer.status_code == 422 and reasons(answer) == [("study.modality", "mr.dcm")]
        assert f"The file is {CODE}, the study MG." in answer.json()["errors"][0]["reason"]

    def test_is_on_the_worklist_under_its_name(self, reader: Client, study: Study) -> None:
        page = reader.get(reverse("worklist")).content.decode()
        assert f'<abbr class="modality" title="Breast MRI (toy)">{CODE}</abbr>' in page
        assert f'<option value="{CODE}">Breast MRI (toy)</option>' in page
        narrowed = reader.get(reverse("worklist"), {"modality": CODE}).content.decode()
        others = reader.get(reverse("worklist"), {"modality": "MG"}).content.decode()
        assert "MRI, both breasts" in narrowed and "MRI, both breasts" not in others

    def test_waits_for_no_model_where_there_is_none(self, reader: Client, study: Study) -> None:
        page = reader.get(reverse("worklist"), {"state": "ready"}).content.decode()
        assert "MRI, both breasts" in page and "Not analysed" in page
        case = reader.get(reverse("case", args=[study.study_instance_uid])).content.decode()
        assert "No model is in use for this kind of study." in case and "Waiting for the model" not in case

    def test_its_case_offers_its_labels_and_reasons(self, reader: Client, study: Study) -> None:
        page = reader.get(reverse("case", args=[study.study_instance_uid])).content.decode()
        assert '"hanging": "single"' in page
        for words in ("Non-mass enhancement", "Background enhancement", "Motion artefact"):
            assert words in page
        image = Instance.objects.filter(series__study=study).latest("number")
        marked = {"image": str(image.pk), "label": "non_mass_enhancement", "box": "[1, 1, 20, 20]"}
        answer = reader.post(reverse("finding-add", args=[study.study_instance_uid]), marked)
        assert answer.status_code < 400, answer.content
        assert study.findings.get().label == "non_mass_enhancement"

    def test_is_reported_and_signed_by_those_it_names(self, reader: Client, site: Site, study: Study) -> None:
        start = reverse("report-start", args=[study.study_instance_uid])
        pathologist = Client()
        pathologist.force_login(factories.user(Role.PATHOLOGIST, site))
        assert pathologist.post(start).status_code == 403
        reader.post(start)
        draft = Report.objects.get(study=study)
        content = {**COMPLETE_MG, "density": ""}
        saved = reader.post(reverse("report-save", args=[draft.pk]), {**content, "revision": 0})
        assert saved.status_code == 200, saved.content
        signed = sign(reader, draft)
        assert signed.status_code == 200, signed.content
        assert reader.get(reverse("report-pdf", args=[draft.pk])).content.startswith(b"%PDF")

    def test_is_analysed_by_a_model_of_its_own(self, reader: Client, study: Study) -> None:
        version = factories.model_version("breast_mri", CODE)
        assert route(study) == [version]

    def test_keeps_its_modality_registered(self, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
        def errors() -> list[str]:
            return [
                str(error.msg) for error in run_checks(databases=["default"]) if error.id == "studies.E001"
            ]

        assert errors() == []
        del modalities._modalities[CODE]
        assert errors() == [f"There are studies of {CODE}, and no modality is registered under this code."]
