"""Studies analysed again with the versions in use: one, or a set of them. For people, and for systems that may post."""

from __future__ import annotations

import uuid
from typing import Literal, cast

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.analysis import again, selectors
from cad_platform.analysis.selectors import SetProgress
from cad_platform.api import composition, model_answers, schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import actor_of
from cad_platform.reading import reanalysis
from cad_platform.reading.reanalysis import Choice, Shown

_ANALYSED = {
    409: "`analysed`: the versions in use have looked at the study already. `no_model`: none is in use for it. Or the "
    "study is withdrawn or not complete. Nothing was changed."
}
_NONE_NEEDS_IT = {409: "The versions in use have looked at every study of the choice, or are at it."}


class StudyAnalyses(ApiView):
    @extend_schema(
        operation_id="analyse_study",
        summary="Analyse a study again",
        parameters=[schema.STUDY_UID],
        request=None,
        responses={
            202: model_answers.AnalysesAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_ANALYSED),
        },
    )
    def post(self, request: Request, uid: str) -> Response:
        """With the model versions in use now, where they have given no result; a failed analysis is tried anew.
        Earlier results stay. For people with a session, and for tokens that may post studies."""
        actor = actor_of(request)
        study = selectors.study_to_analyse(actor, uid)
        jobs = again.reanalyse(actor, study)
        body = model_answers.AnalysesAnswer(
            study_instance_uid=study.study_instance_uid,
            url=composition.study_url(request, study),
            jobs=[
                model_answers.AnalysisUnderWay(
                    id=job.pk,
                    model=job.model_version.name,
                    version=job.model_version.version,
                    state=cast(Literal["requested", "running"], job.state),
                )
                for job in jobs
            ],
        )
        return Response(body.as_json(), status=202)


class Reanalyses(ApiView):
    @extend_schema(
        operation_id="list_reanalyses",
        summary="List the sets of studies that are analysed again",
        responses={200: model_answers.ReanalysisList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest fifty of the site, newest first; an administrator's of every site."""
        found = selectors.reanalyses(actor_of(request))
        body = model_answers.ReanalysisList(results=[_answer(each) for each in found])
        return Response(body.as_json())

    @extend_schema(
        operation_id="reanalyse_studies",
        summary="Analyse a set of studies again",
        request=model_answers.ReanalysisRequest,
        responses={
            202: model_answers.ReanalysisAnswer,
            **schema.problems(400, 401, 403, 409, 415, 422, 429, 503, because=_NONE_NEEDS_IT),
        },
        examples=[
            OpenApiExample("Urgent ones, not signed yet", value={"priority": "urgent"}, request_only=True),
            OpenApiExample(
                "What an old version said",
                value={"shown": "by", "model": "ultrasound", "version": "2.1.0"},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Those of the choice that need it, a few at a time behind new ones. Which studies these are is settled now."""
        actor = actor_of(request)
        choice = _choice(parse_model(model_answers.ReanalysisRequest, json_of(request)))
        made = again.reanalyse_set(actor, reanalysis.chosen(actor, choice), choice.criteria())
        (progress,) = selectors.progress_of([made])
        return Response(_answer(progress).as_json(), status=202)


class ReanalysisStop(ApiView):
    @extend_schema(
        operation_id="stop_reanalysis",
        summary="Stop analysing a set again",
        request=None,
        responses={200: model_answers.ReanalysisAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def post(self, request: Request, reanalysis: uuid.UUID) -> Response:
        """What has not begun is left alone, what has begun is finished. It cannot be taken back; safe to repeat."""
        actor = actor_of(request)
        found = selectors.reanalysis(actor, reanalysis)
        again.stop(actor, found)
        (progress,) = selectors.progress_of([selectors.reanalysis(actor, found.pk)])
        return Response(_answer(progress).as_json())


def _choice(wanted: model_answers.ReanalysisRequest) -> Choice:
    """Raises `Invalid` for a version that does not exist."""
    return reanalysis.checked(
        Choice(
            state=wanted.state,
            modality=wanted.modality or "",
            priority=wanted.priority or "",
            received_from=wanted.received_from,
            received_until=wanted.received_until,
            shown=Shown(wanted.shown),
            version=reanalysis.version_named(wanted.model or "", wanted.version or "")
            if wanted.model or wanted.version
            else None,
        )
    )


def _answer(progress: SetProgress) -> model_answers.ReanalysisAnswer:
    asked = progress.reanalysis
    return model_answers.ReanalysisAnswer(
        id=asked.pk,
        requested_at=asked.requested_at,
        requested_by=asked.requested_by.printed_name,
        site=asked.site.code if asked.site else None,
        criteria=asked.criteria,
        total=progress.total,
        waiting=progress.waiting,
        at_work=progress.at_work,
        done=progress.done,
        failed=progress.failed,
        left_out=progress.skipped,
        open=progress.is_open,
        stopped_at=asked.stopped_at,
    )
