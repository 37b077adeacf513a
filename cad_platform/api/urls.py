"""Addresses of the API, its schema and its browsable documentation."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from cad_platform.api import (
    acceptances,
    docs,
    hosts,
    learning,
    model_life,
    model_versions,
    reanalyses,
    reports,
    sides,
    studies,
    watching,
)

urlpatterns = [
    path("v1/studies", studies.Studies.as_view(), name="api-studies"),
    path("v1/studies/search", studies.StudySearch.as_view(), name="api-study-search"),
    path("v1/studies/<str:uid>", studies.StudyDetail.as_view(), name="api-study"),
    path("v1/studies/<str:uid>/complete", studies.StudyComplete.as_view(), name="api-study-complete"),
    path("v1/studies/<str:uid>/bring-back", studies.StudyBringBack.as_view(), name="api-study-bring-back"),
    path("v1/studies/<str:uid>/withdraw", studies.StudyWithdraw.as_view(), name="api-study-withdraw"),
    path("v1/studies/<str:uid>/analyses", reanalyses.StudyAnalyses.as_view(), name="api-study-analyses"),
    path("v1/reanalyses", reanalyses.Reanalyses.as_view(), name="api-reanalyses"),
    path(
        "v1/reanalyses/<uuid:reanalysis>/stop",
        reanalyses.ReanalysisStop.as_view(),
        name="api-reanalysis-stop",
    ),
    path("v1/models", model_versions.Models.as_view(), name="api-models"),
    path("v1/models/register", model_versions.ModelRegistration.as_view(), name="api-models-register"),
    path("v1/models/routes", model_life.ModelRoutes.as_view(), name="api-model-routes"),
    path("v1/models/routes/<int:route>", model_life.ModelRouteDetail.as_view(), name="api-model-route"),
    path("v1/models/known-cases", model_life.KnownCases.as_view(), name="api-known-cases"),
    path("v1/models/uploads", model_life.ModelUploads.as_view(), name="api-model-uploads"),
    path("v1/models/uploads/<uuid:upload>", model_life.ModelUploadDetail.as_view(), name="api-model-upload"),
    path(
        "v1/models/uploads/<uuid:upload>/finish",
        model_life.ModelUploadFinish.as_view(),
        name="api-model-upload-finish",
    ),
    path(
        "v1/models/<str:model>/<str:version>/rollback",
        model_life.ModelRollback.as_view(),
        name="api-model-rollback",
    ),
    path("v1/models/<str:model>/<str:version>", model_versions.ModelDetail.as_view(), name="api-model"),
    path(
        "v1/models/<str:model>/<str:version>/default",
        model_versions.ModelDefault.as_view(),
        name="api-model-default",
    ),
    path("v1/models/<str:model>/<str:version>/life", model_life.ModelLife.as_view(), name="api-model-life"),
    path(
        "v1/models/<str:model>/<str:version>/verify",
        model_life.ModelVerify.as_view(),
        name="api-model-verify",
    ),
    path(
        "v1/models/<str:model>/<str:version>/approve",
        model_life.ModelApprove.as_view(),
        name="api-model-approve",
    ),
    path(
        "v1/models/<str:model>/<str:version>/retire",
        model_life.ModelRetire.as_view(),
        name="api-model-retire",
    ),
    path(
        "v1/models/<str:model>/<str:version>/routes",
        model_life.ModelVersionRoutes.as_view(),
        name="api-model-version-routes",
    ),
    path(
        "v1/models/<str:model>/<str:version>/known-cases/from-pathology",
        model_life.KnownFromPathology.as_view(),
        name="api-known-from-pathology",
    ),
    path(
        "v1/models/<str:model>/<str:version>/comparisons",
        model_life.ModelComparisons.as_view(),
        name="api-model-comparisons",
    ),
    path(
        "v1/models/<str:model>/<str:version>/agreement/<str:against>",
        model_life.ModelAgreement.as_view(),
        name="api-model-agreement",
    ),
    path("v1/watching/figures", watching.WatchingFigures.as_view(), name="api-figures"),
    path("v1/watching/drift", watching.WatchingDrift.as_view(), name="api-drift"),
    path("v1/watching/calibration", watching.WatchingCalibration.as_view(), name="api-calibration"),
    path("v1/watching/subgroups", watching.WatchingSubgroups.as_view(), name="api-subgroups"),
    path("v1/watching/alerts", watching.Alerts.as_view(), name="api-alerts"),
    path("v1/watching/alerts/<uuid:alert>", watching.AlertDetail.as_view(), name="api-alert"),
    path(
        "v1/watching/alerts/<uuid:alert>/acknowledge",
        watching.AlertAcknowledge.as_view(),
        name="api-alert-acknowledge",
    ),
    path("v1/learning/consents", learning.Consents.as_view(), name="api-consents"),
    path("v1/learning/datasets", learning.Datasets.as_view(), name="api-datasets"),
    path("v1/learning/datasets/<uuid:dataset>", learning.DatasetDetail.as_view(), name="api-dataset"),
    path(
        "v1/learning/datasets/<uuid:dataset>/trainings",
        learning.DatasetTrainings.as_view(),
        name="api-dataset-trainings",
    ),
    path("v1/learning/trainings", learning.Trainings.as_view(), name="api-trainings"),
    path(
        "v1/learning/trainings/<uuid:training>/cancel",
        learning.TrainingCancel.as_view(),
        name="api-training-cancel",
    ),
    path(
        "v1/learning/trainings/<uuid:training>/go-on",
        learning.TrainingGoOn.as_view(),
        name="api-training-go-on",
    ),
    path(
        "v1/models/<str:model>/<str:version>/acceptances",
        acceptances.ModelAcceptances.as_view(),
        name="api-model-acceptances",
    ),
    path("v1/acceptances", acceptances.Acceptances.as_view(), name="api-acceptances"),
    path(
        "v1/acceptances/<uuid:acceptance_id>", acceptances.AcceptanceDetail.as_view(), name="api-acceptance"
    ),
    path(
        "v1/acceptances/<uuid:acceptance_id>/sign",
        acceptances.AcceptanceSignature.as_view(),
        name="api-acceptance-sign",
    ),
    path(
        "v1/acceptances/<uuid:acceptance_id>/thresholds",
        acceptances.AcceptanceThresholds.as_view(),
        name="api-acceptance-thresholds",
    ),
    path("v1/hosts", hosts.Hosts.as_view(), name="api-hosts"),
    path("v1/hosts/<int:host>", hosts.HostDetail.as_view(), name="api-host"),
    path("v1/hosts/<int:host>/drain", hosts.HostDrain.as_view(), name="api-host-drain"),
    path("v1/hosts/<int:host>/resume", hosts.HostResume.as_view(), name="api-host-resume"),
    path("v1/hosts/<int:host>/versions", hosts.HostVersions.as_view(), name="api-host-versions"),
    path(
        "v1/hosts/<int:host>/versions/<str:model>/<str:version>",
        hosts.HostVersion.as_view(),
        name="api-host-version",
    ),
    path(
        "v1/hosts/<int:host>/versions/<str:model>/<str:version>/scale",
        hosts.HostVersionScale.as_view(),
        name="api-host-version-scale",
    ),
    path(
        "v1/hosts/<int:host>/versions/<str:model>/<str:version>/default",
        hosts.HostVersionDefault.as_view(),
        name="api-host-version-default",
    ),
    path(
        "v1/hosts/<int:host>/versions/<str:model>/<str:version>/restart",
        hosts.HostVersionRestart.as_view(),
        name="api-host-version-restart",
    ),
    path("v1/reports/<uuid:report>/pdf", reports.ReportPdf.as_view(), name="api-report-pdf"),
    path("v1/images/<uuid:image>/side", sides.ImageSide.as_view(), name="api-image-side"),
    path("v1/", include("cad_platform.api.image_urls")),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", docs.Docs.as_view(), name="api-docs"),
    re_path(r"^.*$", studies.NoSuchAddress.as_view()),
]
