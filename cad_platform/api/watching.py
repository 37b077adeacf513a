"""`/api/v1/watching/…`: what the pages of that name show of the models' work. For administrators."""

from __future__ import annotations

import math
import uuid
from typing import Any, cast

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import schema
from cad_platform.api import watching_answers as answers
from cad_platform.api.filters import json_of, once_each, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.quality import charts, pages, selectors, services
from cad_platform.quality.counting import PHASES
from cad_platform.quality.measures import auc_of
from cad_platform.quality.models import Alert, AlertRule, Measure

_CHOICE = [
    OpenApiParameter("model", str, required=True, description="The model's name, such as ultrasound"),
    OpenApiParameter("version", str, required=True, description="Such as 2.2.0"),
    OpenApiParameter("site", str, description="A site's code; every site if left out"),
    OpenApiParameter("days", int, enum=selectors.PERIODS, description="7 if left out"),
]
_ALERT = OpenApiParameter("alert", OpenApiTypes.UUID, OpenApiParameter.PATH)
_REFUSALS = schema.problems(401, 403, 404, 422, 429, 503)


class WatchingFigures(ApiView):
    @extend_schema(
        operation_id="get_figures",
        summary="Get figures of a version's work",
        parameters=_CHOICE,
        responses={200: answers.FiguresAnswer, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        """Added up from what is counted by the hour."""
        actor, choice = _chosen(request)
        counts = selectors.totals(actor, choice)
        body = answers.FiguresAnswer(
            choice=_choice(choice),
            ended=counts.ended,
            states=dict(counts.states),
            failures=dict(counts.failures),
            refusals=dict(counts.refusals),
            flags=dict(counts.flags),
            verdicts=counts.verdicts,
            scores=counts.scores,
            latencies=[
                answers.LatencyAnswer(
                    phase=phase,
                    median_seconds=_finite(counts.quantile(phase, 0.5)),
                    p95_seconds=_finite(counts.quantile(phase, 0.95)),
                )
                for phase in PHASES
                if counts.quantile(phase, 0.5) is not None
            ],
            signed=counts.signed,
            decisions=dict(counts.decisions),
            compared=counts.compared,
            contradicted=counts.contradicted,
            periods=[
                answers.PeriodAnswer(
                    begins=begins, ended=each.ended, verdicts=each.verdicts, signed=each.signed
                )
                for begins, each in selectors.by_time(actor, choice)
            ],
        )
        return Response(body.as_json())


class WatchingDrift(ApiView):
    @extend_schema(
        operation_id="get_drift",
        summary="Get how far scores and devices' images have moved",
        parameters=_CHOICE,
        responses={200: answers.DriftAnswer, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        """The latest scores of each site against its first, and the latest shift test of each device."""
        actor, choice = _chosen(request)
        sites = [
            answers.SiteDriftAnswer(
                site=site.code,
                population_stability_index=found.value if found else None,
                kolmogorov_smirnov=float(found.evidence["ks"]) if found else None,
                cases=int(found.evidence["cases"]) if found else None,
            )
            for site, found in selectors.drifts(actor, choice)
        ]
        devices = [
            answers.DeviceAnswer(
                site=test.site.code, device=test.device, tested_at=test.tested_at, images=test.images,
                differs_in=test.named,
            )
            for test in selectors.device_tests(actor, choice)
        ]  # fmt: skip
        return Response(answers.DriftAnswer(choice=_choice(choice), sites=sites, devices=devices).as_json())


class WatchingCalibration(ApiView):
    @extend_schema(
        operation_id="get_calibration",
        summary="Get what became of a version's probabilities",
        parameters=_CHOICE,
        responses={200: answers.CalibrationAnswer, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        actor, choice = _chosen(request)
        cases = selectors.cases(actor, choice)
        body = answers.CalibrationAnswer(
            choice=_choice(choice),
            judged=len(cases),
            auc=_auc(auc_of(cases) if cases else None),
            tenths=[
                answers.TenthAnswer(
                    cases=each.cases,
                    range=each.label,
                    expected_percent=each.expected,
                    found_percent=each.found,
                )
                for each in charts.tenths(cases)
            ],
        )
        return Response(body.as_json())


class WatchingSubgroups(ApiView):
    @extend_schema(
        operation_id="list_subgroups",
        summary="List a version's figures by age, vendor, device, density and side",
        parameters=_CHOICE,
        responses={200: answers.SubgroupList, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        actor, choice = _chosen(request)
        found = [
            answers.SubgroupAnswer(
                group=cast(Any, each.name), value=each.value, verdicts=each.cases, positive=each.positive,
                judged=each.judged, auc=_auc(each.auc),
            )
            for each in selectors.groups(actor, choice)
        ]  # fmt: skip
        return Response(answers.SubgroupList(choice=_choice(choice), results=found).as_json())


class Alerts(ApiView):
    @extend_schema(
        operation_id="list_alerts",
        summary="List alerts",
        parameters=[
            OpenApiParameter(
                "standing", bool, description="Only those that go on, or only others; both if left out"
            )
        ],
        responses={200: answers.AlertList, **schema.problems(401, 403, 422, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest two hundred, newest first."""
        actor = actor_of(request)
        wanted = parse_model(answers.AlertFilters, once_each(_query(request)))
        found = selectors.alerts(actor, standing=wanted.standing)[:200]
        return Response(answers.AlertList(results=[_alert(each) for each in found]).as_json())


class AlertDetail(ApiView):
    @extend_schema(
        operation_id="get_alert",
        summary="Get an alert",
        parameters=[_ALERT],
        responses={200: answers.AlertAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, alert: uuid.UUID) -> Response:
        return Response(_alert(selectors.alert(actor_of(request), alert)).as_json())


class AlertAcknowledge(ApiView):
    @extend_schema(
        operation_id="acknowledge_alert",
        summary="Take an alert on, or change its note",
        parameters=[_ALERT],
        request=answers.AcknowledgeRequest,
        responses={200: answers.AlertAnswer, **schema.problems(400, 401, 403, 404, 415, 422, 429, 503)},
    )
    def post(self, request: Request, alert: uuid.UUID) -> Response:
        """It goes on until what was measured is within the threshold again. Safe to repeat; the body may be left
        out."""
        actor = actor_of(request)
        found = selectors.alert(actor, alert)
        wanted = parse_model(answers.AcknowledgeRequest, json_of(request))
        services.acknowledge(actor, found.pk, wanted.note)
        return Response(_alert(selectors.alert(actor, alert)).as_json())


class Rules(ApiView):
    @extend_schema(
        operation_id="list_alert_rules",
        summary="List the rules that raise alerts",
        responses={200: answers.RuleList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        found = selectors.rules(actor_of(request))
        return Response(answers.RuleList(results=[_rule(each) for each in found]).as_json())


class RuleDetail(ApiView):
    @extend_schema(
        operation_id="change_alert_rule",
        summary="Say from which value on whom a rule tells",
        parameters=[OpenApiParameter("measure", str, OpenApiParameter.PATH, enum=Measure.values)],
        request=answers.RuleRequest,
        responses={200: answers.RuleAnswer, **schema.problems(400, 401, 403, 404, 415, 422, 429, 503)},
    )
    def put(self, request: Request, measure: str) -> Response:
        """Safe to repeat."""
        actor = actor_of(request)
        require(actor, "quality.manage")  # who may not is told so before what was misspelt
        wanted = parse_model(answers.RuleRequest, json_of(request))
        made = services.change_rule(
            actor, measure, threshold=wanted.threshold, owner=selectors.owner_named(actor, wanted.owner),
            is_on=wanted.watched,
        )  # fmt: skip
        return Response(_rule(made).as_json())


def _query(request: Request) -> QueryDict:
    return request.query_params


def _chosen(request: Request) -> tuple[Actor, selectors.Choice]:
    actor = actor_of(request)
    selectors.versions(actor)  # who may not look is told so before what was misspelt
    wanted = parse_model(answers.WatchingFilters, once_each(_query(request)))
    return actor, selectors.chosen(actor, **wanted.model_dump())


def _choice(choice: selectors.Choice) -> answers.ChoiceAnswer:
    assert choice.version is not None
    return answers.ChoiceAnswer(
        model=choice.version.name, version=choice.version.version,
        site=choice.site.code if choice.site else None, days=cast(answers.Days, choice.days),
    )  # fmt: skip


def _finite(edge: float | None) -> float | None:
    return edge if edge is not None and math.isfinite(edge) else None


def _auc(found: tuple[float, float, float] | None) -> answers.AucAnswer | None:
    if found is None or not all(map(math.isfinite, found)):
        return None
    return answers.AucAnswer(value=found[0], low=found[1], high=found[2])


def _alert(alert: Alert) -> answers.AlertAnswer:
    return answers.AlertAnswer(
        id=alert.pk, measure=alert.rule.measure, model=alert.model_version.name, version=alert.model_version.version,
        site=alert.site.code if alert.site else None, device=alert.device, value=alert.value,
        threshold=alert.threshold, evidence=alert.evidence, raised_at=alert.raised_at, seen_at=alert.seen_at,
        ended_at=alert.ended_at, acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by.printed_name if alert.acknowledged_by else None, note=alert.note,
    )  # fmt: skip


def _rule(rule: AlertRule) -> answers.RuleAnswer:
    return answers.RuleAnswer(
        measure=rule.measure, threshold=rule.threshold, unit=str(pages.UNITS[Measure(rule.measure)]),
        owner=rule.owner.username if rule.owner else None, watched=rule.is_on,
    )  # fmt: skip
