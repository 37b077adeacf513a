"""The cache of decoded frames: made once, bounded, never half-written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cad_platform.studies.derived_cache import DerivedCache


@pytest.fixture
def cache(tmp_path: Path) -> DerivedCache:
    return DerivedCache(tmp_path / "derived", max_bytes=1000)


def test_an_entry_is_made_once_and_then_found(cache: DerivedCache) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_bytes(b"pixels")

    assert cache.file("a", make).read_bytes() == b"pixels"
    assert cache.file("a", make).read_bytes() == b"pixels"
    assert len(made) == 1


def test_all_who_ask_at_the_same_time_wait_for_one_maker(cache: DerivedCache) -> None:
    made, answers = [], []

    def make(path: Path) -> None:
        made.append(path)
        time.sleep(0.2)
        path.write_bytes(b"pixels")

    threads = [
        threading.Thread(target=lambda: answers.append(cache.file("a", make).read_bytes())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"pixels"] * 8
    assert len(made) == 1


def test_a_maker_in_another_process_is_waited_for(cache: DerivedCache) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from cad_platform.studies.derived_cache import DerivedCache\n"
        "def make(path):\n    print('making', flush=True); time.sleep(1); path.write_bytes(b'theirs')\n"
        "DerivedCache(Path(sys.argv[1]), 1000).file('a', make)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(cache.folder)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout and other.stdout.readline() == "making\n"
    assert cache.file("a", lambda path: path.write_bytes(b"ours") and None).read_bytes() == b"theirs"
    assert other.wait() == 0


def test_a_failed_maker_leaves_nothing_and_the_next_may_try(cache: DerivedCache) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        cache.file("a", fail)
    assert [
        entry for entry in cache.folder.rglob("*") if entry.is_file() and entry.parent.name != ".locks"
    ] == []
    assert cache.file("a", lambda path: path.write_bytes(b"whole") and None).read_bytes() == b"whole"


def test_the_longest_unused_go_when_the_folder_outgrows_its_bound(cache: DerivedCache) -> None:
    for age, name in enumerate(["newest", "middle", "oldest"]):
        path = cache.file(name, lambda path: path.write_bytes(bytes(300)) and None)
        os.utime(path, (time.time() - 100 * age, time.time() - 100 * age))
    cache.file("middle", lambda path: pytest.fail("is there"))  # using it makes it young
    added = cache.file("added", lambda path: path.write_bytes(bytes(300)) and None)
    kept = {entry.name: entry.stat().st_size for entry in cache.folder.glob("??/*")}
    assert added.exists()
    assert "oldest" not in kept
    assert "middle" in kept
    assert sum(kept.values()) <= 1000


def test_what_a_dead_process_left_half_made_goes(cache: DerivedCache) -> None:
    cache.file("a", lambda path: path.write_bytes(b"x") and None)
    left = cache.folder / ".making" / "dead"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 7200, time.time() - 7200))
    cache.file("b", lambda path: path.write_bytes(b"x") and None)
    assert not left.exists()


def test_an_entry_more_among_twenty_thousand_lists_no_folder_of_them(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from cad_platform.studies.derived_cache import DerivedCache

cache = DerivedCache(Path(sys.argv[1]), max_bytes=10**9)
for number in range(20_000):
    path = cache.path_of(f"{number}.jpeg")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0123456789")
make = lambda path: path.write_bytes(b"0123456789") and None
cache.file("first", make)  # the folder was never counted: it is looked at once
looked_at, listed = [], {"os.scandir", "os.listdir"}
sys.addaudithook(lambda event, arguments: looked_at.append(str(arguments[0])) if event in listed else None)
cache.file("second", make)
cache.file("second", make)
print([Path(each).name for each in looked_at], cache.counted_bytes())
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "derived")], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"['.making'] {20_002 * 10}\n"


def test_two_processes_count_the_same_bytes(cache: DerivedCache) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from cad_platform.studies.derived_cache import DerivedCache\n"
        "cache = DerivedCache(Path(sys.argv[1]), 10**6)\n"
        "for n in range(200): cache.file(f'{sys.argv[2]}-{n}', lambda path: path.write_bytes(b'12345') and None)"
    )
    others = [subprocess.Popen([sys.executable, "-c", program, str(cache.folder), name]) for name in "ab"]
    assert [other.wait() for other in others] == [0, 0]
    assert cache.counted_bytes() == 2 * 200 * 5


def test_what_a_crash_left_wrongly_counted_is_put_right_when_the_bound_is_reached(
    cache: DerivedCache,
) -> None:
    cache.file("a", lambda path: path.write_bytes(bytes(300)) and None)
    (cache.folder / ".bytes").write_text("99999")
    cache.file("b", lambda path: path.write_bytes(bytes(300)) and None)
    assert cache.counted_bytes() == 600
    (cache.folder / ".bytes").unlink()
    assert cache.counted_bytes() == 600


def test_a_folder_of_the_older_kind_is_counted_and_goes_first(cache: DerivedCache) -> None:
    cache.folder.mkdir()
    old = cache.folder / "flat.jpeg"
    old.write_bytes(bytes(600))
    os.utime(old, (1, 1))
    for name in "ab":
        cache.file(name, lambda path: path.write_bytes(bytes(300)) and None)
    assert not old.exists()
    assert {entry.name for entry in cache.folder.glob("??/*")} == {"a", "b"}
