"""The versions that TorchServe serves are those of the model store, while both run.

A version whose folder appears in the store gets an archive, built in a process of its own, and is registered; nothing
restarts. Whether a folder is whole only its hashes tell, so that a half-copied one is refused like a broken one and
tried again once its files have changed and are still; so is one that nobody has signed, which a signature mends
(`CAD_MODEL_TRUST`, else the checkout's own key). A version whose folder is gone is unregistered while another one
of its name is there: without any version each of its studies would fail, and a store that is being exchanged is back in
a moment. A version that is served already stays as it was loaded.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from embedded.process import Child, Command
from embedded.state import REPOSITORY, StateFolder
from embedded.torchserve import TorchServe, Version

MANIFEST = "manifest.json"
#: Exit status of `python -m inference archive` and of `register_models` where versions were left out.
SOME_REFUSED = 2
#: A folder whose files have not changed for so long is not being copied any more.
_STILL_SECONDS = 2.0
#: A folder that is back sooner was being exchanged.
_GONE_SECONDS = 10.0
#: After the server refused something, or an archive could not be built.
_PAUSE_SECONDS = 10.0
#: What an archive is made of; a card or a figure that is corrected changes none.
_PARTS = re.compile(r"manifest\.json|answer\.json|variants\.json|custody\.json|model\..+")
_REFUSED = re.compile(r"^inference: (not served: .*)$", re.MULTILINE)

#: Names, sizes and times of a version's files.
Files = tuple[tuple[str, int, int], ...]


class ModelVersions:
    """Keeps the versions of one TorchServe those of `store`.

    Parameters
    ----------
    state
        Its log folder takes what the builder says.
    store
        The model store, `<name>/<version>/`.
    server
        The host whose versions these are.
    builds
        Whether its archives are built here; another host of the same archives only takes them up.
    """

    def __init__(self, state: StateFolder, store: Path, server: TorchServe, *, builds: bool = True) -> None:
        self.store = store
        self.server = server
        self._builds = builds
        self._log = state.logs / "archives.log"
        self._builder: Child | None = None
        self._found: dict[Version, Files] = {}
        self._still_since = 0.0
        self._requested: dict[Version, Files] = {}
        self._gone_since: dict[Version, float] = {}
        self._not_before = 0.0
        self._read_to = 0
        self._printed: set[str] = set()

    def command(self) -> Command:
        """Builds every archive that is missing or old."""
        arguments = [sys.executable, "-m", "inference", "archive"]
        arguments += ["--out", str(self.server.archives), "--store", str(self.store)]
        arguments += ["--workers", str(self.server.workers)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if self.server.trust is not None:
            environment["CAD_MODEL_TRUST"] = str(self.server.trust)
            if (key := self.server.trust / "signing.key").is_file():
                arguments += ["--key", str(key)]
        return Command("archives", arguments, environment=environment, folder=REPOSITORY, niceness=5)

    def note_log_position(self) -> None:
        """Before a builder starts: `report_refusals` is about what is written from here on."""
        self._read_to = self._log.stat().st_size if self._log.exists() else 0

    def report_refusals(self) -> None:
        """Say which versions the builder refused, each sentence once."""
        with self._log.open(errors="replace") as log:
            log.seek(self._read_to)
            said = log.read()
        for sentence in _REFUSED.findall(said):
            self._print_once(f"A model version is {sentence}")

    def prepare(self) -> None:
        """Before every start of the server: what has an archive then is not built again."""
        there = self._versions_in_store()
        self._requested = {version: there[version] for version in self.server.archived() if version in there}
        self._gone_since = {}

    def maintain(self) -> None:
        """See what changed and do something about it. Called every second or so; waits for nobody."""
        now = time.monotonic()
        there = self._versions_in_store()
        if there != self._found:
            self._found, self._still_since = there, now
        if self._builder is not None:
            if self._builder.running():
                return
            self._built(self._builder, now)
            self._builder = None
        if now < self._not_before or not self.server.answers():
            return
        if not (self._register() and self._unregister(now)):
            self._not_before = now + _PAUSE_SECONDS
            return
        changed = {
            version: files for version, files in there.items() if self._requested.get(version) != files
        }
        if changed and self._builds and now - self._still_since >= _STILL_SECONDS:
            self._requested |= changed
            self.note_log_position()
            self._builder = Child(self.command(), self._log)

    def _versions_in_store(self) -> dict[Version, Files]:
        """Every version's folder that has a manifest, and its files. A folder whose name begins with a dot is where a
        version may lie while it is being copied."""
        found = {}
        for manifest in self.store.glob(f"[!.]*/[!.]*/{MANIFEST}"):
            folder = manifest.parent
            try:
                parts = [
                    (entry.name, entry.stat()) for entry in os.scandir(folder) if _PARTS.fullmatch(entry.name)
                ]
            except OSError:
                continue  # it is being removed
            files = sorted((name, status.st_size, status.st_mtime_ns) for name, status in parts)
            found[Version(folder.parent.name, folder.name)] = tuple(files)
        return found

    def _built(self, builder: Child, now: float) -> None:
        code = builder.process.returncode
        builder.stop()
        self.report_refusals()
        builder.bound_log()
        if code not in (0, SOME_REFUSED):
            self._print_once(f"The model archives could not be built: see {self._log}")
            self._requested, self._not_before = {}, now + _PAUSE_SECONDS

    def _register(self) -> bool:
        """Register one version that has an archive and a folder; False where the server refused."""
        for version in self.server.archived():
            if version in self.server.registered or version not in self._found:
                continue
            refusal = self.server.register(version)
            if refusal is None:
                where = "" if self._builds else f" by {self.server.name} too"
                print(f"{version} is served{where} from now on", flush=True)
            else:
                self._print_once(refusal)
            return refusal is None
        return True

    def _unregister(self, now: float) -> bool:
        """Unregister one version whose folder is gone, where another one of its name is there."""
        gone = self.server.registered - self._found.keys()
        self._gone_since = {version: self._gone_since.get(version, now) for version in gone}
        for version, since in self._gone_since.items():
            others = [one for one in self.server.registered & self._found.keys() if one.name == version.name]
            if not others or now - since < _GONE_SECONDS:
                continue
            refusal = self.server.unregister(version, others[0])
            if refusal is None:
                for path in self.server.archive_files(version):
                    path.unlink(missing_ok=True)
                self._requested.pop(version, None)
                where = "" if self._builds else f" by {self.server.name} either"
                print(f"{version} is gone from the store and served no longer{where}", flush=True)
            else:
                self._print_once(refusal)
            return refusal is None
        return True

    def _print_once(self, sentence: str) -> None:
        if sentence not in self._printed:
            self._printed.add(sentence)
            print(sentence, flush=True)
