"""What messages make workers do."""

from __future__ import annotations

from dataclasses import asdict

from celery import shared_task

from cad_platform.analysis import again, bulk, comparing, runner, services, shadow, sweeper
from cad_platform.core.queues import CALL_TASK, NEWS_TASK, SHADOW_TASK


@shared_task(name=NEWS_TASK)
def study_complete(study_id: str) -> str:
    """Make the study's jobs, and one attempt at whichever short job is the next: mostly that of this study."""
    return runner.run_study(study_id)


@shared_task(name=CALL_TASK)
def run(queue: str) -> str:
    """One attempt at the next job of a queue; does nothing where none waits."""
    return runner.run_next(queue)


@shared_task(name="analysis.sweep")
def sweep() -> dict[str, int]:
    """Pick up what was dropped."""
    return asdict(sweeper.sweep())


@shared_task(name="analysis.replace_unrouted")
def replace_unrouted(name: str) -> int:
    """Another version of the model `name` is in use: what waits goes on with that one."""
    return services.replace_unrouted()


@shared_task(name="analysis.go_on")
def go_on(reanalysis_id: str) -> int:
    """Begin with a set of studies that somebody has analysed again."""
    return again.go_on()


@shared_task(name="analysis.act")
def act(action_id: str) -> int:
    """Begin with what somebody has done to many jobs; the sweeper goes on."""
    return bulk.go_on()


@shared_task(name="analysis.ask_shadows")
def ask_shadows(job_id: str, study_id: str) -> int:
    """An analysis has ended: versions in shadow may look at the study."""
    return shadow.request(study_id)


@shared_task(name=SHADOW_TASK)
def run_shadows(queue: str) -> int:
    """Look at studies in shadow while nobody waits in the queue."""
    return shadow.work(queue)


@shared_task(name="analysis.compare")
def compare(version_id: int, against_id: int) -> int:
    """Compare two versions at every site with known cases."""
    return comparing.compare(version_id, against_id)
