"""How fast DICOM is taken in, beside Orthanc on the same files.

Four clients post files of 0.5 MB and of 17 MB (uncompressed 16-bit pixels, a patient and a study each), first to one
server and then to the other, in rounds whose order changes; both keep them on one disk. Here a post is answered when
the file is hashed, described, proven and durable, and row, audit and event are committed, so that they outlive the
machine; there Orthanc's own REST (`POST /instances`), as installed: the file is synced (`SyncStorageArea`), its index
in SQLite outlives Orthanc and not always the machine (`PRAGMA SYNCHRONOUS=NORMAL`). Both keep their connections. The
platform's one web process runs alone: nothing is analysed meanwhile. Wanted: 0.6 of Orthanc's rate for the small files
and 1.2 for the large ones.

The processor time of a file, of all processes of a server, tells where a busy machine's rates come from. A third row,
for which nothing is asked, posts the small files as an exam's films come: eight of a study in one post; Orthanc takes
one a request.

Orthanc comes from the distribution: `apt-get install orthanc`. Without it the platform is measured alone, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from bench.latency import load
from embedded.postgres import OWNER, Postgres
from embedded.process import Child, Command
from embedded.state import REPOSITORY, StateFolder, free_port
from embedded.valkey import Valkey

CLIENTS = 4
_START_SECONDS = 180


@dataclass(frozen=True)
class Size:
    """Files of so many rows and columns, `together` of a study in one post, and the share of Orthanc's rate that is
    wanted."""

    name: str
    rows: int
    columns: int
    wanted: float | None
    together: int = 1


SIZES = (
    Size("0.5 MB", 512, 512, 0.6),
    Size("17 MB", 3328, 2560, 1.2),
    Size("8 x 0.5 MB", 512, 512, None, together=8),
)


@dataclass(frozen=True)
class Server:
    """What takes files of one study, and the ids of the processes that do its work, their children aside."""

    post: Callable[[Sequence[bytes]], None]
    processes: tuple[int, ...]

    def processor_seconds(self) -> float:
        """What these and their children have used so far, those that have ended included."""
        return sum(_processor_ticks(each) for each in self.processes) / os.sysconf("SC_CLK_TCK")


def _processor_ticks(process: int) -> int:
    try:
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        children = [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:  # it has ended: its parent counts it
        return 0
    return sum(map(int, stat[11:15])) + sum(map(_processor_ticks, children))


@dataclass(frozen=True)
class Compared:
    """Files a second and processor milliseconds a file, the median of the rounds; `share` of Orthanc's rate. None where
    there is no Orthanc."""

    size: str
    files: int
    ours: float
    ours_ms: float
    theirs: float | None
    theirs_ms: float | None
    share: float | None
    wanted: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--small", type=int, default=40, help="files of 0.5 MB a round (default 40)")
    parser.add_argument("--large", type=int, default=8, help="files of 17 MB a round (default 8)")
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when both shares are reached or there is no Orthanc, else 1."""
    counts = (options.small, options.large, options.small)
    with (
        tempfile.TemporaryDirectory(prefix="cad-ingest-", ignore_cleanup_errors=True) as folder,
        platform(Path(folder) / "platform") as ours,
        orthanc(Path(folder) / "orthanc") as theirs,
    ):
        found = [compared(*each, options.rounds, ours, theirs) for each in zip(SIZES, counts, strict=True)]
    print(f"{CLIENTS} clients, {options.rounds} rounds in turn; load of the machine {load()}.")
    if found[0].theirs is None:
        print("There is no Orthanc here (apt-get install orthanc): the platform alone.")
    print(
        f"{'size':<12}{'files':>6}{'ours /s':>9}{'ms':>7}{'Orthanc /s':>12}{'ms':>7}{'share':>8}{'wanted':>8}"
    )
    for each in found:
        figures = (each.ours, each.ours_ms, each.theirs, each.theirs_ms, each.share, each.wanted)
        said = ["-" if figure is None else f"{figure:.2f}" for figure in figures]
        widths = (9, 7, 12, 7, 8, 8)
        row = "".join(f"{text:>{width}}" for text, width in zip(said, widths, strict=True))
        print(f"{each.size:<12}{each.files:>6}{row}")
    missed = shortcomings(found)
    if options.json:
        sizes = [asdict(each) for each in found]
        options.json.write_text(json.dumps({"load": load(), "sizes": sizes, "missed": missed}, indent=1))
    for line in missed:
        print(line)
    return 1 if missed else 0


def shortcomings(found: Sequence[Compared]) -> list[str]:
    """What is not as it is asked for, in words."""
    return [
        f"MISSED: {each.size}: {each.share:.2f} of Orthanc's rate, {each.wanted:.1f} is wanted."
        for each in found
        if each.share is not None and each.wanted is not None and each.share < each.wanted
    ]


