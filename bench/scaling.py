"""What a hospital, or a country, needs: measured on this machine, multiplied in the open.

A platform of its own is posted exams as they come (four mammograms as DICOM, ultrasound pictures, whole slides of
20,000 × 18,000), and what each kind costs is read from the kernel: processor time of every process of the platform,
bytes stored, bytes of the database. What reading costs is taken from `bin/bench scale --json`. From that the needs of a
year's exams follow by the formula that is printed with them. `--from FILE` computes again from a measurement of before;
docs/scaling.md holds what it prints.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from bench.platform import Platform, running_platform
from bench.turnaround import made_images, post
from bench.urgency import backlog, wait_for, write_large_slide
from bench.weight import processes
from cad_platform import modalities
from imaging.phantoms import mammography

#: Hours in which exams come, and how much busier the busiest of them is than the mean.
HOURS, BUSIEST = 250 * 10, 2.0
#: How much of a machine may be busy then: above it queues grow out of proportion.
BUSY = 0.6
YEARS = 10
#: Of a large detector at 70 µm: 17 MB a film.
FILM_ROWS = 3328
#: Pages that a person opens for an exam (list, case, report, and back), and exams that one reads a year.
PAGES, READ_BY_ONE = 6, 5_000
#: Of a hundred exams: screening and assessment as they mostly are; `--mix` says otherwise.
MIX = {"mammography": 0.80, "ultrasound": 0.17, "slide": 0.03}
SITES = {"a hospital": 100_000, "a national programme": 2_000_000}


@dataclass(frozen=True)
class Cost:
    """Of one exam. `cpu_s`: processor seconds by what spent them."""

    cpu_s: dict[str, float]
    stored_bytes: float
    database_bytes: float


@dataclass(frozen=True)
class Reading:
    """Processor seconds, database included, of a page and of a second of one open worklist (`bin/bench scale`)."""

    page_s: float
    open_list_s: float


@dataclass(frozen=True)
class Needs:
    """Of one number of exams a year."""

    exams: int
    cores: dict[str, float]
    stored_bytes: float
    database_bytes: float

    @property
    def all_cores(self) -> float:
        return sum(self.cores.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=Path, help="what `bin/bench scale --json` wrote")
    parser.add_argument(
        "--from", dest="measured", type=Path, help="a measurement of before, instead of a new one"
    )
    parser.add_argument("--exams", type=int, action="append", help="a year; several times for several")
    parser.add_argument("--repeat", type=int, default=5, help="exams of each kind (default 5; slides: 1)")
    parser.add_argument("--json", type=Path, help="write the measurement there")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0."""
    if options.measured:
        costs, reading = read(options.measured)
    else:
        costs, reading = _measured(options.repeat), _reading(options.scale)
    if options.json:
        kept = {"costs": {kind: asdict(cost) for kind, cost in costs.items()}, "reading": asdict(reading)}
        options.json.write_text(json.dumps(kept, indent=1) + "\n")
    sites = {f"{exams:,} exams a year": exams for exams in options.exams} if options.exams else SITES
    print(as_markdown(costs, reading, sites))
    return 0


def read(path: Path) -> tuple[dict[str, Cost], Reading]:
    """A measurement that `--json` wrote."""
    kept = json.loads(path.read_text())
    return {kind: Cost(**cost) for kind, cost in kept["costs"].items()}, Reading(**kept["reading"])


def needs(costs: dict[str, Cost], reading: Reading, exams: int) -> Needs:
    """What a year's exams need, by the formula of the module's words."""
    a_second = exams / (HOURS * 3600) * BUSIEST
    cores: dict[str, float] = {}
    for kind, share in MIX.items():
        for name, seconds in costs[kind].cpu_s.items():
            cores[name] = cores.get(name, 0.0) + a_second * share * seconds / BUSY
    people = math.ceil(exams / READ_BY_ONE)
    cores["reading"] = (a_second * PAGES * reading.page_s + people * reading.open_list_s) / BUSY
    return Needs(
        exams,
        cores,
        exams * YEARS * sum(share * costs[kind].stored_bytes for kind, share in MIX.items()),
        exams * YEARS * sum(share * costs[kind].database_bytes for kind, share in MIX.items()),
    )


def as_markdown(costs: dict[str, Cost], reading: Reading, sites: dict[str, int]) -> str:
    """Two tables: what one exam costs, and what the sites need."""
    lines = [
        "| one exam | processor time | of which models | stored | database |",
        "|---|---|---|---|---|",
    ]
    for kind, cost in costs.items():
        lines.append(
            f"| {kind} | {sum(cost.cpu_s.values()):.2f} s | {cost.cpu_s.get('models', 0.0):.2f} s "
            f"| {cost.stored_bytes / 1e6:,.1f} MB | {cost.database_bytes / 1e3:,.0f} kB |"
        )
    lines += [
        f"| reading it ({PAGES} pages) | {PAGES * reading.page_s:.2f} s | | | |",
        "",
        "| a year | " + " | ".join(f"{name}: {exams:,} exams" for name, exams in sites.items()) + " |",
        "|---" * (len(sites) + 1) + "|",
    ]
    found = [needs(costs, reading, exams) for exams in sites.values()]

    def row(name: str, of: Callable[[Needs], str]) -> None:
        lines.append(f"| {name} | " + " | ".join(of(each) for each in found) + " |")

    row("exams in the busiest hour", lambda each: f"{each.exams / HOURS * BUSIEST:,.0f}")
    for name in sorted({name for each in found for name in each.cores}):
        row(f"cores: {name}", lambda each, name=name: f"{each.cores.get(name, 0.0):.1f}")  # type: ignore[misc]
    row("**cores together**", lambda each: f"**{each.all_cores:.1f}**")
    row("hosts of 16 cores, one to spare", lambda each: f"{math.ceil(each.all_cores / 16) + 1}")
    row(f"images of {YEARS} years", lambda each: f"{each.stored_bytes / 1e12:,.0f} TB")
    row("the same with one backup", lambda each: f"{2 * each.stored_bytes / 1e12:,.0f} TB")
    row(f"PostgreSQL after {YEARS} years", lambda each: f"{each.database_bytes / 1e9:,.0f} GB")
    row("people who read", lambda each: f"{math.ceil(each.exams / READ_BY_ONE):,}")
    return "\n".join(lines)


