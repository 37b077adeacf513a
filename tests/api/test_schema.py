"""The OpenAPI schema and its page: complete, valid, and what the answers really look like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema

from tests import factories
from tests.posted_files import Hospital, dicom

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-any-return]


def test_it_is_valid_and_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")


def test_it_is_public_json_or_yaml(client: Client) -> None:
    answer = client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert answer.status_code == 200
    validate_schema(json.loads(answer.content))


def test_every_operation_names_its_refusals_as_problem_details(schema: dict[str, Any]) -> None:
    for path in ("/api/v1/studies", "/api/v1/studies/search", "/api/v1/studies/{uid}"):
        for method, operation in schema["paths"][path].items():
            assert {"401", "403", "429", "503"} <= set(operation["responses"]), (method, path)
            refusal = operation["responses"]["401"]["content"]
            assert list(refusal) == ["application/problem+json"]
            assert refusal["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    post = schema["paths"]["/api/v1/studies"]["post"]
    refusals = {400, 401, 403, 408, 409, 413, 415, 422, 429, 503, 507}
    assert {int(status) for status in post["responses"]} == {200, 201} | refusals
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key"]
    part = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["study"]
    assert set(part["properties"]["patient"]["properties"]) == {"id", "issuer", "name", "birth_date", "sex"}
    assert post["security"] == [{"bearerToken": []}]


def test_no_address_has_a_place_for_a_patient(schema: dict[str, Any]) -> None:
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                assert "patient" not in parameter["name"] and parameter["name"] != "name", path


def test_the_composed_answer_is_of_its_schema(schema: dict[str, Any]) -> None:
    import jsonschema

    hospital = Hospital()
    hospital.post(None, {"cc.dcm": dicom()})
    study = factories.study(hospital.site)
    factories.finding(factories.instance(study), factories.succeeded_job(study))
    documented = {"$ref": "#/components/schemas/StudyAnswer", "components": schema["components"]}
    for uid in ("2.25.1000", study.study_instance_uid):
        jsonschema.validate(hospital.get(f"/{uid}").json(), documented)


def test_the_page_has_no_inline_script_or_style(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    assert (
        "<style" not in page
        and "style=" not in page
        and " on" not in page.split("<body>")[1].split("</body>")[0]
    )
    for tag in page.split("<script")[1:]:
        assert tag.lstrip().startswith("src=") and "></script>" in tag
