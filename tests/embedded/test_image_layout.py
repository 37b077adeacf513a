"""The files of the images, laid out from docker/Dockerfile's own steps: what runs in the checkout runs there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from embedded.state import REPOSITORY
from tests.dockerfile import Image, is_left_out, lay_out, stages

pytestmark = pytest.mark.timeout(600)

#: A report signed there as a radiologist signs it, and taken back.
SIGN = """
import django
django.setup(set_prefix=False)
from django.conf import settings
from django.db import transaction
from cad_platform.accounts.models import Role
from tests import factories
from tests.reporting.test_services import pdf_of, signed_report
assert not settings.DEBUG and settings.BASE_DIR.samefile(".")
settings.JOB_LEASE_SECONDS = 600
with transaction.atomic():
    site = factories.site()
    report = signed_report(factories.actor(Role.RADIOLOGIST, site), factories.study(site, "MG"))
    print(report.state, len(pdf_of(report).pages) > 0)
    transaction.set_rollback(True)
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return lay_out("web", tmp_path_factory.mktemp("image"))


@pytest.mark.django_db(transaction=True)
def test_a_report_is_signed(web: Image, tmp_path: Path) -> None:
    """Signing typesets in its transaction: an image without the reports' fonts signs nothing."""
    # The tests are no part of an image; the factories of this one are looked up beside it.
    (tmp_path / "tests").symlink_to(REPOSITORY / "tests")
    passed_on = ("DATABASE_URL", "CAD_BROKER_URL", "CAD_SECRET_KEY")
    done = web.run(
        str(web.path(".venv/bin/python")), "-W", "ignore", "-c", SIGN,
        check=False,
        PYTHONPATH=f"{web.path('.')}:{tmp_path}",
        CAD_STATE_DIR=str(tmp_path / "state"),
        CAD_ALLOWED_HOSTS="cad.example",
        CAD_MODEL_SERVER="inprocess",
        **{name: os.environ[name] for name in passed_on},
    )  # fmt: skip
    assert done.stdout.split() == ["signed", "True"], done.stderr


def test_the_last_stage_is_the_web_server() -> None:
    """What is built without a target."""
    assert [stage.name for stage in stages()][-1] == "web"


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return lay_out("inference-cpu", tmp_path_factory.mktemp("inference"))


def test_a_model_server_finds_what_it_serves(inference: Image, tmp_path: Path) -> None:
    """As far as the server's own start, which a long test goes through."""
    asked = (
        "from pathlib import Path\nfrom embedded.model_host import *\n"
        "import sys; state = StateFolder(Path(sys.argv[1]))\n"
        "host = ModelHost(state, ARCHIVES, 1, model_trust()); host.prepare()\n"
        "print(len(host.registered), host.trust.name, host.configuration.read_text())"
    )
    done = inference.run(
        str(inference.path(".venv/bin/python")), "-c", asked, str(tmp_path / "s"), check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 3 and "inference_address=http://0.0.0.0:8080" in done.stdout
    assert "disable_token_authorization=false" in done.stdout


def test_no_private_key_goes_along(inference: Image) -> None:
    found = [path.name for path in inference.path(".local-setup").rglob("*") if path.suffix == ".key"]
    assert found == [] and (inference.path(".local-setup") / "keys" / "signing.pem").exists()


def test_what_only_the_build_needs_is_not_carried_along(web: Image) -> None:
    for name in (".git", "frontend/node_modules", "tests"):
        assert not (web.path(".") / name).exists()
    assert is_left_out("tests/factories.py") and is_left_out(".local-setup/keys/signing.key")
    assert not is_left_out("cad_platform/reporting/report.typ")
