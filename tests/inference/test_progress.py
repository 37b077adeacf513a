"""The line that says how far something is: on a terminal, in a file, and not at all."""

from __future__ import annotations

import os
import sys

import pytest

from inference.progress import ProgressLine


def test_what_takes_long_is_shown_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    for patience, shown in ((0.0, True), (60.0, False)):
        with ProgressLine("busi", patience=patience) as line:
            line.show("1 of 3 files")
            line.keep("3 files")
        assert capsys.readouterr().err == ("busi: 1 of 3 files, 0 s\nbusi: 3 files, 0 s\n" if shown else "")


def test_in_a_file_lines_come_seldom_unless_each_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    for elsewhere, lines in ((10.0, 1), (0.0, 3)):
        with ProgressLine(patience=0, elsewhere=elsewhere) as line:
            for epoch in range(3):
                line.show(f"epoch {epoch}")
        assert len(capsys.readouterr().err.splitlines()) == lines


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(patience=0, quiet=True) as line:
        line.show("1 of 2")
        line.keep("2 of 2")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("finished", [True, False])
def test_on_a_terminal_it_is_one_line_that_is_ended(monkeypatch: pytest.MonkeyPatch, finished: bool) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal, open(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        with ProgressLine(patience=0) as line:
            line.show("1 of 2")
            if finished:
                line.keep("2 of 2")
        shown = ""
        while not shown.endswith("\n"):  # the terminal hands over what has come so far
            shown += screen.read(1000).decode()
    assert shown.count("\n") == 1 and shown.endswith("\n")
    assert shown.startswith("\r\033[K1 of 2, 0 s") and ("\r\033[K2 of 2" in shown) is finished
