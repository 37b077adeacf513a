"""What messages make workers do."""

from __future__ import annotations

from dataclasses import asdict

from celery import shared_task

from cad_platform.analysis import again, runner, services, sweeper


@shared_task(name="analysis.study_complete")
def study_complete(study_id: str) -> str:
    """Make the study's jobs and begin with the first here and now."""
    return runner.run_study(study_id)


@shared_task(name="analysis.run")
def run(job_id: str) -> str:
    """One attempt at a job; does nothing where another worker has it or it has ended."""
    return runner.run_job(job_id)


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
