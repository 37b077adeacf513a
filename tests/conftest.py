"""Every test runs against real services: a private PostgreSQL and Valkey, started when the first test asks.

The addresses are fixed before Django reads its settings; the servers themselves start lazily, so that tests
without a database stay instant. Tests run as the application's role, which owns nothing, as in service.

`CAD_TEST_STATE` names a folder whose database outlives the run (`bin/test PATH`); everything else is new each time.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from embedded.postgres import OWNER, Postgres
from embedded.state import REPOSITORY, StateError, StateFolder
from embedded.valkey import Valkey

_folder = Path(tempfile.mkdtemp(prefix="cad-test-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
STATE = StateFolder(_folder)
VALKEY = Valkey(STATE)
_held = ExitStack()


def _database_folder() -> StateFolder:
    """Where the database lies: in the kept folder, unless another run holds it."""
    kept = os.environ.get("CAD_TEST_STATE")
    if not kept:
        return STATE
    folder = StateFolder(Path(kept))
    try:
        _held.enter_context(folder.locked())
    except StateError:
        print(f"Another run uses {kept}: this one makes a database of its own.", flush=True)
        return STATE
    atexit.register(_held.close)
    return folder


POSTGRES = Postgres(_database_folder(), volatile=True)
atexit.register(POSTGRES.state.remove_outside_folders)

# Tests never touch a hospital's servers, whatever the caller's environment says.
for _name in [name for name in os.environ if name.startswith("CAD_")]:
    if _name not in {"CAD_DATA_DIR", "CAD_CHROMIUM"}:
        del os.environ[_name]
os.environ.update(
    DJANGO_SETTINGS_MODULE="cad_platform.config.settings.test",
    DATABASE_URL=POSTGRES.url(),
    CAD_DATABASE_OWNER_URL=POSTGRES.url(OWNER),
    CAD_DATABASE_POOL="0",
    CAD_BROKER_URL=VALKEY.url(),
    CAD_STATE_DIR=str(STATE.path),
    CAD_SECRET_KEY=STATE.secret("secret_key"),
    CAD_MODEL_SERVER="inprocess",
)

pytest_plugins = ["tests.database", "tests.live_platform"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what is marked `long`")


def pytest_configure() -> None:
    """Test modules import models; pytest-django looked for the settings before they were named here."""
    import django

    django.setup()
    # Asked to end, pytest shall end what its fixtures started, as it does when interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The private PostgreSQL, empty but for its roles and database."""
    child = POSTGRES.start()
    yield POSTGRES
    child.stop()


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The address of the private Valkey, started."""
    child = VALKEY.start()
    yield VALKEY.url()
    child.stop()


@pytest.fixture(autouse=True)
def lease_that_outlives_a_test(request: pytest.FixtureRequest) -> None:
    """In a test that is one transaction nobody else sees its jobs, so no thread can renew a lease: where an analysis
    took over five seconds it was abandoned."""
    marker = request.node.get_closest_marker("django_db")
    if marker is not None and not marker.kwargs.get("transaction"):
        request.getfixturevalue("settings").JOB_LEASE_SECONDS = 600


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real HTTP server that speaks S3, on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket of its own, and credentials for it in the environment."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"b-{os.urandom(6).hex()}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(autouse=True)
def _source_language() -> None:
    """A request in another language leaves it active in its thread, which here is everybody's."""
    from django.utils import translation

    translation.deactivate()


SHARED_DATA = Path(os.environ.get("CAD_DATA_DIR") or REPOSITORY.parent / "shared" / "data")
_NEEDS_SHARED_DATA = "needs the image collections of CAD_DATA_DIR"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images (`CAD_DATA_DIR`, default ../shared/data)."""
    if not SHARED_DATA.is_dir():
        pytest.skip(_NEEDS_SHARED_DATA)
    return SHARED_DATA


_left_out = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The quick first; then those that share the one running platform; last those that kill parts of it. What is
    marked `long` is left out without `--long`, and counted."""
    if not config.getoption("long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.stash[_left_out] = len(long)
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if item not in long]

    def lateness(item: pytest.Item) -> int:
        if item.get_closest_marker("disruptive"):
            return 2
        return int("live_platform" in getattr(item, "fixturenames", ()))

    items.sort(key=lateness)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hypothesis would be imported, a second's work, only to say that no test has used it."""
    if "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Nothing is left out unseen."""
    if left := config.stash.get(_left_out, 0):
        terminalreporter.write_line(f"long tests left out: {left} (`bin/test --long` runs them too)")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A module that skips itself as a whole counts as well."""
    report = yield
    if report.outcome == "skipped" and SHARED_DATA.is_dir():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped itself although {SHARED_DATA} exists"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where the real images are, a skip is a failure: nothing goes untested unseen. A graphics card is no image:
    what needs one is marked so, and may be skipped."""
    report = yield
    unseen = report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("gpu") is None
    if unseen and SHARED_DATA.is_dir():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although {SHARED_DATA} exists: {reason}"
    return report
