from django.urls import path

from cad_platform.reading import annotation_views, reanalysis_views, views

urlpatterns = [
    path("worklist/", views.worklist, name="worklist"),
    path("studies/<str:uid>/", views.case, name="case"),
    path("studies/<str:uid>/live", views.case_live, name="case-live"),
    path("studies/<str:uid>/findings/<uuid:finding_id>/decision", views.decide, name="finding-decide"),
    path("studies/<str:uid>/findings/add", views.add_finding, name="finding-add"),
    path("studies/<str:uid>/analyse-again", views.reanalyse, name="study-reanalyse"),
    path("studies/<str:uid>/images/<uuid:image_id>/side", views.confirm_image_side, name="image-side"),
    path("studies/<str:uid>/view", annotation_views.keep_stage_view, name="stage-view"),
    path(
        "studies/<str:uid>/images/<uuid:image_id>/view", annotation_views.keep_image_view, name="image-view"
    ),
    path(
        "studies/<str:uid>/annotations/<uuid:annotation_id>",
        annotation_views.keep_annotation,
        name="annotation",
    ),
    path(
        "studies/<str:uid>/annotations/<uuid:annotation_id>/report",
        annotation_views.report_annotation,
        name="annotation-report",
    ),
    path("studies/<str:uid>/withdraw", views.withdraw_study, name="study-withdraw"),
    path("studies/<str:uid>/bring-back", views.bring_back_study, name="study-bring-back"),
    path("reanalyses/", reanalysis_views.reanalyses, name="reanalyses"),
    path("reanalyses/progress", reanalysis_views.progress, name="reanalyses-progress"),
    path("reanalyses/offer/<int:version_id>", reanalysis_views.offer, name="reanalyses-offer"),
    path("reanalyses/<uuid:reanalysis_id>/stop", reanalysis_views.stop, name="reanalysis-stop"),
]
