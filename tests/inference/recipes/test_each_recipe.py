"""Each recipe of the review: its own block is named, is laid out, and learns from one step.

What it learns from a tree is in `test_tiny.py`; whole runs are those of `test_run.py`.
"""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from inference.blocks.parameters import make
from inference.recipes.fits import learns
from inference.recipes.recipe_file import known, load
from inference.recipes.rehearsal import rehearse
from inference.recipes.review import METHODS, PIPELINES
from inference.recipes.schema import Recipe

#: What a method of the review is told from others by; every recipe of a network has its line here.
OWN = {
    "alkasasbeh_transfer": {"effnet_lite1", "imagenet"},
    "alom2019_irrcnn": {"irrcnn"},
    "alqatrane_three_models": {"effnet_lite0", "imagenet"},
    "balaha2022_genetic_transfer": {"genetic", "effnet_lite0"},
    "baccouche2021_connected_unets": {"connected_unets"},
    "budak2019_fcn_bilstm": {"alexnet_mini", "recurrent", "lstm"},
    "byra2021_deep_representation_scaling": {"drs"},
    "elmannai2021_parallel": {"parallel", "inception_v3", "xception"},
    "figure2_deep": {"segment", "network", "side"},
    "hou2020_augmented_transfer": {"effnet_lite0", "imagenet", "stains"},
    "houssein2022_marine_predators": {"marine_predators"},
    "jabeen2022_darknet_fusion": {"darknet53", "fused", "differential_evolution", "grey_wolf"},
    "jiang2019_bhcnet": {"bhcnet", "gauss_error"},
    "kasani2019_multi_level_xception": {"xception", "levels"},
    "kavitha2022_capsules": {"capsnet", "margin", "shell_game", "fuzzy_median", "mlp"},
    "kausar2019_hwdcnn": {"haar", "vgg_mini"},
    "li2019_discriminative_patches": {"p_norm", "kmeans_discriminative"},
    "li2021_alexnet_levels": {"alexnet", "svm"},
    "lin2020_uniform_design": {"uniform_design", "first_kernel"},
    "lotter2021_detection": {"retina", "strongest_box", "detect"},
    "murtaza2020_bmic_net": {"hierarchical", "information_gain", "knn"},
    "pradeepa2025_efficientnetv2_gru": {"efficientnetv2_s", "recurrent", "gru"},
    "saber2021_vgg16": {"vgg16"},
    "salama2020_features_svm": {"resnet50", "svm"},
    "sanyal2021_hybrid_ensemble": {"inception_v3", "xception", "soft_vote", "gradient_boosting"},
    "sudarshan2019_mi_cnn": {"alexnet_mini", "ggp"},
    "shu2020_group_max_pooling": {"rgp"},
    "su2021_pyramid_lstm": {"level_reader", "pyramid"},
    "togacar2020_breastnet": {"breastnet", "fine"},
    "xie2019_inception_resnet": {"inception_resnet_v2", "class_balanced", "clusters"},
    "zeiser2021_deepbatch": {"taught_by", "vote"},
    "yan2020_cnn_bilstm": {"inception_v3", "recurrent", "lstm"},
    "yari2020_finetuned": {"resnet50"},
}


def quick(name: str) -> Recipe:
    recipe = load(name, ("quick",))
    assert isinstance(recipe, Recipe)
    return recipe


#: References of the methods that the review draws in figure 2.
FIGURE_2 = {quick(name).reference for name in known() if name.startswith(tuple(PIPELINES))}


def trains(name: str) -> bool:
    return any(learns(stream) for stream in quick(name).streams)


@pytest.mark.parametrize("name", known())
def test_its_own_block_is_named_and_stays_in_the_quick_variant(name: str) -> None:
    recipe = quick(name)
    assert recipe.reference in {*METHODS, *FIGURE_2}
    if trains(name):
        words = set(re.findall(r'"(\w+)"', recipe.canonical))
        assert OWN[name] <= words


@pytest.mark.parametrize("name", [name for name in known() if trains(name)])
def test_a_step_of_learning_reaches_its_networks(name: str) -> None:
    """Laid out whole first, as before every run, then a step of each network on noise."""
    recipe = quick(name)
    rehearse(recipe)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    located, classes = recipe.task.kind != "classify", recipe.task.numbers
    for stream in recipe.streams:
        if not learns(stream):
            continue
        assert stream.network is not None
        network = make("network", stream.network.name, stream.network.parameters, classes=classes, seed=0)
        size = stream.resize or (2 * (stream.patches.size,) if stream.patches else recipe.data.size)
        images = torch.randn(4, 3, *size)
        truth = (images[:, :1] > 1).float() if located else torch.arange(4) % classes
        loss = make("loss", recipe.train.loss.name, recipe.train.loss.parameters)
        said = loss(network.train()(images), truth)
        said.backward()
        assert torch.isfinite(said)
        assert reached(network)


def reached(network: nn.Module) -> bool:
    """Whether what learns got a gradient, kernel for kernel, but for a few whose units all fell silent."""
    kernels = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    return sum(p.grad is not None and bool(p.grad.any()) for p in kernels) > 0.9 * len(kernels)
