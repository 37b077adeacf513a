"""Studies analysed again through the API: by people with a session, and by systems that may post."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role, Scope, Site
from cad_platform.analysis import again
from cad_platform.analysis.models import AnalysisJob, Reanalysis
from cad_platform.audit.models import AuditEvent
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study
from tests import factories
from tests.analysis.conftest import models, phantom_png, ultrasound_study  # noqa: F401
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
SETS = "/api/v1/reanalyses"


@pytest.fixture
def here() -> Site:
    return factories.site()


@pytest.fixture
def study(here: Site, ultrasound_study: Any) -> Study:  # noqa: F811
    return ultrasound_study(here)


def session(role: str, site: Site | None = None, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(factories.user(role, site))
    return client


def with_token(role: str, site: Site, *scopes: Scope) -> Client:
    token = token_for(factories.user(role, site), *scopes)
    return Client(headers={"Authorization": f"Bearer {token}"})


def address(study: Study) -> str:
    return f"/api/v1/studies/{study.study_instance_uid}/analyses"


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(path, *([] if body is None else [body]), content_type="application/json")


def finish(study: Study, state: str = "succeeded") -> None:
    AnalysisJob.objects.filter(study=study).update(
        state=state,
        result={"flags": []} if state == "succeeded" else None,
        reason="" if state == "succeeded" else "damaged",
        finished_at=timezone.now(),
    )


# --- one study -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.ADMINISTRATOR])
def test_a_clinician_and_an_administrator_have_a_study_analysed(role: str, here: Site, study: Study) -> None:
    answer = post(session(role, here), address(study))
    body = answer.json()
    assert answer.status_code == 202, body
    (job,) = AnalysisJob.objects.all()
    expected = {"id": str(job.pk), "model": "ultrasound", "version": job.model_version.version}
    assert body["jobs"] == [expected | {"state": "requested"}]
    assert body["study_instance_uid"] == study.study_instance_uid
    assert body["url"].endswith(f"/api/v1/studies/{study.study_instance_uid}")
    assert set(body) == {"study_instance_uid", "url", "jobs"}, "and nothing of the patient"
    assert AuditEvent.objects.filter(action="study.reanalyse", object_id=str(study.pk)).exists()


def test_a_system_that_may_post_may_ask_and_one_that_may_read_may_not(here: Site, study: Study) -> None:
    assert post(with_token(Role.INTEGRATOR, here, Scope.STUDIES_READ), address(study)).status_code == 403
    assert post(with_token(Role.INTEGRATOR, here, Scope.STUDIES_WRITE), address(study)).status_code == 202


def test_what_the_versions_in_use_have_analysed_is_a_conflict_and_what_failed_is_tried(
    here: Site, study: Study
) -> None:
    client = session(Role.RADIOLOGIST, here)
    post(client, address(study))
    finish(study, "failed")
    assert post(client, address(study)).status_code == 202
    assert AnalysisJob.objects.get().state == "requested"
    assert post(client, address(study)).status_code == 202, "under way already: told again"
    finish(study)
    answer = post(client, address(study))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:cad:problem:analysed")
    assert answer["Content-Type"] == "application/problem+json"


def test_without_a_model_or_withdrawn_is_a_conflict(here: Site, study: Study) -> None:
    client = session(Role.RADIOLOGIST, here)
    ModelVersion.objects.update(is_default=False)
    assert post(client, address(study)).json()["type"] == "urn:cad:problem:no_model"
    Study.objects.update(withdrawn_at=timezone.now(), withdrawn_reason="wrong")
    assert post(client, address(study)).status_code == 409


def test_another_sites_study_does_not_exist(study: Study) -> None:
    elsewhere = factories.site()
    clients = [
        session(Role.RADIOLOGIST, elsewhere),
        with_token(Role.INTEGRATOR, elsewhere, Scope.STUDIES_WRITE),
    ]
    for client in clients:
        for path in (address(study), "/api/v1/studies/2.25.404/analyses", "/api/v1/studies/no-uid/analyses"):
            answer = post(client, path)
            assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert not AnalysisJob.objects.exists()


def test_an_administrator_is_told_where_a_uid_stands_for_several(study: Study) -> None:
    factories.study(factories.site(), "US", study_instance_uid=study.study_instance_uid)
    answer = post(session(Role.ADMINISTRATOR), address(study))
    assert answer.status_code == 409 and "Several sites" in answer.json()["detail"]
    assert not AnalysisJob.objects.exists()


# --- sets ------------------------------------------------------------------------------------------------


def test_a_set_is_asked_for_listed_and_stopped(here: Site, study: Study) -> None:
    client = session(Role.RADIOLOGIST, here)
    answer = post(client, SETS, {"modality": "US", "received_from": "2020-01-01"})
    told = answer.json()
    assert answer.status_code == 202, told
    counts = {name: told[name] for name in ("total", "waiting", "at_work", "done", "failed", "left_out")}
    assert counts == {"total": 1, "waiting": 1, "at_work": 0, "done": 0, "failed": 0, "left_out": 0}
    assert told["criteria"] == {"state": "unread", "modality": "US", "received_from": "2020-01-01"}
    assert (told["site"], told["open"], told["stopped_at"]) == (here.code, True, None)
    assert client.get(SETS).json()["results"] == [told]
    again.go_on()
    assert client.get(SETS).json()["results"][0]["at_work"] == 1
    for _ in range(2):
        stopped = post(client, f"{SETS}/{told['id']}/stop")
        assert stopped.status_code == 200 and stopped.json()["stopped_at"]
    finish(study)
    (ended,) = client.get(SETS).json()["results"]
    assert (ended["done"], ended["open"]) == (1, False)
    assert post(client, SETS, {}).status_code == 409


def test_a_choice_by_version(here: Site, study: Study) -> None:
    post(session(Role.RADIOLOGIST, here), address(study))
    finish(study)
    first = AnalysisJob.objects.get().model_version
    wanted = {"shown": "by", "model": first.name, "version": first.version}
    client = session(Role.ADMINISTRATOR)
    assert post(client, SETS, wanted).status_code == 409, "analysed by the version in use"
    ModelVersion.objects.filter(pk=first.pk).update(is_default=False)
    newer = factories.model_version("ultrasound", "US", "99.0.0")
    told = post(client, SETS, {"shown": "other", "model": newer.name, "version": newer.version}).json()
    assert (told["total"], told["site"]) == (1, None)
    assert told["criteria"]["version"] == "ultrasound 99.0.0"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "withdrawn"}, 422),
        ({"modality": "CT"}, 422),
        ({"received_from": "soon"}, 422),
        ({"received_from": "9999-12-31"}, 422),
        ({"shown": "by"}, 422),
        ({"shown": "by", "model": "ultrasound", "version": "0.0.0"}, 422),
        ({"model": "ultrasound"}, 422),
        ({"patient_id": "P-1"}, 422),
        ([], 422),
        ("{", 400),
    ],
)
def test_a_choice_that_is_not_known_is_refused(here: Site, study: Study, body: Any, status: int) -> None:
    answer = post(session(Role.RADIOLOGIST, here), SETS, body)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert not Reanalysis.objects.exists()


def test_who_may(here: Site, study: Study) -> None:
    asked = post(session(Role.RADIOLOGIST, here), SETS, {}).json()
    stop = f"{SETS}/{asked['id']}/stop"
    refused = {
        401: [Client()],
        403: [session(Role.INTEGRATOR, here), with_token(Role.INTEGRATOR, here, Scope.STUDIES_READ)],
    }
    for status, clients in refused.items():
        for client in clients:
            answers = [
                client.get(SETS),
                post(client, SETS, {}),
                post(client, stop),
                post(client, address(study)),
            ]
            assert [answer.status_code for answer in answers] == [status] * 4
    for client in (
        session(Role.RADIOLOGIST, factories.site()),
        with_token(Role.INTEGRATOR, factories.site(), Scope.STUDIES_WRITE),
    ):
        assert client.get(SETS).json() == {"results": []}
        assert post(client, stop).status_code == 404
    assert Reanalysis.objects.get().stopped_at is None
    for client in (
        session(Role.ADMINISTRATOR),
        with_token(Role.INTEGRATOR, here, Scope.STUDIES_WRITE),
    ):
        assert len(client.get(SETS).json()["results"]) == 1
    assert post(session(Role.ADMINISTRATOR), stop).status_code == 200


def test_a_session_needs_its_csrf_token_to_write(here: Site, study: Study) -> None:
    client = session(Role.RADIOLOGIST, here, enforce_csrf_checks=True)
    assert post(client, address(study)).status_code == 403
    assert post(client, SETS, {}).status_code == 403
    assert not Reanalysis.objects.exists()


# --- the schema ------------------------------------------------------------------------------------------


def test_every_operation_names_its_refusals_and_answers_as_documented(here: Site, study: Study) -> None:
    import jsonschema
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    paths = schema["paths"]
    always = {"401", "403", "429", "503"}
    one = paths["/api/v1/studies/{uid}/analyses"]["post"]
    assert one["operationId"] == "analyse_study"
    assert set(one["responses"]) == {"202", "404", "409", *always}
    assert set(paths[SETS]["get"]["responses"]) == {"200", *always}
    assert set(paths[SETS]["post"]["responses"]) == {"202", "400", "409", "415", "422", *always}
    assert set(paths[f"{SETS}/{{reanalysis}}/stop"]["post"]["responses"]) == {"200", "404", *always}
    client = session(Role.RADIOLOGIST, here)
    answers = {
        "ReanalysisAnswer": post(client, SETS, {}).json(),
        "ReanalysisList": client.get(SETS).json(),
        "AnalysesAnswer": post(client, address(study)).json(),
    }
    for shape, answer in answers.items():
        documented = {"$ref": f"#/components/schemas/{shape}", "components": schema["components"]}
        jsonschema.validate(answer, documented)


def test_a_set_by_command(
    here: Site,
    study: Study,
    models: dict[str, ModelVersion],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is offered after a switch of versions, by `bin/manage reanalyses`."""

    def told(*arguments: object) -> str:
        out = io.StringIO()
        call_command("reanalyses", *map(str, arguments), stdout=out)
        return out.getvalue()

    post(session(Role.RADIOLOGIST, here), address(study))
    finish(study)
    ModelVersion.objects.filter(name="ultrasound").update(is_default=False)
    newer = factories.model_version("ultrasound", "US", "9.0.0")
    administrator = factories.user(Role.ADMINISTRATOR)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: factories.PASSWORD)
    of, by = (newer.name, newer.version), ("--user", administrator.username)
    assert told("list", *by) == "There is none.\n"
    assert told("offer", *of, *by) == "1 studies show another version's result; 1 would be analysed\n"
    assert "goes on: 1 studies, 1 waiting" in told("start", *of, *by)
    made = Reanalysis.objects.get()
    assert made.requested_by == administrator
    assert "stopped" in told("stop", made.pk, *by) and str(made.pk) in told("list", *by)
    for wrong in (("offer", "ultrasound", "0.0.1"), ("stop", "0" * 8 + "-0000-0000-0000-" + "0" * 12)):
        with pytest.raises(CommandError):
            told(*wrong, *by)
    with pytest.raises(CommandError):
        told("list", "--user", factories.user(Role.INTEGRATOR, here).username)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "another")
    with pytest.raises(CommandError, match="password"):
        told("start", *of, *by)
