from django.urls import path

from cad_platform.registry import leaderboard_views, life_views, upload_views, views

urlpatterns = [
    path("", views.models, name="models"),
    path("register", views.register, name="models-register"),
    path("leaderboard/", leaderboard_views.figures, name="leaderboard"),
    path("<int:version_id>/", views.model, name="model"),
    path("<int:version_id>/plots/<slug:name>.svg", views.plot, name="model-plot"),
    path("upload", upload_views.upload, name="model-upload"),
    path("upload/begin", upload_views.begin, name="model-upload-begin"),
    path("upload/<uuid:upload_id>/piece", upload_views.piece, name="model-upload-piece"),
    path("upload/<uuid:upload_id>/finish", upload_views.finish, name="model-upload-finish"),
    path("routes/<int:route_id>/end", life_views.end_route, name="model-route-end"),
    path("<int:version_id>/verify", life_views.verify, name="model-verify"),
    path("<int:version_id>/approve", life_views.approve, name="model-approve"),
    path("<int:version_id>/retire", life_views.retire, name="model-retire"),
    path("<int:version_id>/routes", life_views.add_route, name="model-route-add"),
    path("<int:version_id>/roll-back", life_views.roll_back, name="model-roll-back"),
    path("<int:version_id>/default", views.make_default, name="model-make-default"),
]
