"""Handing studies to the hospital's platform: what it has not acknowledged is sent again, with growing delay.

The platform knows an object by its SOP Instance UID and bytes, so that a post whose answer was lost is a duplicate when
it comes again. A file is delivered when the platform has said what became of it, and not before.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby

import httpx
from pydantic import BaseModel, ValidationError

from edge.analysing import is_quiet
from edge.keeping import DECLINED, DELIVERED, Box, Kept
from edge.settings import Settings

logger = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 5.0, 300.0
_MOST_FILES, _MOST_BYTES = 100, 512 * 1024 * 1024
_TIME = httpx.Timeout(connect=10, read=180, write=60, pool=10)
#: About the line, the token or the moment, not about the files.
_NOT_NOW = {401, 403, 404, 405, 407, 408, 425, 429}


class _FileAnswer(BaseModel):
    status: str
    reason: str | None = None


class _Answer(BaseModel):
    """What of the platform's answer is read, of a problem as of a success."""

    files: list[_FileAnswer] = []
    detail: str = ""


class Trouble(Exception):
    """The line, the hospital or the token; nothing is known of the files."""


class Sender:
    """One line to one hospital.

    Attributes
    ----------
    trouble
        Why nothing could be sent the last time; empty where it could, or nothing was tried.
    next_try
        When it is tried again, by the clock of `time.monotonic`.
    reached_at
        When the hospital answered last, seconds since the epoch.
    """

    def __init__(self, box: Box, settings: Settings) -> None:
        self._box, self._settings = box, settings
        self.trouble = ""
        self.next_try = 0.0
        self.reached_at: float | None = None
        self._delay = _FIRST_DELAY

    def work(self) -> int:
        """Send what is due; how many files the hospital has answered about."""
        if not self._settings.platform or time.monotonic() < self.next_try:
            return 0
        settled = 0
        try:
            for batch, is_last in self._batches():
                settled += self._deliver(batch, is_last)
                self._delay, self.trouble = _FIRST_DELAY, ""
        except Trouble as reason:
            self.trouble = str(reason)
            # Boxes that lost the same line come back one after the other.
            self.next_try = time.monotonic() + self._delay * random.uniform(0.8, 1.2)  # noqa: S311
            self._delay = min(2 * self._delay, _LONGEST_DELAY)
            logger.warning("sending: %s", reason)
        return settled

    def _batches(self) -> list[tuple[list[Kept], bool]]:
        """Studies that are quiet, the oldest first, in posts of a bearable size; whether each is its study's last."""
        waiting = self._box.waiting()
        first = {file.study_instance_uid: number for number, file in reversed(list(enumerate(waiting)))}
        waiting.sort(key=lambda file: first[file.study_instance_uid])
        found: list[tuple[list[Kept], bool]] = []
        for _, group in groupby(waiting, lambda file: file.study_instance_uid):
            files = list(group)
            if not is_quiet(files, self._settings.quiet_seconds):
                continue
            batches: list[list[Kept]] = [[]]
            for file in files:
                size = sum(each.bytes for each in batches[-1])
                if batches[-1] and (len(batches[-1]) >= _MOST_FILES or size + file.bytes > _MOST_BYTES):
                    batches.append([])
                batches[-1].append(file)
            found += [(batch, batch is batches[-1]) for batch in batches]
        return found

    def _deliver(self, files: Sequence[Kept], is_last: bool) -> int:
        status, answer = self._post(files, is_last)
        if len(answer.files) == len(files):
            outcomes = [
                (f.sha256, said.status, said.reason or "")
                for f, said in zip(files, answer.files, strict=True)
            ]
            strange = {outcome for _, outcome, _ in outcomes} - {*DELIVERED, *DECLINED}
            if strange:
                raise Trouble(f"The hospital's answer cannot be understood ({', '.join(sorted(strange))}).")
            self._box.settle(outcomes)
            return len(files)
        if status < 300:
            raise Trouble("What answered at the hospital's address is not the platform.")
        if len(files) == 1:
            self._box.settle(
                [(files[0].sha256, "refused", answer.detail or f"The hospital answered {status}.")]
            )
            return 1
        # The post as a whole was refused: one file must not hold up the others.
        return sum(self._deliver([file], False) for file in files)

    def _post(self, files: Sequence[Kept], is_last: bool) -> tuple[int, _Answer]:
        """The hospital's answer, where it is one about these files."""
        assert self._settings.token_file is not None
        try:
            token = self._settings.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Trouble("The file with the hospital's token cannot be read.") from error
        verify = str(self._settings.authority) if self._settings.authority else True
        try:
            with ExitStack() as opened, httpx.Client(verify=verify, trust_env=False, timeout=_TIME) as client:
                parts = [
                    ("files", (f"{number}.dcm", opened.enter_context(self._box.path(file.sha256).open("rb"))))
                    for number, file in enumerate(files)
                ]
                answer = client.post(
                    self._settings.images_url,
                    headers={"Authorization": f"Bearer {token}"},
                    data={"study": json.dumps({"complete": is_last})},
                    files=parts,
                )
        except (httpx.HTTPError, OSError) as error:
            raise Trouble(f"The hospital cannot be reached ({type(error).__name__}).") from error
        if answer.status_code in (401, 403):
            raise Trouble("The hospital does not accept this box's token.")
        if answer.status_code in _NOT_NOW or answer.status_code >= 500 or 300 <= answer.status_code < 400:
            raise Trouble(f"The hospital answered {answer.status_code}; the images are sent again.")
        try:
            told = _Answer.model_validate_json(answer.content)
        except ValidationError as error:
            raise Trouble("What answered at the hospital's address is not the platform.") from error
        self.reached_at = time.time()
        return answer.status_code, told
