"""`/api/v1/learning/…`: consent, and versions of a site's data sets."""

from __future__ import annotations

import uuid

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import learning_answers as answers
from cad_platform.api import schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import actor_of
from cad_platform.learning import consent, trainings, versions
from cad_platform.learning.models import DatasetVersion, Training

_DATASET = OpenApiParameter("dataset", OpenApiTypes.UUID, OpenApiParameter.PATH)
_TRAINING = OpenApiParameter("training", OpenApiTypes.UUID, OpenApiParameter.PATH)
_STATE = {409: "The training's state does not allow it, or a patient has withdrawn. Nothing was changed."}
_WITHDRAWN = {409: "`withdrawn`: a patient of the version no longer consents. Nothing was begun."}
_NONE_MADE = {
    409: "`nothing_to_learn`: no signed study of a patient who consents. `unchanged`: nothing is otherwise than in the "
    "version before. Nothing was made."
}


class Consents(ApiView):
    @extend_schema(
        operation_id="record_consent",
        summary="Say whether a patient's images may be learned from",
        request=answers.ConsentRequest,
        responses={
            201: answers.ConsentAnswer,
            **schema.problems(400, 401, 403, 404, 409, 415, 422, 429, 503),
        },
    )
    def post(self, request: Request) -> Response:
        """Her latest word counts. For people at the pages, and for tokens that may post studies."""
        wanted = parse_model(answers.ConsentRequest, json_of(request))
        made = consent.say(actor_of(request), **wanted.model_dump())
        body = answers.ConsentAnswer(state=made.state, source=made.source, recorded_at=made.recorded_at)
        return Response(body.as_json(), status=201)


class Datasets(ApiView):
    @extend_schema(
        operation_id="list_datasets",
        summary="List the versions of data sets",
        responses={200: answers.DatasetList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest two hundred of the site, newest first; an administrator's of every site."""
        found = versions.versions(actor_of(request))[:200]
        return Response(answers.DatasetList(results=[_dataset(each) for each in found]).as_json())

    @extend_schema(
        operation_id="make_dataset",
        summary="Make the next version of a data set",
        request=answers.DatasetRequest,
        responses={
            201: answers.DatasetAnswer,
            **schema.problems(400, 401, 403, 409, 415, 422, 429, 503, because=_NONE_MADE),
        },
    )
    def post(self, request: Request) -> Response:
        """Of the signed studies of patients who consent now. For the clinical lead of the site."""
        actor = actor_of(request)
        versions.versions(actor)  # who may not look is told so before what was misspelt
        wanted = parse_model(answers.DatasetRequest, json_of(request))
        made = versions.make(actor, versions.site_of(actor), wanted.modality)
        return Response(_dataset(versions.version_by_id(actor, made.pk)).as_json(), status=201)


class DatasetDetail(ApiView):
    @extend_schema(
        operation_id="get_dataset",
        summary="Get one version of a data set",
        parameters=[_DATASET],
        responses={200: answers.DatasetAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, dataset: uuid.UUID) -> Response:
        return Response(_dataset(versions.version_by_id(actor_of(request), dataset)).as_json())


class DatasetTrainings(ApiView):
    @extend_schema(
        operation_id="train_on_dataset",
        summary="Have a recipe of the laboratory learn from a version",
        parameters=[_DATASET],
        request=answers.TrainingRequest,
        responses={
            202: answers.TrainingAnswer,
            **schema.problems(400, 401, 403, 404, 409, 415, 422, 429, 503, because=_WITHDRAWN),
        },
    )
    def post(self, request: Request, dataset: uuid.UUID) -> Response:
        """A worker of the queue `training` does it. Asked again while it waits or runs, it is the same. For
        administrators."""
        actor = actor_of(request)
        found = versions.version_by_id(actor, dataset)
        require(actor, "model.manage")  # who may not is told so before what was misspelt
        wanted = parse_model(answers.TrainingRequest, json_of(request))
        return Response(_training(trainings.ask(actor, found, **wanted.model_dump())).as_json(), status=202)


class Trainings(ApiView):
    @extend_schema(
        operation_id="list_trainings",
        summary="List what learned, learns or waits",
        responses={200: answers.TrainingList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest two hundred, newest first."""
        found = trainings.trainings(actor_of(request))[:200]
        return Response(answers.TrainingList(results=[_training(each) for each in found]).as_json())


class TrainingCancel(ApiView):
    @extend_schema(
        operation_id="cancel_training",
        summary="End a training",
        parameters=[_TRAINING],
        request=None,
        responses={
            200: answers.TrainingAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_STATE),
        },
    )
    def post(self, request: Request, training: uuid.UUID) -> Response:
        """What it has learned stays."""
        return Response(_training(trainings.cancel(actor_of(request), training)).as_json())


class TrainingGoOn(ApiView):
    @extend_schema(
        operation_id="resume_training",
        summary="Go on with a training that was cancelled or failed",
        parameters=[_TRAINING],
        request=None,
        responses={
            200: answers.TrainingAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_STATE),
        },
    )
    def post(self, request: Request, training: uuid.UUID) -> Response:
        """From what it has learned."""
        return Response(_training(trainings.go_on(actor_of(request), training)).as_json())


def _training(found: Training) -> answers.TrainingAnswer:
    return answers.TrainingAnswer(
        id=found.pk, dataset=found.dataset_id, recipe=found.recipe, variant=found.variant, state=found.state,
        step=found.step, progress=found.progress, said=found.said, asked_at=found.asked_at, ended_at=found.ended_at,
        model=found.candidate.name if found.candidate else None,
        version=found.candidate.version if found.candidate else None,
    )  # fmt: skip


def _dataset(version: DatasetVersion) -> answers.DatasetAnswer:
    return answers.DatasetAnswer(
        id=version.pk, site=version.site.code, modality=version.modality, number=version.number,
        made_at=version.made_at, images=version.images, patients=version.patients,
        labels=versions.labels(version), left_out=version.left_out, withdrawn=versions.withdrawn(version),
    )  # fmt: skip
