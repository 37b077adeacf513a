"""Posting cases as a hospital system would: over HTTP, with a token, patient while the platform is busy."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from cad_platform.demo.cases import Case, CaseImage

_TRIES = 8
#: Reading a large slide's answer waits for hashing and validation.
_TIMEOUT = httpx.Timeout(30.0, read=300.0, write=300.0)


class PlatformAway(Exception):
    """The platform does not answer or goes on refusing work."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    case: Case
    status: int
    reason: str = ""

    @property
    def refused(self) -> bool:
        return self.status >= 400


class Loader:
    """Posts cases to one platform. `say` gets a line a case."""

    def __init__(self, url: str, token: str, say: Callable[[str], None]) -> None:
        self.client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            # The platform is on this machine; a proxy for the outside world does not lead to it.
            trust_env=False,
        )
        self.say = say

    def wait_until_ready(self, seconds: float) -> bool:
        """Whether every component answered within that time. Posting works without: analysis comes later."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.client.get("/readyz", timeout=10).status_code == 200:
                    return True
            except httpx.HTTPError:
                pass
            time.sleep(1)
        return False

    def load(self, cases: Iterable[Case], remember: Callable[[Case, list[CaseImage]], None]) -> list[Outcome]:
        """Post what is not there yet. `remember(case, images)` is told the truth of each case before it is
        posted."""
        outcomes = []
        for case in cases:
            if self._send(lambda case=case: self.client.get(self._address(case))).status_code == 200:  # type: ignore[misc]
                self.say(f"  there already  {case.modality}  {case.procedure}")
                outcomes.append(Outcome(case, 200))
                continue
            with tempfile.TemporaryDirectory(prefix="cad-demo-") as folder:
                images = case.images(Path(folder))
                remember(case, images)
                outcome = self._post(case, images)
            word = f"refused ({outcome.status}: {outcome.reason})" if outcome.refused else "posted"
            self.say(f"  {word:<13}  {case.modality}  {case.procedure}")
            outcomes.append(outcome)
        return outcomes

    def _address(self, case: Case) -> str:
        return f"/api/v1/studies/{case.study_instance_uid}"

    def _post(self, case: Case, images: list[CaseImage]) -> Outcome:
        study = json.dumps(case.study_part(images))

        def post() -> httpx.Response:
            with ExitStack() as stack:
                parts: list[tuple[str, object]] = [("study", (None, study, "application/json"))]
                for image in images:
                    handle = stack.enter_context(image.path.open("rb"))
                    parts.append(("files", (image.file_name, handle, "application/octet-stream")))
                return self.client.post(
                    "/api/v1/studies",
                    files=parts,  # type: ignore[arg-type]
                    headers={"Idempotency-Key": f"demo:{case.key}"},
                )

        response = self._send(post)
        reason = ""
        if response.status_code >= 400:
            try:
                reason = str(response.json().get("detail", ""))
            except ValueError:
                reason = response.reason_phrase
        return Outcome(case, response.status_code, reason)

    def _send(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask again, as the answer says, while the platform is away or has too much to do."""
        for attempt in range(_TRIES):
            try:
                response = ask()
            except httpx.TransportError:
                pause = float(2**attempt)
            else:
                if response.status_code not in {409, 429, 503} or _final(response):
                    return response
                pause = float(response.headers.get("Retry-After") or 2**attempt)
            time.sleep(min(pause, 30.0))
        raise PlatformAway("The platform does not answer: the demo cases are loaded at its next start.")


def _final(response: httpx.Response) -> bool:
    """A conflict that waiting does not end; "still running" says when to ask again."""
    return response.status_code == 409 and "Retry-After" not in response.headers
