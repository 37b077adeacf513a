"""Set-up runs each step once for the same inputs, and says in a sentence what to do when it cannot."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded import bootstrap, package_managers
from embedded.bootstrap import Step
from embedded.chromium import installed_chromium
from embedded.state import REPOSITORY, StateError


class Work:
    """A step's surroundings: an input file, a product and how often the step ran."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "input"
        self.product = folder / "product"
        self.source.write_text("one")
        self.runs = 0

    def run(self) -> None:
        self.runs += 1
        self.product.write_text("made")

    def step(self, run: Callable[[], None] | None = None) -> Step:
        return Step(
            "work", "Working", self.source.read_text, [self.product], run or self.run, "ask a person to help"
        )


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    setup = tmp_path / ".local-setup"
    monkeypatch.setattr(bootstrap, "SETUP", setup)
    monkeypatch.setattr(package_managers, "LOG", setup / "setup.log")
    monkeypatch.setattr(bootstrap, "_check_machine", lambda: None)
    return Work(tmp_path)


def set_up(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    monkeypatch.setattr(bootstrap, "_steps", lambda *_: list(steps))
    bootstrap.set_up()


def test_a_step_runs_once_for_the_same_inputs(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, work.step())
    set_up(monkeypatch, work.step())
    assert work.runs == 1


def test_changed_inputs_and_lost_products_are_made_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, work.step())
    work.source.write_text("two")
    set_up(monkeypatch, work.step())
    work.product.unlink()
    set_up(monkeypatch, work.step())
    assert work.runs == 3


def test_a_failed_step_says_what_to_do_and_is_tried_again(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        package_managers.run(["sh", "-c", "echo the index is away; exit 3"])

    with pytest.raises(StateError) as refused:
        set_up(monkeypatch, work.step(fail))
    last_line = str(refused.value).splitlines()[-1]
    assert "the index is away" in str(refused.value)
    assert last_line.startswith("Working failed: ask a person to help")
    set_up(monkeypatch, work.step())
    assert work.runs == 1


def test_each_step_shows_that_it_runs_and_how_long_it_took(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(monkeypatch, work.step())
    assert capsys.readouterr().out.splitlines() == ["[1/1] Working ...", "[1/1] Working: done in 0 s"]
    set_up(monkeypatch, work.step())
    assert capsys.readouterr().out == ""


def test_what_a_long_step_shows_is_its_work_and_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "setup.log"
    log.write_text("")
    monkeypatch.setattr(package_managers, "LOG", log)
    monkeypatch.setattr(package_managers, "_PROGRESS_SECONDS", 0.0)
    script = "echo Downloading something; echo WARNING: Location is ignored; echo npm warn config; sleep 1"
    package_managers.run(["sh", "-c", script])
    shown = capsys.readouterr().out.splitlines()
    assert shown
    assert all(line.split(" s  ")[1] == "Downloading something" for line in shown)


def test_a_chromium_that_is_named_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = tmp_path / "my chromium"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    monkeypatch.setenv("CAD_CHROMIUM", str(executable))
    assert installed_chromium() == executable


@pytest.mark.long
def test_archives_are_built_in_place_and_old_ones_go(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps themselves, over the checkout's store: its versions and nothing else, signed by a key made here."""
    archives = tmp_path / "archives"
    archives.mkdir()
    (archives / "ultrasound.mar").write_bytes(b"of before there were versions")
    (tmp_path / ".local-setup").mkdir()
    monkeypatch.setattr(bootstrap, "ARCHIVES", archives)
    monkeypatch.setattr(bootstrap, "KEYS", tmp_path / "keys")
    monkeypatch.setenv("CAD_MODEL_STORE", str(tmp_path / "another"))
    bootstrap._sign_shipped()
    bootstrap._build_archives()
    expected = {f"{path.parent.name}-{path.name}.mar" for path in REPOSITORY.glob("model_store/*/*")}
    assert {path.name for path in archives.glob("*.mar")} == expected
    for archive in archives.glob("*.mar"):
        with zipfile.ZipFile(archive) as bundle:
            signature = (tmp_path / "keys" / f"{archive.stem}.sig").read_bytes()
            assert bundle.read("model.sig") == signature
    assert (tmp_path / "keys" / "signing.key").stat().st_mode & 0o777 == 0o600


def test_whose_signatures_count_is_the_operators_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody's key is made here, and other keys are other archives."""

    def steps() -> dict[str, Step]:
        return {step.name: step for step in bootstrap._steps(False)}

    assert bootstrap.model_trust() == bootstrap.KEYS
    own = steps()
    assert list(own).index("signatures") < list(own).index("archives")
    by_own_keys = own["archives"].digest()
    monkeypatch.setenv("CAD_MODEL_TRUST", str(tmp_path))
    assert bootstrap.model_trust() == tmp_path and "signatures" not in steps()
    (tmp_path / "one.pem").write_text("one")
    before = steps()["archives"].digest()
    (tmp_path / "one.pem").write_text("another")
    assert len({by_own_keys, before, steps()["archives"].digest()}) == 3
