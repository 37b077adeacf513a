"""What an image would hold, made from its Dockerfile's own steps without a container engine.

Instructions are read as Docker reads them; the stages that a target is made of are laid out in folders. What
installs packages from an index is taken from the checkout (its virtual environment, its `node_modules`); everything
else runs as it stands there, in the place that it would run in.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from embedded.state import REPOSITORY

DOCKERFILE = REPOSITORY / "docker" / "Dockerfile"
#: Nothing to be made here: users and packages of the base image.
_OF_THE_BASE = ("useradd", "apt-get", "chown", "chmod")
#: Steps of the set-up that fetch from an index, or take minutes: their products are the checkout's.
_TAKEN_OVER = ("venv", "python", "node", "frontend", "static", "signatures", "archives")


@dataclass
class Stage:
    """One `FROM` and what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Image:
    """A laid-out target."""

    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    command: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / str(Path(self.workdir, inside)).lstrip("/")

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the image's working folder with its environment and nothing of this one's."""
        return subprocess.run(
            command,
            cwd=self.path("."),
            env=self.environment_here() | environment,
            capture_output=True,
            text=True,
            check=check,
        )

    def environment_here(self) -> dict[str, str]:
        """The image's environment, its paths those of here."""
        moved = {
            name: value.replace(self.workdir, str(self.path("."))) for name, value in self.environment.items()
        }
        return {"HOME": str(self.root), "PATH": os.defpath, "LANG": "C.UTF-8"} | moved


def stages(text: str | None = None) -> list[Stage]:
    """The stages of a Dockerfile, with build arguments filled in."""
    lines = (text or DOCKERFILE.read_text()).splitlines()
    joined: list[str] = []
    for line in lines:
        if line.lstrip().startswith("#"):
            continue
        if joined and joined[-1].endswith("\\"):
            joined[-1] = joined[-1][:-1] + line
        else:
            joined.append(line)
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in filter(str.strip, joined):
        name, _, rest = line.strip().partition(" ")
        rest = re.sub(r"\$\{(\w+)\}", lambda match: arguments.get(match[1], match[0]), rest.strip())
        match name.upper():
            case "ARG":
                key, _, value = rest.partition("=")
                arguments[key] = value
            case "FROM":
                base, _, alias = rest.partition(" AS ")
                found.append(Stage(base, alias.strip()))
            case _:
                found[-1].steps.append((name.upper(), rest))
    return found


def lay_out(target: str, folder: Path) -> Image:
    """Make what the target would hold, in `folder`."""
    known = {stage.name or "": stage for stage in stages()}
    made: dict[str, Image] = {}

    def make(name: str) -> Image:
        if name not in made:
            stage = known[name]
            image = Image(folder / (name or "last"))
            image.root.mkdir(parents=True)
            if stage.base in known:
                below = make(stage.base)
                _link(below.root, image.root)
                image.workdir, image.user, image.command = below.workdir, below.user, below.command
                image.environment = dict(below.environment)
            for step, rest in stage.steps:
                _follow(image, step, rest, make)
            made[name] = image
        return made[name]

    return make(target)


def _follow(image: Image, step: str, rest: str, make) -> None:  # type: ignore[no-untyped-def]
    match step:
        case "WORKDIR":
            image.workdir = rest
            image.path(".").mkdir(parents=True, exist_ok=True)
        case "ENV":
            for assignment in shlex.split(rest):
                name, _, value = assignment.partition("=")
                image.environment[name] = value.replace("$PATH", os.defpath)
        case "USER":
            image.user = rest
        case "CMD":
            image.command = json.loads(rest)
        case "COPY":
            words = rest.split()
            options = dict(
                word.removeprefix("--").split("=", 1)
                for word in words
                if word.startswith("--") and "=" in word
            )
            *sources, target = [word for word in words if not word.startswith("--")]
            image.path(target).mkdir(parents=True, exist_ok=True)
            for source in sources:
                if origin := options.get("from"):
                    _link(make(origin).path(source), image.path(target))
                else:
                    _copy_context(source, image.path(target))
        case "RUN":
            for command in re.split(r"\s*&&\s*", rest):
                _run(image, command)
        case "EXPOSE" | "VOLUME" | "LABEL" | "HEALTHCHECK" | "ARG" | "STOPSIGNAL" | "SHELL" | "ENTRYPOINT":
            pass
        case _:
            raise AssertionError(f"{step} is not known here")


