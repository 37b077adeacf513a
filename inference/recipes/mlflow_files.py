"""A run in the layout of MLflow's file store, for who compares runs there: written without MLflow.

| file | what |
|---|---|
| `EXPERIMENT/meta.yaml` | the recipe's name |
| `EXPERIMENT/RUN/meta.yaml` | name, beginning, end and state of the run |
| `EXPERIMENT/RUN/params/NAME`, `tags/NAME` | one value |
| `EXPERIMENT/RUN/metrics/NAME` | lines of milliseconds, value, step |
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

_RUNNING, _FINISHED = 1, 3


class MlflowFiles:
    """One run in `store`; the same identity is the same run, so that a resumed one goes on there.

    Parameters
    ----------
    experiment
        The recipe's name.
    identity
        Of the run: what its result depends on.
    """

    def __init__(
        self, store: Path, experiment: str, run_name: str, identity: str, params: Mapping[str, object]
    ) -> None:
        number = str(int(hashlib.sha256(experiment.encode()).hexdigest()[:15], 16))
        self._run_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
        self._experiment, self._run = number, store.resolve() / number / self._run_id
        self._name, self._begun = run_name, _now()
        for name in ("params", "metrics", "tags", "artifacts"):
            (self._run / name).mkdir(parents=True, exist_ok=True)
        _meta(
            self._run.parent / "meta.yaml", artifact_location=self._run.parent.as_uri(), creation_time=self._begun,
            experiment_id=number, last_update_time=self._begun, lifecycle_stage="active", name=experiment,
        )  # fmt: skip
        self._state(_RUNNING, None)
        for name, value in params.items():
            (self._run / "params" / _named(name)).write_text(str(value), encoding="utf-8")
        (self._run / "tags" / "mlflow.runName").write_text(run_name, encoding="utf-8")

    def log(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        """A point of each curve."""
        for name, value in values.items():
            path = self._run / "metrics" / _named(f"{tag}.{name}")
            with path.open("a", encoding="utf-8") as lines:
                lines.write(f"{_now()} {value!r} {step}\n")

    def finish(self, figures: Mapping[str, float]) -> None:
        """The run's figures, and that it is over."""
        self.log("result", 0, figures)
        self._state(_FINISHED, _now())

    def _state(self, status: int, ended: int | None) -> None:
        _meta(
            self._run / "meta.yaml", artifact_uri=(self._run / "artifacts").as_uri(), end_time=ended,
            entry_point_name="", experiment_id=self._experiment, lifecycle_stage="active", run_id=self._run_id,
            run_name=self._name, run_uuid=self._run_id, source_name="", source_type=4, source_version="",
            start_time=self._begun, status=status, tags=[], user_id="",
        )  # fmt: skip


def _meta(path: Path, **content: object) -> None:
    """YAML of one level: JSON's values are YAML's."""
    lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in sorted(content.items()))
    path.write_text(lines, encoding="utf-8")


def _named(name: str) -> str:
    """What MLflow takes for a name, and no folder."""
    return re.sub(r"[^\w.\- ]", ".", name)


def _now() -> int:
    return int(time.time() * 1000)