# --- the measurement -------------------------------------------------------------------------------------


def _measured(repeat: int) -> dict[str, Cost]:
    with tempfile.TemporaryDirectory(prefix="cad-bench-scaling-") as folder:
        pictures = made_images(Path(folder), repeat + 1)
        slide = write_large_slide(Path(folder) / "slide.tif").read_bytes()
        films = [_films(Path(folder), number) for number in range(repeat + 1)]
        with running_platform(CAD_DEMO_CASES="none") as platform, platform.client() as client:
            run_id = f"{int(time.time()):x}"

            def ultrasounds(numbers: Sequence[int]) -> None:
                for number in numbers:
                    post(client, pictures[number], f"{run_id}-{number}", 0.0)

            def mammograms(numbers: Sequence[int]) -> None:
                wait_for(
                    client, [_post_films(client, films[number], f"{run_id}{number}") for number in numbers]
                )

            def slides(numbers: Sequence[int]) -> None:
                wait_for(client, backlog(client, slide, f"{run_id}{numbers[0]}", len(numbers)))

            return {
                "mammography": _cost(platform, mammograms, repeat),
                "ultrasound": _cost(platform, ultrasounds, repeat),
                "slide": _cost(platform, slides, 1),
            }


def _cost(platform: Platform, exams: Callable[[Sequence[int]], None], repeat: int) -> Cost:
    """Of one of `repeat` exams, after one by itself that warms what there is to warm."""
    exams([repeat] if repeat > 1 else [2])
    before, stored, database = _spent(platform), _stored(platform), _database(platform)
    exams(range(repeat))
    time.sleep(3)  # pictures are made ready, events relayed
    after = _spent(platform)
    used = {name: max(0.0, seconds - before.get(name, 0.0)) / repeat for name, seconds in after.items()}
    return Cost(
        {name: round(seconds, 3) for name, seconds in sorted(used.items())},
        (_stored(platform) - stored) / repeat,
        (_database(platform) - database) / repeat,
    )


_NAMES = {"model worker": "models", "torchserve": "models", "worker": "workers", "worker-slides": "workers"}


def _spent(platform: Platform) -> dict[str, float]:
    """Processor seconds so far: models, workers, web, database, and the rest."""
    supervisor = int((platform.state / "ready").read_text())
    spent: dict[str, float] = {}
    for process in processes(supervisor, platform.state):
        known = {"web": "web", "postgres": "database"} | _NAMES
        base = process.name if process.name in known else process.name.rstrip("-0123456789")
        name = known.get(base, "others")
        spent[name] = spent.get(name, 0.0) + process.cpu_s
    return spent


def _stored(platform: Platform) -> int:
    return sum(each.stat().st_size for each in (platform.state / "objects").rglob("*") if each.is_file())


def _database(platform: Platform) -> int:
    import psycopg

    from embedded.postgres import OWNER, Postgres
    from embedded.state import StateFolder

    with psycopg.connect(Postgres(StateFolder(platform.state)).url(OWNER)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def _films(folder: Path, number: int) -> list[bytes]:
    found = []
    for index, made in enumerate(mammography.exam(900 + number, left="malignant", rows=FILM_ROWS)):
        path = folder / f"film-{number}-{index}.dcm"
        mammography.write_dicom(made, path, PatientID=f"BENCH-MG-{number}")
        found.append(path.read_bytes())
    return found


def _post_films(client: httpx.Client, films: Sequence[bytes], name: str) -> str:
    """The address of their study."""
    study = {
        "patient": {"id": f"BENCH-MG-{name[-1]}", "name": "Bench^Phantom", "sex": "F"},
        "accession_number": f"M{name}"[:16],
        "modality": modalities.of_champion("mammography").code,
        "procedure": "Mammography (bench)",
    }
    files = [("files", (f"{index}.dcm", film, "application/dicom")) for index, film in enumerate(films)]
    answer = client.post("/api/v1/studies", data={"study": json.dumps(study)}, files=files, timeout=600)
    answer.raise_for_status()
    return f"/api/v1/studies/{answer.json()['study_instance_uid']}"


def _reading(scale: Path | None) -> Reading:
    """Raises `SystemExit` where there is no measurement of the pages."""
    if scale is None:
        raise SystemExit(
            "What reading costs is measured by `bin/bench scale --json FILE`: name that file with --scale."
        )
    many = json.loads(scale.read_text())["rounds"][-1]
    return Reading(many["costs"]["worklist page"]["cpu_ms"] / 1000, many["core"] / 10)
