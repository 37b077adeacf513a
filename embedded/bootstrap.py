"""Set-up: from a bare checkout and Python 3.11 to everything that bin/demo or bin/test needs.

Standard library only. Each step says what it does and for how long, is skipped while its inputs are
unchanged, and ends in one sentence that says what to do when it cannot be done. Package managers use the
indexes that the machine is configured for; no address is written here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.chromium import BROWSER, UNPACKED_CHROMIUM, installed_chromium
from embedded.package_managers import (
    LOG,
    PYTHON,
    SETUP,
    VENV,
    begin_log,
    log_lines,
    make_venv,
    node,
    npm,
    pip,
    run,
    venv_digest,
)
from embedded.state import REPOSITORY, StateError, read_json, write_private_json

#: What a demo installs: the platform, the model server beside it, and the laboratory.
LOCKS = tuple(REPOSITORY / f"requirements{name}.lock" for name in ("", "-modelserver", "-laboratory"))
TEST_LOCK = REPOSITORY / "requirements-dev.lock"
ARCHIVES = SETUP / "archives"
#: The checkout's own pair of keys, made once, and its signatures over the versions that came with it.
KEYS = SETUP / "keys"
FRONTEND = REPOSITORY / "frontend"
_SIGNING = [REPOSITORY / "inference" / "runtime" / f"{name}.py" for name in ("shipped", "signing", "custody")]
#: The fonts of reports (`reporting.typesetting`): a folder of their own, since an image keeps no `node_modules`.
FONTS = SETUP / "fonts"
_FONT_PACKAGE = FRONTEND / "node_modules" / "@expo-google-fonts" / "noto-sans-sc"
FREE_BYTES = 6 * 1024**3


@dataclass(frozen=True)
class Step:
    """One piece of set-up: done while `digest` is what it was and all of `products` exist."""

    name: str
    title: str
    digest: Callable[[], str]
    products: Sequence[Path]
    run: Callable[[], None]
    advice: str


def model_trust() -> Path:
    """Whose signatures a model server asks for: those of `CAD_MODEL_TRUST`, else the checkout's own."""
    return Path(os.environ.get("CAD_MODEL_TRUST") or KEYS).absolute()


#: Which steps make which image (docker/Dockerfile): a hospital's web server and workers need no model server and no
#: laboratory, and a model server no pages.
IMAGES = {
    "platform": ("venv", "python", "node", "fonts", "frontend", "translations", "static"),
    "inference": ("venv", "python", "signatures", "archives"),
}


def set_up(*, tests: bool = False, image: str = "") -> None:
    """Bring the checkout to the state that its locked versions and sources describe.

    Parameters
    ----------
    tests
        With what bin/test needs.
    image
        Only the steps of one of `IMAGES`.

    Raises
    ------
    StateError
        With the sentence that says what to do.
    """
    _check_machine()
    # Asked to end, it ends the package manager that it waits for.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _only_one_at_a_time():
            begin_log()
            locks = {"": LOCKS, "platform": LOCKS[:1], "inference": LOCKS[:2]}[image]
            _work_through([step for step in _steps(tests, locks) if not image or step.name in IMAGES[image]])
    finally:
        signal.signal(signal.SIGTERM, before)


def _work_through(steps: Sequence[Step]) -> None:
    stamps = read_json(SETUP / "stamps.json")
    for number, step in enumerate(steps, 1):
        digest = step.digest()
        if stamps.get(step.name) == digest and all(product.exists() for product in step.products):
            continue
        label = f"[{number}/{len(steps)}] {step.title}"
        print(f"{label} ...", flush=True)
        started = time.monotonic()
        stamps.pop(step.name, None)
        write_private_json(SETUP / "stamps.json", stamps)
        try:
            step.run()
        except (subprocess.CalledProcessError, OSError) as error:
            raise StateError(_failure(step, error)) from error
        stamps[step.name] = step.digest()
        write_private_json(SETUP / "stamps.json", stamps)
        print(f"{label}: done in {time.monotonic() - started:.0f} s", flush=True)


