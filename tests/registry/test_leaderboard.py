"""The page and API of methods and models: order, filters, leaky runs, plot and table, languages, who may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.core.errors import NotPermitted
from cad_platform.registry import leaderboard
from cad_platform.registry.leaderboard import Choice
from tests import factories

pytestmark = pytest.mark.django_db
SHIPPED = json.loads((settings.BASE_DIR / leaderboard.REPRODUCTIONS).read_text())["methods"]


def figure(name: str, split: str, value: float) -> dict[str, Any]:
    return {
        "name": name, "split": split, "value": value, "low": value - 0.05, "high": value + 0.04, "images": 90,
        "groups": 60, "dataset": "busi", "meaning": "AUC, malignant against benign",
    }  # fmt: skip


@pytest.fixture
def version() -> Any:
    made = factories.model_version("ultrasound", "US", "9.1.0")
    figures = [
        figure("auc_malignant_benign", "oof", 0.95),
        figure("auc_malignant_benign", "left_out_scanner", 0.85),
    ]
    made.metrics = {"figures": [*figures, figure("reader_auc", "oof", 0.99), figure("dice", "oof", 0.7)]}
    made.save()
    return made


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


def page(browser: Client, language: str = "en", **asked: str) -> str:
    answer = browser.get(reverse("leaderboard"), asked, headers={"accept-language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def test_figures_from_elsewhere_come_first_and_the_table_says_what_the_plot_draws(
    browser: Client, version: Any
) -> None:
    entries = leaderboard.board_of(factories.actor(Role.ADMINISTRATOR), Choice()).entries
    assert [(entry.name, entry.place) for entry in entries[:2]] == [
        ("ultrasound 9.1.0", "left_out_scanner"), ("ultrasound 9.1.0", "oof"),
    ]  # fmt: skip
    drawn = page(browser)
    assert drawn.count("chart__whisker") == len(entries) == drawn.count(' r="4"></circle>')
    assert "0.850 [0.800, 0.890]" in drawn and 'role="img"' in drawn and "0.990 [" not in drawn
    assert drawn.index("0.850 [") < drawn.index("0.950 [")


def test_every_shipped_row_with_an_interval_is_there_and_leaky_ones_are_marked_and_last(
    browser: Client,
) -> None:
    for measure in leaderboard.MEASURES:
        rows = [row for row in SHIPPED if row["measure"] == measure]
        wanted = sum(
            row[field] is not None and row[field]["low"] is not None
            for row in rows
            for field in ("patient_level", "image_level_leaky")
        )
        entries = leaderboard.board_of(factories.actor(Role.ADMINISTRATOR), Choice(measure=measure)).entries
        assert len(entries) == wanted > 0
        last = [entry.is_leaky for entry in entries]
        assert last == sorted(last)
    leaky = page(browser, measure="accuracy")
    assert "leaky: images divided, not patients" in leaky and "chart__leaky" in leaky
    assert "chart__leaky" not in page(browser, measure="accuracy", leaky="no")


def test_no_two_rows_of_a_board_have_one_label(browser: Client) -> None:
    """Of one model and one set there are figures a patient, an image and against all: the plot says which is which."""
    for file in sorted((settings.BASE_DIR / "model_store").glob("*/*/metrics.json")):
        made = factories.model_version(file.parts[-3], "US", file.parts[-2], is_default=False)
        made.metrics = json.loads(file.read_text())
        made.save()
    for measure in leaderboard.MEASURES:
        board = leaderboard.board_of(factories.actor(Role.ADMINISTRATOR), Choice(measure=measure))
        assert board.plot is not None
        labels = [(row.label, row.of) for row in board.plot.rows]
        assert len(set(labels)) == len(labels), [each for each in labels if labels.count(each) > 1]
        assert max(len(of) for _, of in labels) <= 80, "what fits beside the axis"
        assert not any(label.endswith("…") for label, _ in labels)
    english, chinese = page(browser), page(browser, "zh-hans")
    for text in ("a patient, malignant against benign", "an image, malignant against all else"):
        assert english.count(text) > 2 and text not in chinese
    assert "每位患者，恶性与良性" in chinese


def test_a_figure_of_another_name_keeps_its_own_words(version: Any) -> None:
    version.metrics["figures"] = [figure("auc_cyst", "oof", 0.9) | {"meaning": "AUC, cyst against the rest"}]
    version.save()
    board = leaderboard.board_of(factories.actor(Role.ADMINISTRATOR), Choice(kind="model"))
    assert [entry.of for entry in board.entries] == ["cyst against the rest"]


def test_a_papers_number_stands_only_beside_figures_of_its_own_measure() -> None:
    told = {}
    for measure in ("auc", "accuracy"):
        board = leaderboard.board_of(factories.actor(Role.ADMINISTRATOR), Choice(measure=measure))
        told |= {entry.name: entry.paper for entry in board.entries}
    assert told["[41] maleki2023_frozen_xgboost"] == 0.936, "a rate of images is an accuracy"
    assert told["[41] maleki2023_frozen_xgboost-busbra"] is None, "and no AUC"
    assert told["[31] sudarshan2019_mil"] is None, "a rate of patients is none"


def test_what_is_chosen_is_shown_and_what_is_none_is_not_chosen(browser: Client, version: Any) -> None:
    models = page(browser, kind="model")
    assert "ultrasound 9.1.0" in models and "shu2020" not in models
    assert "ultrasound 9.1.0" not in page(browser, kind="method")
    assert "No figure fits" in page(browser, dataset="nowhere")
    assert Choice.of({"measure": "x", "kind": "x", "sort": "x", "leaky": "x"}) == Choice()
    by_value = leaderboard.board_of(
        factories.actor(Role.ADMINISTRATOR), Choice(sort="value", leaky=False)
    ).entries
    values = [entry.value for entry in by_value]
    assert values == sorted(values, reverse=True)


def test_in_chinese_nothing_but_the_laboratorys_words_is_english(browser: Client, version: Any) -> None:
    drawn = page(browser, "zh-hans", measure="accuracy")
    assert "有泄漏：按图像而非患者划分" in drawn and "准确率" in drawn and "Leaderboard" not in drawn


def test_who_does_not_see_models_sees_no_leaderboard() -> None:
    for role in (Role.RADIOLOGIST, Role.INTEGRATOR):
        with pytest.raises(NotPermitted):
            leaderboard.board_of(factories.actor(role), Choice())


def test_the_api_tells_what_the_page_shows(browser: Client, version: Any) -> None:
    address = "/api/v1/leaderboard"
    for asked in ({}, {"measure": "accuracy", "kind": "method"}, {"sort": "value", "leaky": "no"}):
        told = browser.get(address, asked).json()
        board = leaderboard.board_of(factories.actor(Role.ADMINISTRATOR), Choice.of(asked))
        assert [(each["name"], each["value"], each["leaky"]) for each in told["results"]] == [
            (entry.name, entry.value, entry.is_leaky) for entry in board.entries
        ]
        assert told["datasets"] == board.datasets and told["results"]
    first = browser.get(address).json()["results"][0]
    assert (first["name"], first["place"], first["elsewhere"], first["paper"]) == (
        "ultrasound 9.1.0", "left_out_scanner", True, None,
    )  # fmt: skip
    assert browser.get(address, {"dataset": "nowhere"}).json()["results"] == []
    for wrong in ({"measure": "auk"}, {"kind": "x"}, {"leaky": "perhaps"}, {"page": "2"}):
        assert browser.get(address, wrong).status_code == 422
    assert browser.post(address).status_code == 405


@pytest.mark.parametrize("role", Role)
def test_the_api_asks_the_right_of_the_page(role: Role) -> None:
    client = Client()
    client.force_login(factories.user(role))
    answer = client.get("/api/v1/leaderboard")
    assert answer.status_code == client.get(reverse("leaderboard")).status_code
    assert answer.status_code == (200 if role in (Role.ADMINISTRATOR, Role.CLINICAL_LEAD) else 403)