def _run(image: Image, command: str) -> None:
    words = shlex.split(command)
    if words[0] in _OF_THE_BASE:
        return
    if words[0] == "install":
        for folder in (word for word in words if word.startswith("/")):
            image.path(folder).mkdir(parents=True, exist_ok=True)
        return
    if words[1:3] == ["-m", "venv"]:
        _take_over_environment(image.path(words[3]))
        return
    if "pip" in words[0]:
        # What it would install is installed there; that each file named is one of the image is what counts.
        for before, name in pairwise(words):
            assert before != "-r" or image.path(name).is_file(), f"{name} is not in the image"
        return
    if "set_up(" in command:
        _take_over_set_up(image, re.findall(r"image='(\w+)'", command)[0])
    done = subprocess.run(
        ["bash", "-c", re.sub(r"^python(3\.11)?\b", shlex.quote(sys.executable), command)],
        cwd=image.path("."),
        env={"PATH": os.defpath, "HOME": str(image.root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _take_over_environment(target: Path) -> None:
    """The virtual environment, without the packages of this project's folder on its path."""
    if not target.exists():
        target.symlink_to(Path(sys.prefix))


def _take_over_set_up(image: Image, kind: str) -> None:
    """What the checkout has of the slow steps, said to be done as it would be there."""
    place = image.path(".")
    (place / ".local-setup").mkdir(exist_ok=True)
    for product in ("frontend/node_modules", "frontend/dist", "staticfiles") if kind == "platform" else ():
        if not (place / product).exists():
            (place / product).symlink_to((REPOSITORY / product).resolve())
    for product in (".local-setup/archives", ".local-setup/keys") if kind == "inference" else ():
        shutil.copytree(REPOSITORY / product, place / product, copy_function=_same_file)
    say = (
        "import json\nfrom embedded import bootstrap as b\n"
        "b.SETUP.mkdir(exist_ok=True)\n"
        f"names = {_TAKEN_OVER!r}\n"
        f"steps = b._steps(False, b.LOCKS[:{1 if kind == 'platform' else 2}])\n"
        "(b.SETUP / 'stamps.json').write_text("
        "json.dumps({s.name: s.digest() for s in steps if s.name in names}))\n"
    )
    subprocess.run([sys.executable, "-c", say], cwd=place, env={"PATH": os.defpath}, check=True)


def _ignored() -> list[str]:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def is_left_out(path: str) -> bool:
    """Whether `.dockerignore` keeps a path of the repository from the build."""
    parts = Path(path).parts
    beginnings = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    for pattern in _ignored():
        for start in beginnings:
            if fnmatch(start, pattern) or (
                pattern.startswith("**/") and fnmatch(Path(start).name, pattern[3:])
            ):
                return True
    return False


def _copy_context(source: str, target: Path) -> None:
    origin = REPOSITORY / source
    if origin.is_file():
        place = target / origin.name if target.is_dir() else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin, place)
        return
    for folder, names, files in os.walk(origin):
        here = Path(folder)
        names[:] = [name for name in names if not is_left_out(str((here / name).relative_to(REPOSITORY)))]
        for name in files:
            path = here / name
            if is_left_out(str(path.relative_to(REPOSITORY))) or path.is_symlink():
                continue
            place = target / path.relative_to(origin)
            place.parent.mkdir(parents=True, exist_ok=True)
            _same_file(path, place)


def _link(origin: Path, target: Path) -> None:
    """Copy a tree of another stage; links stay links."""
    if origin.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        _same_file(origin, target)
        return
    shutil.copytree(origin, target, symlinks=True, dirs_exist_ok=True, copy_function=_same_file)


def _same_file(origin: str | Path, target: str | Path) -> None:
    Path(target).unlink(missing_ok=True)
    # Large files are not written twice; what the steps write are other files.
    if Path(origin).stat().st_size > 1_000_000:
        try:
            os.link(origin, target)
            return
        except OSError:
            pass
    shutil.copy2(origin, target)
