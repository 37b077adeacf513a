"""A version's life: what may follow what, who says so, and that the database holds it whatever the code does."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from cad_platform.accounts.models import KNOWN_CASES_SITE, Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.registry import lifecycle, routes, routing, switching
from cad_platform.registry.models import Approval, Comparison, ModelRoute, ModelVersion, Verification
from cad_platform.registry.routing import ROUTED_TOPIC, bucket_of, is_in_use, is_routed_job, route, shadows
from cad_platform.studies.models import Study
from tests import factories

pytestmark = pytest.mark.django_db
State, Kind = ModelVersion.State, ModelRoute.Kind
SYSTEM = Actor.system("test")
PLAN = {
    "change_class": "retrained", "modification": "300 more cases", "protocol": "AUC on the reference set",
    "impact": "fewer false marks",
}  # fmt: skip


@pytest.fixture(autouse=True)
def every_version_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a server is asked is `test_services`' subject."""
    for module in (switching, routes):
        monkeypatch.setattr(module, "prove", lambda version: None)


@pytest.fixture
def old() -> ModelVersion:
    return factories.model_version("ultrasound", "US", "2.2.0")


@pytest.fixture
def new(old: ModelVersion) -> ModelVersion:
    return version("2.2.1")


def version(number: str, state: str = State.VERIFIED) -> ModelVersion:
    found = factories.model_version("ultrasound", "US", number, is_default=False)
    ModelVersion.objects.filter(pk=found.pk).update(state=state, came_with_installation=False)
    found.refresh_from_db()
    return found


def people() -> tuple[Actor, Actor]:
    return factories.actor(Role.ADMINISTRATOR), factories.actor(Role.CLINICAL_LEAD)


def approved(one: ModelVersion) -> ModelVersion:
    first, second = people()
    lifecycle.approve(first, one, reason="better", **PLAN)
    return lifecycle.approve(second, one, reason="agreed")


def compared(one: ModelVersion, against: ModelVersion, low: float = 0.0, site: Any = None) -> None:
    Comparison.objects.create(
        version=one, against=against, site=site, positives=20, negatives=20, auc=0.9, auc_against=0.9, low=low
    )


def test_two_people_approve_and_nothing_runs_by_it(new: ModelVersion) -> None:
    administrator, lead = people()
    first = lifecycle.approve(administrator, new, reason="better", **PLAN)
    assert (first.state, first.first_approver) == (State.VERIFIED, administrator.user)
    second = lifecycle.approve(lead, new, reason="agreed")
    assert (second.state, second.second_approver) == (State.APPROVED, lead.user)
    assert Approval.objects.get(by=lead.user).modification == PLAN["modification"]
    events = AuditEvent.objects.filter(action="model.approve").order_by("pk")
    assert [event.detail["state"] for event in events] == [State.VERIFIED, State.APPROVED]
    assert new not in ModelVersion.objects.filter(is_in_use())