def _steps(tests: bool, locks: Sequence[Path] = LOCKS) -> list[Step]:
    online = "check that this machine reaches its package index or mirror, then run the command again"
    build = "the lines above say where; a fresh checkout should not come here"
    steps = [
        Step(
            "venv", "Making the Python environment", venv_digest, [PYTHON], make_venv, "see the lines above"
        ),
        Step(
            "python",
            "Installing the Python packages",
            lambda: _digest(locks, venv_digest()),
            [VENV / "bin" / "django-admin"],
            lambda: pip(*locks),
            online,
        ),
    ]
    if tests:
        steps.append(
            Step(
                "python-tests",
                "Installing the Python packages for tests",
                lambda: _digest([*locks, TEST_LOCK], venv_digest()),
                [VENV / "bin" / "pytest"],
                lambda: pip(TEST_LOCK, alone=True),
                online,
            )
        )
    steps += [
        Step(
            "node",
            "Installing the front end's packages",
            lambda: _digest([FRONTEND / "package.json", FRONTEND / "package-lock.json"]),
            [FRONTEND / "node_modules"],
            lambda: npm(FRONTEND, "ci", "--ignore-scripts"),
            online,
        ),
        Step(
            "fonts",
            "Putting the reports' fonts into place",
            lambda: _digest([FRONTEND / "package-lock.json"]),
            [FONTS / "NotoSansSC_400Regular.ttf", FONTS / "NotoSansSC_700Bold.ttf"],
            _put_fonts,
            build,
        ),
        Step(
            "frontend",
            "Building the front end",
            lambda: _digest(_files(FRONTEND, skip={"node_modules", "dist"})),
            [FRONTEND / "dist"],
            lambda: npm(FRONTEND, "run", "build"),
            build,
        ),
        Step(
            "translations",
            "Compiling the translations",
            lambda: _digest(_translations()),
            [source.with_suffix(".mo") for source in _translations()],
            lambda: run([str(PYTHON), "-m", "embedded.translations"]),
            build,
        ),
        Step(
            "static",
            "Collecting the static files",
            lambda: _digest(
                [REPOSITORY / "requirements.lock", *_files(FRONTEND / "dist"), *_static_files()],
            ),
            [REPOSITORY / "staticfiles" / "staticfiles.json"],
            _collect_static,
            build,
        ),
    ]
    if not os.environ.get(
        "CAD_MODEL_TRUST"
    ):  # else whoever's keys those are signs, and no other is wanted here
        steps.append(
            Step(
                "signatures",
                "Signing the model versions that came with the checkout",
                lambda: _digest([*_files(REPOSITORY / "model_store"), *_SIGNING, *_files(KEYS)]),
                [KEYS / "signing.key", KEYS / "signing.pem"],
                _sign_shipped,
                build,
            )
        )
    steps += [
        Step(
            "archives",
            "Building the model archives",
            lambda: _digest(
                [*_files(REPOSITORY / "model_store"), *_files(REPOSITORY / "inference" / "runtime")],
                _trusted(),
            ),
            [ARCHIVES],
            _build_archives,
            build,
        ),
    ]
    if tests:
        steps.append(
            Step(
                "browser",
                "Installing what the browser tests need",
                lambda: _digest(
                    [BROWSER / "package.json", BROWSER / "package-lock.json"], str(installed_chromium())
                ),
                [BROWSER / "node_modules"],
                _install_browser,
                online,
            )
        )
    return steps


# --- the steps ----------------------------------------------------------------------------------------


def _put_fonts() -> None:
    shutil.rmtree(FONTS, ignore_errors=True)
    FONTS.mkdir(parents=True)
    for weight in ("400Regular", "700Bold"):
        shutil.copy(_FONT_PACKAGE / weight / f"NotoSansSC_{weight}.ttf", FONTS)
    shutil.copy(_FONT_PACKAGE / "LICENSE_FONT", FONTS)


def _collect_static() -> None:
    # Nothing is connected to; the settings only want to be complete.
    placeholders = {
        "CAD_SECRET_KEY": "set-up",
        "DATABASE_URL": "postgresql://setup@/setup",
        "CAD_BROKER_URL": "redis://127.0.0.1/0",
        "CAD_STATE_DIR": str(SETUP / "state"),
        "DJANGO_SETTINGS_MODULE": "cad_platform.config.settings.local",
    }
    run([str(PYTHON), "manage.py", "collectstatic", "--noinput", "--clear", "--verbosity", "0"], placeholders)


