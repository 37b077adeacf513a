from django.urls import path

from cad_platform.reading import views

urlpatterns = [
    path("worklist/", views.worklist, name="worklist"),
    path("studies/<str:uid>/", views.case, name="case"),
    path("studies/<str:uid>/live", views.case_live, name="case-live"),
    path("studies/<str:uid>/findings/<uuid:finding_id>/decision", views.decide, name="finding-decide"),
    path("studies/<str:uid>/findings/add", views.add_finding, name="finding-add"),
    path("studies/<str:uid>/analyse-again", views.reanalyse, name="study-reanalyse"),
    path("studies/<str:uid>/withdraw", views.withdraw_study, name="study-withdraw"),
]
