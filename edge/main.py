"""`bin/edge`: run a box until it is told to end.

One process: a thread that takes in from the watched folder, one that analyses, one that sends, and the server. Each may
fail at any moment; what is on the disk says what is left to do.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from edge.analysing import Analyst
from edge.inbox import Inbox
from edge.keeping import Box
from edge.sending import Sender
from edge.server import Server
from edge.settings import Settings, SettingsError, read
from edge.state import State
from edge.taking import Intake
from imaging import sandbox
from inference.runtime.signing import SigningError
from inference.runtime.store import StoreError

logger = logging.getLogger("edge")

#: One decoder at a time, of so much memory: with the rest of the box below two gigabytes.
DECODERS = sandbox.Limits(memory_bytes=768 * 1024 * 1024)
_LOOK_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 60.0


def main(arguments: list[str]) -> int:
    """The exit code: 0 after it was told to end, 1 with a sentence where it cannot be started."""
    parser = argparse.ArgumentParser(prog="bin/edge", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--retry", action="store_true", help="offer the hospital again what it declined, and end"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    os.umask(0o077)
    try:
        settings = read()
        settings.state.mkdir(parents=True, exist_ok=True)
        if options.retry:
            print(f"{Box(settings.state).offer_again()} file(s) will be offered again.")
            return 0
        with (settings.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SettingsError(f"Another box runs on {settings.state}.") from error
            run(settings)
    except (SettingsError, StoreError, SigningError, OSError) as error:
        print(f"edge: {error}", file=sys.stderr)
        return 1
    return 0


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    cv2.setNumThreads(1)
    sandbox.SHARED.bound(DECODERS, concurrency=1)
    box = Box(settings.state)
    intake = Intake(box, settings)
    if found := intake.recover():
        logger.info("%d file(s) were half kept or half removed when the box ended", found)
    analyst, sender = Analyst(box, settings), Sender(box, settings)
    inbox = Inbox(settings.inbox, intake)
    server = Server(
        box, settings, intake, State(box, settings, intake, analyst, sender), own_key(settings.state)
    )
    over = threading.Event()
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, lambda *_: over.set())
    works: list[tuple[str, Callable[[], int], float]] = [
        ("inbox", inbox.look, _LOOK_SECONDS),
        ("analysis", analyst.work, _LOOK_SECONDS),
        ("sending", sender.work, _LOOK_SECONDS),
        ("housekeeping", lambda: tidy(box, settings, intake), _HOUSEKEEPING_SECONDS),
    ]
    for name, work, pause in works:
        threading.Thread(target=_repeat, args=(name, work, pause, over), daemon=True).start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "https" if settings.certificate else "http"
    logger.info("ready: %s://%s:%d, key in %s", scheme, *server.server_address[:2], settings.state / "key")
    over.wait()
    server.shutdown()


def _repeat(name: str, work: Callable[[], int], pause: float, over: threading.Event) -> None:
    """Do the work again and again; what goes wrong is told by its kind and tried again."""
    while not over.is_set():
        wait = pause
        try:
            work()
        except Exception as error:
            # The message may quote a header: only the kind of error is logged.
            logger.error("%s failed (%s); it is tried again", name, type(error).__name__)
            wait = max(pause, 10.0)
        over.wait(wait)


def tidy(box: Box, settings: Settings, intake: Intake) -> int:
    """Remove what the hospital has had for long, and sooner where the disk is short; how many files."""
    removed = box.remove_delivered(time.time() - settings.keep_seconds)
    if not intake.has_room():
        removed += box.remove_delivered(time.time())
    return removed


def own_key(state: Path) -> str:
    """What machines and browsers show this box; made at its first start."""
    path = state / "key"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    key = path.read_text(encoding="utf-8").strip()
    if len(key) < 16:
        raise SettingsError(f"{path} holds no key of 16 characters or more; remove it, and one is made.")
    return key