def _sign_shipped() -> None:
    # A version that somebody put in, or changed, is signed by that person.
    _inference("shipped", "--keys", str(KEYS))
    if not (KEYS / "signing.pem").is_file():
        raise OSError("no key was made")


def _build_archives() -> None:
    # What was built of the same files stays; versions that cannot be served are named and keep no other back.
    own = () if os.environ.get("CAD_MODEL_TRUST") else ("--key", str(KEYS / "signing.key"))
    _inference("archive", "--out", str(ARCHIVES), *own)
    if not any(ARCHIVES.glob("*.mar")):
        raise OSError("no archive was built")


def _inference(*arguments: str) -> None:
    """Run a command of the laboratory on the checkout's store, and show what it refuses."""
    known = len(log_lines())
    command = [str(PYTHON), "-m", "inference", *arguments, "--store", str(REPOSITORY / "model_store")]
    run(command, {"CAD_MODEL_TRUST": str(model_trust())}, may_fail=True)
    for line in log_lines()[known:]:
        if line.startswith("inference: "):
            print(f"      {line.removeprefix('inference: ')}", flush=True)


def _install_browser() -> None:
    if installed_chromium():
        npm(BROWSER, "ci", "--ignore-scripts", "--omit=optional")
        return
    npm(BROWSER, "ci", "--ignore-scripts")
    shutil.rmtree(UNPACKED_CHROMIUM, ignore_errors=True)
    UNPACKED_CHROMIUM.mkdir()
    # It unpacks itself, its fonts and its libraries into the temporary folder of the service it was made for.
    unpack = 'import chromium from "@sparticuz/chromium"; console.log(await chromium.executablePath())'
    node(
        BROWSER,
        ["--input-type=module", "--eval", unpack],
        {"TMPDIR": str(UNPACKED_CHROMIUM), "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"},
    )


# --- inputs -------------------------------------------------------------------------------------------


def _files(folder: Path, skip: Iterable[str] = ()) -> list[Path]:
    unwanted = {"__pycache__", *skip}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not unwanted.intersection(path.relative_to(folder).parts)
    )


def _trusted() -> str:
    """What the keys and signatures are that archives are built by, wherever they lie."""
    trust = model_trust()
    files = sorted([*trust.glob("*.pem"), *trust.glob("*.sig")]) if trust.is_dir() else [trust]
    found = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files if path.is_file()]
    return repr((str(trust), found))


def _translations() -> list[Path]:
    return sorted((REPOSITORY / "cad_platform" / "locale").glob("*/LC_MESSAGES/*.po"))


def _static_files() -> list[Path]:
    return [path for folder in (REPOSITORY / "cad_platform").glob("*/static") for path in _files(folder)]


def _digest(paths: Iterable[Path], salt: str = "") -> str:
    digest = hashlib.sha256(salt.encode())
    for path in paths:
        digest.update(f"\0{path.relative_to(REPOSITORY)}\0".encode())
        if path.exists():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _failure(step: Step, error: Exception) -> str:
    tail = "\n".join(f"    {line}" for line in log_lines()[-20:])
    return f"{tail}\n    {error}\n{step.title} failed: {step.advice} (whole log: {LOG})."


def _check_machine() -> None:
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        raise StateError("The platform runs on 64-bit Linux (x86_64 or aarch64): use such a machine.")
    if sys.version_info[:2] != (3, 11):
        raise StateError("Set-up needs Python 3.11: install it, or set CAD_PYTHON to where it is.")
    if not os.access(REPOSITORY, os.W_OK):
        raise StateError(
            f"{REPOSITORY} is not yours to write: clone the repository as this user, then run again."
        )
    free = shutil.disk_usage(REPOSITORY).free
    # A link into another user's home cannot be followed, and is replaced.
    if not os.path.lexists(PYTHON) and free < FREE_BYTES:
        raise StateError(
            f"Set-up needs 6 GB of disk and {REPOSITORY} has {free / 1e9:.1f} GB: make room there."
        )


@contextmanager
def _only_one_at_a_time() -> Iterator[None]:
    SETUP.mkdir(exist_ok=True)
    with (SETUP / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this checkout is running; waiting for it ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