def test_one_person_is_not_two(new: ModelVersion) -> None:
    administrator, _ = people()
    lifecycle.approve(administrator, new, reason="better", **PLAN)
    with pytest.raises(Conflict) as caught:
        lifecycle.approve(administrator, new, reason="and again", **PLAN)
    assert caught.value.code == "same_person"
    user = administrator.user
    for harm in (
        {"second_approver": user},
        {"state": State.APPROVED},
        {"is_default": True},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            ModelVersion.objects.filter(pk=new.pk).update(**harm)


@pytest.mark.parametrize("field", ["reason", *PLAN])
def test_what_a_change_control_plan_asks_for_is_asked_for(new: ModelVersion, field: str) -> None:
    administrator, _ = people()
    with pytest.raises(Invalid) as caught:
        lifecycle.approve(
            administrator,
            new,
            **{"reason": "better", **PLAN, field: "  " if field != "change_class" else "none"},
        )
    assert [error.field for error in caught.value.errors] == [field]


@pytest.mark.parametrize("state", [State.UPLOADED, State.APPROVED, State.RETIRED])
def test_only_what_is_verified_is_approved(old: ModelVersion, state: str) -> None:
    one = version("2.2.1") if state != State.APPROVED else approved(version("2.2.1"))
    if state != State.APPROVED:
        ModelVersion.objects.filter(pk=one.pk).update(state=state)
    with pytest.raises(Conflict) as caught:
        lifecycle.approve(people()[0], one, reason="better", **PLAN)
    assert caught.value.code == "wrong_state"


@pytest.mark.parametrize("role", sorted(set(Role.values) - {Role.ADMINISTRATOR, Role.CLINICAL_LEAD}))
def test_others_approve_nothing(new: ModelVersion, role: str) -> None:
    for actor in (factories.actor(role), SYSTEM):
        with pytest.raises(NotPermitted):
            lifecycle.approve(actor, new, reason="better", **PLAN)


def test_a_lead_manages_nothing(old: ModelVersion, new: ModelVersion) -> None:
    _, lead = people()
    route_of = ModelRoute.objects.create(version=old, name="ultrasound", kind=Kind.SHADOW)
    for act in (
        lambda: lifecycle.retire(lead, new, "x"),
        lambda: switching.make_default(lead, new),
        lambda: switching.roll_back(lead, old),
        lambda: routes.set_route(lead, old, Kind.SHADOW),
        lambda: routes.end_route(lead, route_of),
    ):
        with pytest.raises(NotPermitted):
            act()


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_make_one_approved_version(new: ModelVersion) -> None:
    both = people()
    begun = threading.Barrier(2)

    def say(actor: Actor) -> None:
        try:
            begun.wait(60)
            lifecycle.approve(actor, new, reason="better", **PLAN)
        finally:
            connection.close()

    threads = [threading.Thread(target=say, args=(actor,)) for actor in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    new.refresh_from_db()
    assert new.state == State.APPROVED
    assert {new.first_approver_id, new.second_approver_id} == {actor.user.pk for actor in both}


def test_what_is_not_approved_is_not_the_default(old: ModelVersion, new: ModelVersion) -> None:
    administrator, _ = people()
    with pytest.raises(Conflict) as caught:
        switching.make_default(administrator, new)
    assert caught.value.code == "not_approved"


def test_a_version_is_promoted_when_it_is_no_worse_anywhere(old: ModelVersion, new: ModelVersion) -> None:
    sites = [factories.site(), factories.site()]
    for site in sites:
        factories.study(site, "US")
    factories.study(factories.site(), "MG")  # reads nothing of this model
    factories.study(factories.site(KNOWN_CASES_SITE), "US")  # nobody's patients
    new = approved(new)
    administrator, _ = people()

    def why() -> str:
        with pytest.raises(Conflict) as caught:
            switching.make_default(administrator, new)
        assert caught.value.code == "not_shown_equal"
        return caught.value.detail

    assert "on the reference set" in why() and all(site.name in why() for site in sites)
    compared(new, old)
    compared(new, old, site=sites[0])
    compared(new, old, low=-0.011, site=sites[1])
    assert "-0.011" in why() and sites[0].name not in why() and sites[1].name in why()
    compared(new, old, low=-0.01, site=sites[1])
    switch = switching.make_default(administrator, new)
    assert (switch.version, switch.previous) == (new, old)


def test_a_comparison_with_another_version_shows_nothing(old: ModelVersion, new: ModelVersion) -> None:
    new = approved(new)
    compared(new, version("2.0.0", State.RETIRED))
    with pytest.raises(Conflict, match=r"not compared with 2\.2\.0"):
        switching.make_default(people()[0], new)


def test_it_rolls_back_without_figures_and_ends_what_ran_beside(old: ModelVersion, new: ModelVersion) -> None:
    new = approved(new)
    administrator, _ = people()
    compared(new, old)
    routes.set_route(administrator, new, Kind.SHADOW)
    routes.set_route(administrator, new, Kind.CANARY, percent=20)
    switching.make_default(administrator, new)
    assert not ModelRoute.objects.exists()
    back = switching.roll_back(administrator, new, "it marks every lymph node")
    assert (back.version, back.previous) == (old, new)
    assert AuditEvent.objects.latest("pk").detail["reason"] == "it marks every lymph node"
    again = switching.roll_back(administrator, new)
    assert (again.version, again.previous) == (old, None), "what comes twice is done once"
    assert switching.roll_back(administrator, old).version == new


def test_without_a_predecessor_there_is_nothing_to_go_back_to(old: ModelVersion) -> None:
    with pytest.raises(Conflict, match="no version to go back to"):
        switching.roll_back(people()[0], old)


def test_a_version_in_use_is_not_retired(old: ModelVersion, new: ModelVersion) -> None:
    administrator, _ = people()
    new = approved(new)
    shadow = routes.set_route(administrator, new, Kind.SHADOW)
    for each in (old, new):
        with pytest.raises(Conflict, match="in use"):
            lifecycle.retire(administrator, each, "old")
    with pytest.raises(DatabaseError), transaction.atomic():
        ModelVersion.objects.filter(pk=new.pk).update(state=State.RETIRED)
    routes.end_route(administrator, shadow)
    assert lifecycle.retire(administrator, new, "old").state == State.RETIRED
    with pytest.raises(Conflict):
        lifecycle.retire(administrator, new, "again")
    with pytest.raises(Conflict) as caught:
        routes.set_route(administrator, new, Kind.SHADOW)
    assert caught.value.code == "not_approved"


def test_the_database_routes_only_what_is_approved(old: ModelVersion, new: ModelVersion) -> None:
    for one, name in ((new, "ultrasound"), (old, "mammography")):
        with pytest.raises(DatabaseError), transaction.atomic():
            ModelRoute.objects.create(version=one, name=name, kind=Kind.SHADOW)


@pytest.mark.parametrize(
    ("kind", "percent", "of_site"),
    [("canary", None, False), ("canary", 0, False), ("canary", 100, True), ("shadow", 5, False),
     ("default", None, False), ("best", None, False)],
)  # fmt: skip
def test_a_route_that_is_none_is_refused(
    old: ModelVersion, kind: str, percent: int | None, of_site: bool
) -> None:
    site = factories.site() if of_site else None
    with pytest.raises(Invalid):
        routes.set_route(people()[0], old, kind, site=site, percent=percent)
    if kind in Kind.values:
        with pytest.raises(DatabaseError), transaction.atomic():
            ModelRoute.objects.create(version=old, name=old.name, kind=kind, site=site, percent=percent)


@pytest.mark.django_db(transaction=True)
def test_a_version_is_not_retired_while_it_is_routed(new: ModelVersion) -> None:
    """Either comes first, and the other is refused."""
    administrator, _ = people()
    new = approved(new)
    begun, refused = threading.Barrier(2), []

    def do(act: Any) -> None:
        try:
            begun.wait(60)
            act()
        except Conflict as error:
            refused.append(error)
        finally:
            connection.close()

    acts = [
        lambda: lifecycle.retire(administrator, new, "old"),
        lambda: routes.set_route(administrator, new, Kind.SHADOW),
    ]
    threads = [threading.Thread(target=do, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 1
    new.refresh_from_db()
    assert (new.state == State.RETIRED) != ModelRoute.objects.exists()


# --- which version a study gets -------------------------------------------------------------------------


def test_canaries_are_sticky_and_python_and_sql_agree(old: ModelVersion, new: ModelVersion) -> None:
    administrator, _ = people()
    new = approved(new)
    here, there = factories.site(), factories.site()
    studies = [factories.study(site, "US") for site in (here, there) for _ in range(30)]
    same = factories.study(here, "US", patient=studies[0].patient)
    own = version("3.0.0")
    own = approved(own)
    compared(own, old)
    compared(own, old, site=there)
    routes.set_route(administrator, new, Kind.CANARY, percent=40)
    routes.set_route(administrator, own, Kind.DEFAULT, site=there)
    of: dict[Any, ModelVersion] = {}
    for study in (*studies, same):
        (of[study.pk],) = route(study)
        for each in (old, new, own):
            job = factories.succeeded_job(study, by=each)
        jobs = type(job).objects.filter(is_routed_job(), study=study)
        assert [job.model_version for job in jobs] == [of[study.pk]], "exactly one counts"
        rest = own if study.site == there else old
        assert of[study.pk] == (new if bucket_of(study, "ultrasound") < 40 else rest)
    assert of[same.pk] == of[studies[0].pk]
    drawn = sum(found == new for found in of.values())
    assert 8 < drawn < 45
    routes.set_route(administrator, new, Kind.CANARY, percent=80)
    assert all(route(study) == [new] for study in studies if of[study.pk] == new), (
        "a larger share keeps its patients"
    )


def test_a_sites_canary_comes_before_everybodys(old: ModelVersion, new: ModelVersion) -> None:
    administrator, _ = people()
    new, own = approved(new), approved(version("3.0.0"))
    here, there = factories.site(), factories.site()
    routes.set_route(administrator, new, Kind.CANARY, percent=99)
    routes.set_route(administrator, own, Kind.CANARY, site=here, percent=99)
    shown = {site: {route(factories.study(site, "US"))[0] for _ in range(20)} for site in (here, there)}
    assert new not in shown[here] and own in shown[here] and new in shown[there] and own not in shown[there]


def test_shadows_are_told_apart_from_what_is_shown(old: ModelVersion, new: ModelVersion) -> None:
    administrator, _ = people()
    new, own = approved(new), approved(version("3.0.0"))
    here, there = factories.study(factories.site(), "US"), factories.study(factories.site(), "US")
    factories.model_version("mammography")
    routes.set_route(administrator, new, Kind.SHADOW)
    routes.set_route(administrator, own, Kind.SHADOW, site=here.site)
    assert (shadows(here), shadows(there)) == ([own], [new])
    assert route(here) == route(there) == [old]
    assert shadows(factories.study(here.site, "MG")) == []
    routes.set_route(administrator, new, Kind.CANARY, percent=99)
    seen = [factories.study(there.site, "US") for _ in range(40)]
    assert any(route(study) == [new] for study in seen)
    assert all(shadows(study) == ([] if route(study) == [new] else [new]) for study in seen)


def test_each_route_is_announced_and_audited(old: ModelVersion, new: ModelVersion) -> None:
    administrator, _ = people()
    new = approved(new)
    made = routes.set_route(administrator, new, Kind.CANARY, percent=5, reason="to see it")
    routes.end_route(administrator, made, "seen")
    assert OutboxEvent.objects.filter(topic=ROUTED_TOPIC).count() == 2
    began, ended = AuditEvent.objects.filter(action__in=["model.route", "model.end_route"]).order_by("pk")
    assert (began.detail["percent"], began.detail["reason"], ended.detail["reason"]) == (
        5,
        "to see it",
        "seen",
    )


def test_without_routes_nothing_is_asked_twice(old: ModelVersion, django_assert_num_queries: Any) -> None:
    study = Study.objects.get(pk=factories.study(factories.site(), "US").pk)
    with django_assert_num_queries(2):
        route(study)


def test_who_composes_a_page_reads_the_routes_once(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        routing.shares()
        routing.shares()
    with django_assert_num_queries(1), routing.read_once():
        routing.shares()
        with routing.read_once():
            routing.shares()
    with django_assert_num_queries(1):
        routing.shares()


def test_where_a_version_stands_by_command(new: ModelVersion) -> None:
    """What the page of a version shows of its life: `bin/manage model show`."""

    def shown() -> str:
        out = io.StringIO()
        call_command("model", "show", "ultrasound", "2.2.1", stdout=out)
        return out.getvalue()

    assert shown().startswith("ultrasound 2.2.1  verified\nbefore it may replace ultrasound 2.2.0: ")
    first, second = people()
    lifecycle.approve(first, new, reason="better", **PLAN)
    new = lifecycle.approve(second, new, reason="agreed")
    routes.set_route(SYSTEM, new, Kind.CANARY, site=None, percent=10, reason="")
    said = shown()
    assert "\ncanary 10 % at every site since " in said and ": agreed; " in said, said
    assert f"approved by {first.user.printed_name} (administrator) " in said  # type: ignore[union-attr]
    assert "retrained: better; modification: 300 more cases; " in said
    Verification.objects.create(
        version=new, state="failed", checks=[{"check": "signature", "passed": False, "said": "of nobody"}]
    )
    assert ": failed\nNOT signature: of nobody\n" in shown()
    with pytest.raises(CommandError):
        call_command("model", "show", "ultrasound", "9.9.9")
