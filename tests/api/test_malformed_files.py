"""Every malformed file that we know: the right picture or a clear refusal, and the next post is served."""

from __future__ import annotations

import pytest

from cad_platform.studies.models import Study
from imaging.phantoms import malformed
from tests.posted_files import Hospital, png, reasons

pytestmark = pytest.mark.django_db

_CASES = list(malformed.cases())


@pytest.mark.parametrize("case", _CASES, ids=[case.name for case in _CASES])
def test_malformed(case: malformed.Malformed) -> None:
    hospital = Hospital()
    study = {"patient": {"id": "M-1"}, "modality": "US"}
    answer = hospital.post(study, {case.name: case.data})
    if answer.status_code == 201:
        assert "picture" in case.outcome, case.why
        assert Study.objects.get().state == Study.State.COMPLETE
    else:
        assert answer.status_code in {413, 415, 422}, (case.why, answer.content)
        assert set(case.outcome) - {"picture"} or reasons(answer)[0][0] == "study.modality", case.why
        assert any(error.get("reason") for error in answer.json()["errors"])
        assert case.name in answer.content.decode()
        assert not Study.objects.exists()
    assert hospital.post(study, {"sound.png": png()}).status_code == 201
