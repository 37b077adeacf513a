"""The queues of messages, by kind of work, and which task goes into which.

A message on `short` or `slide` only wakes a worker: which job it works on is the database's to say
(`analysis.turns`). News that lead to jobs come before those calls, or an urgent study would wait behind the calls for
a hundred others before anybody knew of it. Whatever is neither stands on `maintenance`, so that sweeps and probes never
stand behind an analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Analyses that end within seconds, and the news of a complete study.
SHORT = "short"
#: Whole slides, minutes each; in slices that give way.
SLIDE = "slide"
#: Sweeps, probes, deliveries, images made ready: nobody's analysis.
MAINTENANCE = "maintenance"
#: Retraining, hours on end, where the laboratory is installed. Nobody waits for it, so nobody has to serve it: no proof
#: is asked for, and only a worker that names it (`-Q training`) takes from it, one at a time.
TRAINING = "training"
#: In the order in which a worker that serves several looks at them.
QUEUES = (MAINTENANCE, SHORT, SLIDE)

#: Makes the jobs of a study that has become complete.
NEWS_TASK = "analysis.study_complete"
#: Wakes a worker for a job of the queue that it names.
CALL_TASK = "analysis.run"
#: Runs the training that has waited longest.
TRAIN_TASK = "learning.train"
#: Lets versions in shadow look at studies, where nobody waits in the queue that it names.
SHADOW_TASK = "analysis.run_shadows"
#: Measures a version on known cases: minutes of work, which wait for every patient's slide.
ACCEPTANCE_TASK = "quality.measure_acceptance"
#: The worker's proof, which each queue has of its own (`operations.tasks`).
ANSWER_TASK = "operations.answer_probe"
#: Steps of kombu's Redis transport: 0 comes first.
_NEWS, _CALL = 0, 9


def route(
    name: str, args: Any = None, kwargs: Mapping[str, Any] | None = None, *_: Any, **__: Any
) -> dict[str, Any]:
    """Celery's router: the queue of a message, and its place before or behind others there."""
    if name == NEWS_TASK:
        return {"queue": SHORT, "priority": _NEWS}
    if name in {CALL_TASK, SHADOW_TASK, ANSWER_TASK}:
        queue = (kwargs or {}).get("queue", SHORT)
        return {"queue": queue, "priority": _NEWS if name == ANSWER_TASK else _CALL}
    if name == ACCEPTANCE_TASK:
        return {"queue": SLIDE, "priority": _CALL}
    return {"queue": TRAINING if name == TRAIN_TASK else MAINTENANCE}
