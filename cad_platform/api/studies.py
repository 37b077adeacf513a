"""`/api/v1/studies`: hospitals post studies and read what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cad_platform.accounts.models import ApiToken
from cad_platform.accounts.rules import require
from cad_platform.api import answers, composition, entity_tags, schema
from cad_platform.api.authentication import BearerTokenAuthentication
from cad_platform.api.composed import ANSWERS, Composed
from cad_platform.api.filters import StudyPages, json_of, parse_filters, parse_model
from cad_platform.api.idempotency import Key
from cad_platform.api.uploads import received_parts
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import Invalid, PlatformError
from cad_platform.core.numbers import whole_number
from cad_platform.core.problem_details import as_problem
from cad_platform.patients.services import issuers_at
from cad_platform.reading import services as reading
from cad_platform.reporting.revision import Revision, revision_of
from cad_platform.studies import selectors, services
from cad_platform.studies.models import Study
from cad_platform.studies.post import parse_study_part

#: Bodies longer than this may take long to arrive: no database connection waits for them.
_SHORT_BODY = 1024 * 1024


class ApiView(APIView):
    """What every address of the API has in common."""

    parser_classes = [JSONParser]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers name patients: no cache on the way keeps them."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("Cache-Control", "no-store")
        return response


class Studies(ApiView):
    def get_authenticators(self) -> list[BaseAuthentication]:
        """Posts come from systems with tokens; a session's CSRF check would read the body before its time."""
        if self.request is not None and self.request.method == "POST":  # None while the schema is made
            return [BearerTokenAuthentication()]
        return super().get_authenticators()

    @extend_schema(
        operation_id="post_study",
        summary="Post a study",
        request=schema.POST_REQUEST,
        parameters=[schema.IDEMPOTENCY_KEY],
        responses={
            201: answers.ReceiptAnswer,
            200: answers.ReceiptAnswer,
            **schema.problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503, 507),
        },
        examples=schema.POST_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """One part `study` (JSON, may be left out where DICOM headers say everything) and any number of parts
        `files`: DICOM Part 10, PNG, JPEG, TIFF, PGM or a whole-slide file. Each file is answered by itself in `files`;
        what is no image here (reports, presentation states, other modalities) is kept aside.

        201: something new was stored. 200: nothing was new. A study may come in several posts: those of one study UID
        add to each other. What the study part says overrides the headers; where it says something else than is stored,
        it must say that it is a `correction`."""
        actor = actor_of(request)
        require(actor, "study.receive")
        _let_go_of_the_database(request._request)
        with received_parts(request._request) as parts:
            key = request.headers.get("Idempotency-Key")
            if key is None:
                receipt = services.receive(actor, parse_study_part(parts.study), parts.files)
                return self._answer(request, actor, receipt)
            held = Key.of(cast(ApiToken, request.auth), key, parts.study, parts.files)
            with held.held():
                if (first := held.first_answer()) is not None:
                    return _repeat(first.status, first.body)
                return self._first_time(request, actor, held, parts)

    def _first_time(self, request: Request, actor: Actor, key: Key, parts: Any) -> Response:
        """Carry it out, and keep the answer: with the study if there is one, by itself if it was refused.

        The answer is made once: what a repeated request gets is what this one got, whatever the study's state
        becomes in between."""
        answers_made: list[Response] = []

        def keep(receipt: services.Receipt) -> None:
            answer = self._answer(request, actor, receipt)
            key.remember(answer.status_code, answer.data)
            answers_made.append(answer)

        try:
            services.receive(actor, parse_study_part(parts.study), parts.files, note=keep)
        except PlatformError as refusal:
            if refusal.status < 500:
                key.remember(refusal.status, as_problem(refusal, getattr(request, "request_id", None)))
            raise
        return answers_made[0]

    @staticmethod
    def _answer(request: Request, actor: Actor, receipt: services.Receipt) -> Response:
        body = composition.receipt(request, actor, receipt)
        return Response(
            body.as_json(),
            status=201 if receipt.stored_something else 200,
            headers={"Location": body.url},
        )

    @extend_schema(
        operation_id="list_studies",
        summary="List studies",
        parameters=schema.LIST_PARAMETERS,
        responses={200: answers.StudyPage, **schema.problems(400, 401, 403, 422, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """Newest first. A patient is looked for by `POST /studies/search`: no address names one."""
        actor = actor_of(request)
        found = _filtered(actor, request)
        return _page(self, request, actor, found)


class StudySearch(ApiView):
    @extend_schema(
        operation_id="search_studies",
        summary="Search studies by patient",
        parameters=schema.LIST_PARAMETERS,
        request=answers.SearchRequest,
        responses={200: answers.StudyPage, **schema.problems(400, 401, 403, 422, 429, 503)},
        examples=[
            OpenApiExample("By patient id", value={"patient_id": "P-1001"}, request_only=True),
            OpenApiExample("By name", value={"name": "Example Anna"}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """The list's filters, and the patient in the body. `next` is where to post the same body to."""
        actor = actor_of(request)
        wanted = parse_model(answers.SearchRequest, json_of(request))
        found = selectors.of_patient(
            _filtered(actor, request),
            patient_id=wanted.patient_id or "",
            issuers=None if wanted.issuer is None else issuers_at(cast(int, actor.site_id), wanted.issuer),
            name=wanted.name or "",
            birth_date=wanted.birth_date,
        )
        fields = sorted(wanted.model_dump(exclude_none=True))
        if not {"patient_id", "name", "birth_date"} & set(fields):
            raise Invalid("Say whom to look for: patient_id, name or birth_date.")
        return _page(self, request, actor, found, searched_by=fields)


class StudyDetail(ApiView):
    @extend_schema(
        operation_id="get_study",
        summary="Get everything about a study",
        parameters=[schema.STUDY_UID, schema.IF_NONE_MATCH],
        responses={
            200: answers.StudyAnswer,
            304: OpenApiResponse(description="Nothing has changed since the answer with that `ETag`"),
            **schema.problems(401, 403, 404, 429, 503),
        },
    )
    def get(self, request: Request, uid: str) -> HttpResponseBase:
        """Images with their addresses, the models' jobs and results, findings with what readers decided, and
        signed reports. `analysed` means that every job has ended, failed ones included.

        While polling, send the last answer's `ETag` as `If-None-Match`: 304 as long as nothing has changed."""
        actor = actor_of(request)
        with transaction.atomic():
            study = selectors.study_by_uid(actor, uid)
            composition.require_reading(actor, study)
            # Before the answer: what changes in between is told by the next one.
            revision = revision_of(study)
            tag = entity_tags.entity_tag(request, actor, revision)
            if entity_tags.is_known(request, tag):
                # It discloses nothing that the audited answer with this tag did not.
                return Response(status=304, headers={"ETag": tag})
            answer = ANSWERS.get(tag, lambda: _composed(request, actor, study, revision))
            reading.show_study(actor, study, answer.jobs, findings=answer.findings)
        return HttpResponse(answer.body, content_type="application/json", headers={"ETag": tag})


def _composed(request: Request, actor: Actor, study: Study, revision: Revision) -> Composed:
    answer = composition.compose(request, actor, study, revision)
    shown = {str(job.id): str(job.state) for job in answer.jobs if job.current}
    return Composed(JSONRenderer().render(answer.as_json()), shown, len(answer.findings))


class StudyComplete(ApiView):
    @extend_schema(
        operation_id="complete_study",
        summary="Say that a study is complete",
        parameters=[schema.STUDY_UID],
        request=None,
        responses={200: answers.StudySummary, **schema.problems(401, 403, 404, 409, 429, 503)},
    )
    def post(self, request: Request, uid: str) -> Response:
        """Nothing more of it comes, and it is analysed now. Otherwise a study that was posted with `"complete": false`,
        or to which something was added, is complete when nothing has come for a while."""
        actor = actor_of(request)
        with transaction.atomic():
            study = services.complete(actor, selectors.study_to_complete(actor, uid))
            (body,) = composition.summaries(request, [study])
        return Response(body.as_json())


class StudyBringBack(ApiView):
    @extend_schema(
        operation_id="bring_back_study",
        summary="Bring a withdrawn study back",
        parameters=[schema.STUDY_UID],
        request=answers.WithdrawRequest,
        responses={200: answers.StudyAnswer, **schema.problems(400, 401, 403, 404, 409, 422, 429, 503)},
    )
    def post(self, request: Request, uid: str) -> Response:
        """For clinicians with a session. It counts again, as a new version; posting its files again does the same."""
        return _withdrawal(request, uid, services.bring_back)


class StudyWithdraw(ApiView):
    @extend_schema(
        operation_id="withdraw_study",
        summary="Withdraw a study",
        parameters=[schema.STUDY_UID],
        request=answers.WithdrawRequest,
        responses={200: answers.StudyAnswer, **schema.problems(400, 401, 403, 404, 409, 422, 429, 503)},
    )
    def post(self, request: Request, uid: str) -> Response:
        """For clinicians with a session. Nothing is deleted; the images may be posted for another patient."""
        return _withdrawal(request, uid, services.withdraw)


class NoSuchAddress(ApiView):
    """Unknown addresses under /api/ get problem details too, and only for those who may ask."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        from django.http import Http404

        raise Http404

    post = put = patch = delete = get


def _withdrawal(request: Request, uid: str, act: Callable[[Actor, Study, str], Study]) -> Response:
    """Withdraw a study, or take that back: who may do the one may do the other, and gives a reason."""
    actor = actor_of(request)
    study = selectors.study_by_uid(actor, uid)
    require(actor, "study.withdraw", study)
    reason = parse_model(answers.WithdrawRequest, json_of(request)).reason
    with transaction.atomic():
        body = composition.compose(request, actor, act(actor, study, reason))
    return Response(body.as_json())


def _let_go_of_the_database(request: HttpRequest) -> None:
    """While a long body arrives, its connection serves others; the next query takes one again."""
    length = whole_number(request.META.get("CONTENT_LENGTH", ""))
    if (length is None or length > _SHORT_BODY) and not connection.in_atomic_block:
        connection.close()


def _repeat(status: int, body: dict[str, Any]) -> Response:
    """The first answer to an Idempotency-Key, again."""
    response = Response(body, status=status, headers={"Idempotency-Replayed": "true"})
    if status >= 400:
        response.content_type = "application/problem+json"
    elif "url" in body:
        response["Location"] = body["url"]
    return response


def _filtered(actor: Actor, request: Request) -> QuerySet[Study]:
    filters = parse_filters(request.query_params)
    found = selectors.matching(
        selectors.studies_for(actor),
        modality=filters.modality,
        priority=filters.priority,
        accession_number=filters.accession_number,
        received_after=filters.received_after,
        received_before=filters.received_before,
        withdrawn=filters.withdrawn,
    )
    return composition.of_state(found, filters.state) if filters.state else found


def _page(
    view: APIView,
    request: Request,
    actor: Actor,
    found: QuerySet[Study],
    searched_by: Sequence[str] = (),
) -> Response:
    pages = StudyPages()
    with transaction.atomic():
        listed = pages.paginate_queryset(found, request, view=view)
        page = answers.StudyPage(
            next=pages.get_next_link(),
            previous=pages.get_previous_link(),
            results=composition.summaries(request, listed or []),
        )
        reading.show_studies(actor, listed or [], searched_by=searched_by)
    return Response(page.as_json())