def compared(size: Size, files: int, rounds: int, ours: Server, theirs: Server | None) -> Compared:
    """The figures of both over all rounds; the share is the median of the rounds' own."""
    made = made_up(size.rows, size.columns, size.together)
    next(made)
    servers = [ours] if theirs is None else [ours, theirs]
    for server in servers:
        _measured(server, [next(made) for _ in range(CLIENTS)])  # connections, caches, decoders
    measured: list[list[tuple[float, float]]] = []
    for number in range(rounds):
        posted = [next(made) for _ in range(-(-files // size.together))]
        turn = list(enumerate(servers))
        at = dict(
            sorted((place, _measured(server, posted)) for place, server in (turn, turn[::-1])[number % 2])
        )
        measured.append(list(at.values()))
    rate, processor = (statistics.median(each[0][which] for each in measured) for which in (0, 1))
    if theirs is None:
        return Compared(size.name, files, rate, processor, None, None, None, size.wanted)
    their_rate, their_processor = (statistics.median(each[1][which] for each in measured) for which in (0, 1))
    share = statistics.median(mine[0] / other[0] for mine, other in measured)
    return Compared(size.name, files, rate, processor, their_rate, their_processor, share, size.wanted)


def _measured(server: Server, posts: Sequence[Sequence[bytes]]) -> tuple[float, float]:
    """Files a second, and processor milliseconds a file."""
    files = sum(map(len, posts))
    with ThreadPoolExecutor(CLIENTS) as clients:
        used, begun = server.processor_seconds(), time.perf_counter()
        for _ in clients.map(server.post, posts):
            pass
        took = time.perf_counter() - begun
    return files / took, (server.processor_seconds() - used) * 1000 / files


def made_up(rows: int, columns: int, together: int = 1) -> Iterator[list[bytes]]:
    """Ultrasound images of 16 bits, so many of a patient and a study."""
    from imaging.phantoms.malformed import dicom

    random = np.random.default_rng(19)
    texture = random.integers(0, 4096, (rows, columns), dtype=np.uint16)

    def change(header: object) -> None:
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11  # type: ignore[attr-defined]
        header["PixelData"].VR = "OW"  # type: ignore[index]
        header.PatientID, header.PatientName = f"B-{run}-{study}", f"Bench^{study}"  # type: ignore[attr-defined]
        for level in ("StudyInstanceUID", "SeriesInstanceUID"):
            setattr(header, level, f"2.25.{run}{study:06d}{len(level)}")
        header.SOPInstanceUID = f"2.25.{run}{study:06d}{len(files):03d}"  # type: ignore[attr-defined]

    run, study = time.time_ns(), 0
    while True:
        study += 1
        files: list[bytes] = []
        while len(files) < together:
            texture[0, :8] = random.integers(0, 4096, 8)
            files.append(dicom(change, pixels=texture.tobytes(), rows=rows, columns=columns))
        yield files


# --- the servers -----------------------------------------------------------------------------------------


@contextmanager
def platform(folder: Path) -> Iterator[Server]:
    """The platform's database, broker and web server, durable as in a hospital."""
    folder.mkdir()
    state = StateFolder(folder)
    postgres, valkey = Postgres(state), Valkey(state)
    children = [postgres.start(), valkey.start()]
    port = free_port()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "cad_platform.config.settings.local",
        "DATABASE_URL": postgres.url(),
        "CAD_BROKER_URL": valkey.url(),
        "CAD_STATE_DIR": str(folder),
        "CAD_SECRET_KEY": state.secret("secret_key"),
        "CAD_MODEL_SERVER": "inprocess",
        "CAD_API_RATE": "1000000/min",
        "PYTHONWARNINGS": "ignore",
    }
    as_owner = environment | {"CAD_DATABASE_OWNER_URL": postgres.url(OWNER)}
    web = ["-m", "uvicorn", "cad_platform.config.asgi:application", "--port", str(port), "--no-access-log"]
    try:
        _python(["manage.py", "migrate", "--verbosity", "0"], as_owner)
        token = _python(["-c", _PEOPLE], environment).strip().splitlines()[-1]
        command = Command("web", [sys.executable, *web, "--lifespan", "off"], environment=environment)
        children.append(Child(command, folder / "web.log"))
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=300,
            trust_env=False,
        ) as client:
            _wait(lambda: client.get("/livez"))

            def post(files: Sequence[bytes]) -> None:
                parts = [
                    ("files", (f"{number}.dcm", data, "application/dicom"))
                    for number, data in enumerate(files)
                ]
                answer = client.post("/api/v1/studies", files=parts)
                if answer.status_code != 201:
                    raise RuntimeError(f"a post was answered with {answer.status_code}: {answer.text[:300]}")

            yield Server(post, tuple(child.pid for child in children))
    finally:
        for child in reversed(children):
            child.stop()
        state.remove_outside_folders()


#: Makes a site with a person who posts; prints the token.
_PEOPLE = """
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Scope, Site, User
from cad_platform.core.actor import Actor
site = Site.objects.create(code="bench", name="Hospital")
reader = User.objects.create_user("reader", role=Role.RADIOLOGIST, site=site)
administrator = Actor.of_user(User.objects.create_user("administrator", role=Role.ADMINISTRATOR))
print(tokens.issue(administrator, user=reader, name="bench", scopes=[Scope.STUDIES_WRITE],
                   expires_at=timezone.now() + timedelta(days=1))[1])
"""


def _python(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@contextmanager
def orthanc(folder: Path) -> Iterator[Server | None]:
    """Orthanc as it is installed, on loopback with a folder of its own; None where it is not."""
    program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        yield None
        return
    folder.mkdir()
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300, trust_env=False) as client:
            _wait(lambda: client.get("/system"))

            def post(files: Sequence[bytes]) -> None:
                for data in files:
                    client.post("/instances", content=data).raise_for_status()

            yield Server(post, (process.pid,))
    finally:
        process.terminate()
        process.wait(60)


def _wait(ask: Callable[[], httpx.Response]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if ask().status_code < 500:
                return
        time.sleep(0.2)
    raise RuntimeError("a server that is measured did not start")
