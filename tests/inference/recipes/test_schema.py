"""What a recipe may say, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.blocks import registry
from inference.recipes.recipe_file import CONDITIONS, TOLD, find, known, load, overlay, read, read_file
from inference.recipes.schema import Recipe, RecipeError

REVIEW = known()
TOY: dict[str, Any] = {
    "id": "toy",
    "reference": 61,
    "title": "A toy",
    "task": {"classes": ["benign", "malignant"], "positive": "malignant"},
    "data": {"dataset": "busi", "size": [32, 32]},
    "streams": [{"features": ["intensity"]}],
    "head": "logistic_regression",
    "expect": {"measure": "auc"},
}


def written(folder: Path, content: dict[str, Any]) -> str:
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def refused(folder: Path, **changes: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        load(written(folder, {**TOY, **changes}))
    return str(caught.value)


def test_the_eight_recipes_of_the_review_that_differ_most_are_here() -> None:
    recipes = [load(name) for name in REVIEW]
    assert all(isinstance(recipe, Recipe) for recipe in recipes)
    assert {r.reference for r in recipes if isinstance(r, Recipe)} >= {20, 27, 31, 41, 51, 56, 57, 60}


@pytest.mark.parametrize("name", REVIEW)
def test_every_variant_of_a_recipe_is_valid_and_has_a_hash_of_its_own(name: str) -> None:
    variants = read_file(find(name)).variants
    hashes = {load(name).hash, *(load(name, (variant,)).hash for variant in variants)}
    assert len(hashes) == len(variants) + 1


@pytest.mark.parametrize("name", REVIEW)
def test_quick_and_port_declare_what_they_substitute(name: str) -> None:
    plain = load(name)
    assert isinstance(plain, Recipe)
    for variant in ("quick", "port"):
        changed = load(name, (variant,))
        assert isinstance(changed, Recipe)
        assert len(changed.substitutions) > len(plain.substitutions)
        assert set(plain.substitutions) <= set(changed.substitutions)


def test_the_hash_does_not_depend_on_order_or_defaults_but_on_every_value(tmp_path: Path) -> None:
    first = load(written(tmp_path, TOY)).hash
    assert load(written(tmp_path, dict(reversed(TOY.items())))).hash == first
    assert load(written(tmp_path, {**TOY, "calibrate": False})).hash == first
    assert load(written(tmp_path, {**TOY, "data": {"dataset": "busi", "size": [32, 33]}})).hash != first


def test_an_unknown_key_is_named_with_its_file(tmp_path: Path) -> None:
    assert "toy.yaml: data.sise" in refused(tmp_path, data={"dataset": "busi", "size": [32, 32], "sise": 3})


def test_an_unknown_block_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    sentence = refused(tmp_path, head="svn")
    assert "toy.yaml: head: no head block 'svn'" in sentence and "svm" in sentence


def test_a_parameter_that_a_block_does_not_take_is_named(tmp_path: Path) -> None:
    assert "head: svm takes no 'D'; it takes: C" in refused(tmp_path, head={"svm": {"D": 1}})


def test_a_parameter_of_a_wrong_type_is_named(tmp_path: Path) -> None:
    sentence = refused(tmp_path, head={"gradient_boosting": {"trees": "many"}})
    assert "head: gradient_boosting: trees" in sentence and "'many'" in sentence


def test_a_missing_parameter_is_named(tmp_path: Path) -> None:
    assert "preprocess.0: resize needs 'size'" in refused(tmp_path, preprocess=["resize"])


def test_blocks_within_blocks_are_checked_too(tmp_path: Path) -> None:
    network = {"classifier": {"backbone": {"effnet_lite0": {"wheights": "imagenet"}}}}
    sentence = refused(tmp_path, streams=[{"network": network}], head=None)
    assert "streams.0.network: classifier: backbone: effnet_lite0 takes no 'wheights'" in sentence


def test_a_key_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("id: a\nid: b\n")
    with pytest.raises(RecipeError, match=r"twice\.yaml.*id stands there twice"):
        load(str(path))


@pytest.mark.parametrize(
    "text",
    [
        "? [a, b]\n: 1\n", "? {a: b}\n: 1\n", "id: 2001-99-99\n", f"id: {'9' * 5000}\n", "a: " + "[" * 3000 + "\n",
        "a: [\n", "- a\n", "", "a: !!python/object/apply:os.system ['true']\n", "a: \0\n", "<<: 3\n", "a: &b [*b]\n",
        "variants: {quick: 3}\n", "variants: {quick: null}\n", "variants: [quick]\n",
    ],
)  # fmt: skip
def test_yaml_that_is_no_recipe_is_a_sentence_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"^toy\.yaml") as caught:
        load(str(path))
    assert len(str(caught.value)) < 1000


def test_a_recipe_in_another_code_than_utf8_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_bytes("title: 乳腺".encode("gb18030"))
    with pytest.raises(RecipeError, match=r"^toy\.yaml"):
        load(str(tmp_path / "toy.yaml"))


@pytest.mark.parametrize("said", ["one sentence", 3, {"a": "b"}])
def test_substitutions_of_a_variant_are_a_list_of_sentences(tmp_path: Path, said: Any) -> None:
    path = written(tmp_path, {**TOY, "variants": {"own": {"substitutions": said}}})
    with pytest.raises(RecipeError, match=r"variants\.own\.substitutions: a list of sentences"):
        load(path, ("own",))


@pytest.mark.parametrize("size", [[1_000_000, 1_000_000], [1, 100_000_000], [8001, 8000]])
def test_no_image_is_larger_than_memory(tmp_path: Path, size: list[int]) -> None:
    said = refused(tmp_path, data={"dataset": "busi", "size": size})
    assert said.startswith("toy.yaml: data.size") and "64 million pixels" in said


def test_a_positive_class_must_be_a_class(tmp_path: Path) -> None:
    assert "toy.yaml: task: positive" in refused(
        tmp_path, task={"classes": ["benign", "malignant"], "positive": "cancer"}
    )


def test_selection_without_a_head_and_a_stream_of_two_minds_are_refused(tmp_path: Path) -> None:
    assert "head" in refused(tmp_path, head=None, select=["none"])
    both = {"features": ["intensity"], "network": "bhcnet"}
    assert "either features or a network" in refused(tmp_path, streams=[both])
    region = {"segment": "otsu", "network": "bhcnet"}
    assert "resize: a region has a size of its own" in refused(tmp_path, streams=[region])


def test_an_unknown_recipe_or_variant_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="maleki2023_frozen_xgboost"):
        load("maleki")
    with pytest.raises(RecipeError, match="there is no 'fast'"):
        load("maleki2023_frozen_xgboost", ("fast",))


@pytest.mark.parametrize(
    ("recipe", "asked", "aggregate"),
    [
        ("sudarshan2019_mil", ("mi_svm_bag", "port"), {"mi_svm_bag": {}}),
        ("sudarshan2019_mil", ("port", "citation_knn"), {"citation_knn": {}}),
        ("sudarshan2019_mil", ("quick", "mi_svm"), {"mi_svm": {}}),
        ("sudarshan2019_mil", ("port",), {"non_parametric": {"positive": "idc"}}),
        ("sudarshan2019_mil", ("port", "quick"), {"non_parametric": {"positive": "idc", "neighbours": 3}}),
    ],
)
def test_no_condition_undoes_the_method_that_was_asked_for(
    recipe: str, asked: tuple[str, ...], aggregate: dict[str, Any]
) -> None:
    content = read(find(recipe), asked)
    assert content["streams"][0]["aggregate"] == aggregate
    assert content["data"]["dataset"] == ("idc" if "port" in asked else "breakhis")
    assert content["streams"][0]["patches"]["size"] in (25, 32)


def test_a_condition_still_sets_the_numbers_of_a_methods_block() -> None:
    content = read(find("baccouche2021_connected_unets"), ("quick", "whole"))
    assert content["streams"][0]["network"] == {
        "connected_unets": {"width": 4, "depth": 2, "variant": "plain"}
    }
    assert content["data"]["roi"] == "none" and content["data"]["size"] == [32, 32]


def test_no_condition_switches_on_what_a_method_switches_off() -> None:
    for asked in (("untaught", "quick"), ("untaught", "port"), ("quick", "untaught")):
        head = read(find("hirra2021_deep_belief"), asked)["head"]["deep_belief"]
        assert head["pretraining"] == 0, asked
    quick = read(find("hirra2021_deep_belief"), ("quick",))["head"]["deep_belief"]
    assert quick == {"hidden": [16, 8], "pretraining": 5, "epochs": 20}


@pytest.mark.parametrize(
    ("recipe", "asked", "key"),
    [
        (
            "sudarshan2019_mil",
            ("mi_svm", "citation_knn"),
            r"mi_svm and citation_knn differ in streams\.0\.aggregate",
        ),
        ("sudarshan2019_mil", ("mi_svm", "port", "mi_svm_bag"), "mi_svm and mi_svm_bag differ in"),
        ("baccouche2021_connected_unets", ("attention", "residual"), "attention and residual differ in"),
    ],
)
def test_two_methods_that_undo_each_other_are_not_run_under_both_names(
    recipe: str, asked: tuple[str, ...], key: str
) -> None:
    with pytest.raises(RecipeError, match=key):
        load(recipe, asked)


#: Of these methods the words of `port` hold as they are: they say nothing of what the method sets instead.
_UNTOUCHED = {
    ("matos2019_double_transfer", "own_labels"),
    *(("sudarshan2019_mil", name) for name in ("mi_svm", "mi_svm_bag", "citation_knn", "apr", "em_dd")),
}


@pytest.mark.parametrize("recipe", known())
def test_a_method_that_leaves_a_part_of_the_port_says_what_the_port_is_then(recipe: str) -> None:
    written = read_file(find(recipe))
    port = written.variants["port"]
    for method, part in written.variants.items():
        if method in (*CONDITIONS, "ablated"):
            continue
        try:
            laid = written.laid((method, "port"))
        except RecipeError:
            continue  # the port asks its own data something else
        whole = overlay(overlay(written.content, part, recipe), port, recipe)
        same = all(laid.get(key) == whole.get(key) for key in whole if key not in ("substitutions", TOLD))
        told = part.get(TOLD, {}).get("port")
        assert same or told or (recipe, method) in _UNTOUCHED, (recipe, method)
        if told:
            assert laid["substitutions"][-len(told) :] == told
            assert not set(port["substitutions"]) - set(told) & set(laid["substitutions"])


def test_what_a_run_substitutes_is_what_holds_for_it() -> None:
    busbra = load("figure2_classic_random_forest", ("busbra", "port"))
    assert not any("all of BUSI" in words for words in busbra.substitutions)
    assert any("all 1,372 images of BUS-BRA" in words for words in busbra.substitutions)
    assert any(
        "all of BUSI" in words for words in load("figure2_classic_random_forest", ("port",)).substitutions
    )


@pytest.mark.parametrize("told", ["all", {"port": "all"}, {"port": []}, {"elsewhere": ["all"]}])
def test_what_a_condition_substitutes_beside_a_method_is_a_list(tmp_path: Path, told: object) -> None:
    sentence = refused(tmp_path, variants={"method": {"substitutions_in": told}})
    assert "variants.method.substitutions_in: what port or quick substitutes" in sentence


@pytest.mark.parametrize(
    ("recipe", "asked", "backbone"),
    [
        ("saber2021_vgg16", ("vgg19", "port"), {"vgg19": {}}),
        ("xie2019_inception_resnet", ("inception_v3", "quick"), {"inception_v3": {}}),
        ("salama2020_features_svm", ("vgg16", "port"), {"vgg16": {}}),
    ],
)
def test_no_condition_undoes_a_backbone_inside_a_network(
    recipe: str, asked: tuple[str, ...], backbone: dict[str, Any]
) -> None:
    network = read(find(recipe), asked)["streams"][0]["network"]
    assert network["classifier"]["backbone"] == backbone


@pytest.mark.parametrize(
    ("recipe", "asked", "lost"),
    [
        ("jiang2019_bhcnet", ("x100", "port"), r"data\.where\.magnification of x100"),
        ("maleki2023_frozen_xgboost", ("port", "quick", "x400"), r"data\.where\.magnification of x400"),
        ("jiang2019_bhcnet", ("eight", "port"), r"task\.classes of eight"),
        ("kausar2019_hwdcnn", ("breakhis", "port"), r"task\.classes of breakhis"),
    ],
)
def test_a_question_that_the_data_at_hand_cannot_answer_is_refused(
    recipe: str, asked: tuple[str, ...], lost: str
) -> None:
    with pytest.raises(
        RecipeError, match=rf"port asks its own data something else, and {lost} would be lost"
    ):
        load(recipe, asked)
    assert load(recipe, tuple(name for name in asked if name != "port"))


def test_a_point_that_the_data_at_hand_do_not_have_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "swept.yaml"
    file.write_text(
        "extends: jiang2019_bhcnet\nid: swept\nsweep:\n  magnification:\n"
        '    x40: {data.where.magnification: "40"}\n    x100: {data.where.magnification: "100"}\n'
        "variants:\n  port: {data: {dataset: idc, where: {}}}\n"
    )
    assert load(str(file), point="x100").data.where == {"magnification": "100"}
    with pytest.raises(RecipeError, match=r"data\.where\.magnification of the point x100 would be lost"):
        load(str(file), ("port",), point="x100")


def test_a_variant_named_twice_is_laid_once() -> None:
    twice = load("sudarshan2019_mil", ("mi_svm", "quick", "mi_svm", "quick"))
    assert twice == load("sudarshan2019_mil", ("quick", "mi_svm"))


def test_a_variant_is_laid_over_mappings_and_numbered_entries_and_adds_substitutions() -> None:
    base = {"a": {"b": 1, "c": 2}, "list": [{"x": 1}, {"x": 2}], "substitutions": ["one"]}
    over = {"a": {"c": 3}, "list": {1: {"x": 5}}, "substitutions": ["two"]}
    assert overlay(base, over, "toy") == {
        "a": {"b": 1, "c": 3},
        "list": [{"x": 1}, {"x": 5}],
        "substitutions": ["one", "two"],
    }
    with pytest.raises(RecipeError, match=r"toy\.list: 7 is no entry of a list of 2"):
        overlay(base, {"list": {7: {}}}, "toy")


@pytest.mark.parametrize(
    ("family", "needed"),
    [
        ("aggregate", {"mean", "vote", "p_norm", "kmeans_discriminative", "relevance_filter", "mi_svm"}),
        ("head", {"svm", "random_forest", "knn", "gradient_boosting", "mlp", "hierarchical"}),
        ("select", {"information_gain", "mrmr", "genetic", "grasshopper", "grey_wolf"}),
        (
            "backbone",
            {"small_se_resnet", "resnet50", "densenet201", "irrcnn", "effnet_lite0", "alexnet_mini"},
        ),
        ("pool", {"gap", "pnorm", "rgp", "ggp", "gated_attention", "recurrent"}),
        ("attention", {"se", "cbam", "drs"}),
        ("network", {"classifier", "unet", "connected_unets"}),
        ("schedule", {"cosine", "gauss_error"}),
        ("loss", {"cross_entropy", "focal", "dice_bce", "tversky"}),
    ],
)
def test_the_registry_holds_the_blocks_that_the_review_is_made_of(family: str, needed: set[str]) -> None:
    assert needed <= set(registry.names(family))


@pytest.mark.parametrize("name", ["lesion", "field_reader"])
def test_a_network_that_answers_to_an_objective_is_none_for_a_plain_recipe(tmp_path: Path, name: str) -> None:
    sentence = refused(tmp_path, streams=[{"network": name}], head=None)
    assert f"streams.0.network: {name} answers to an objective alone" in sentence


@pytest.mark.parametrize("condition", ["quick", "port"])
def test_a_variant_keeps_a_block_within_a_block_and_what_it_takes_away(
    tmp_path: Path, condition: str
) -> None:
    """`--variant vgg19 --quick` once ran VGG16 under VGG19's name: `network` is a key and a segmentation, too."""
    assert "vgg19" in load("saber2021_vgg16", ("vgg19", condition)).canonical
    assert "vgg16" not in load("saber2021_vgg16", ("vgg19", condition)).canonical.replace(
        "saber2021_vgg16", ""
    )
    assert load("houssein2022_marine_predators", ("ablated", condition)).search is None
    located = load("figure2_deep", (condition,)).streams[0]
    assert located.segment is not None and located.segment.name == "network"
    assert "depth" in located.segment.parameters or "side" in located.segment.parameters
