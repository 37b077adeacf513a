"""What the review names, by its own numbers: 38 methods, the pipelines of its figure 2, eleven data sets.

A method that has a recipe is told by it; the words here stand for those that have none yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Authors, and where they wrote, of every method by the review's reference.
METHODS = {
    20: "Multi-size and discriminative patches (Li, Wu, Wu, IEEE Access 2019)",
    21: "Convolutional network and BiLSTM over patches (Yan et al., Methods 2020)",
    22: "Inception recurrent residual network (Alom et al., Journal of Digital Imaging 2019)",
    23: "Xception with global pooling of several levels (Kasani et al., ICTC 2019)",
    24: "Networks and boosted trees in one ensemble (Sanyal, Kar, Sarkar, TCBB 2021)",
    25: "Inception and Xception in parallel (Elmannai et al., IJCIS 2021)",
    26: "HWDCNN, a small network on the Haar wavelet's approximation (Kausar et al., 2019)",
    27: "BHCNet, small SE-ResNet with the Gauss error scheduler (Jiang et al., PLoS ONE 2019)",
    28: "Fully convolutional encoder read by a BiLSTM (Budak et al., Applied Soft Computing 2019)",
    29: "Inception-ResNet-v2, and clusters of its features (Xie et al., Frontiers in Genetics 2019)",
    30: "Double transfer (de Matos et al., IJCNN 2019)",
    31: "Multiple-instance learning (Sudarshan et al., ESWA 2019)",
    32: "A network by uniform design (Lin, Jeng, Diagnostics 2020)",
    33: "BreastNet (Toğaçar et al., Physica A 2020)",
    34: "BMIC_Net, a hierarchy of subtypes (Murtaza et al., MTAP 2020)",
    35: "Augmentation and transfer (Hou, Journal of X-Ray Science and Technology 2020)",
    36: "ResNet50 and DenseNet121 trained whole (Yari, Nguyen, Nguyen, IEEE Access 2020)",
    37: "Transfer to two and four classes (Alkasasbeh et al.; not resolved)",
    38: "Features chosen by a genetic algorithm (Reshma et al., BioMed Research International 2022)",
    39: "AlexNet's middle and high levels, SVM (Li et al., Mathematical Problems in Engineering 2021)",
    40: 'Three networks ("Alqatrane" et al.; not resolved)',
    41: "Frozen DenseNet201 and gradient boosting (Maleki, Raahemi, Nasiri, BSPC 2023)",
    42: "Pyramid of a slide read by an LSTM (Su et al., BioMed Research International 2021)",
    43: "DeepBatch (Zeiser et al., ESWA 2021)",
    44: "Deep belief network on patches (Hirra et al., IEEE Access 2021)",
    45: "EfficientNetV2 and GRU with attention (Pradeepa et al., Scientific Reports 2025)",
    50: "VGG16 transferred to mammograms (Saber et al., IEEE Access 2021)",
    51: "Segmentation and selection by the grasshopper optimiser (Sha, Hu, Rouyendegh, IJIST 2020)",
    52: "Hyper-parameters by marine predators (Houssein, Emam, Ali, NCAA 2022)",
    53: "Kapur's thresholds by shell game optimisation, capsules (Kavitha et al., Interdisciplinary Sciences 2022)",
    54: "ResNet50 or VGG16 and SVM (Salama et al., IET Image Processing 2020)",
    55: "Annotation-efficient detection (Lotter et al., Nature Medicine 2021)",
    56: "Connected-UNets (Baccouche et al., npj Breast Cancer 2021)",
    57: "Region-based group-max pooling (Shu et al., TMI 2020)",
    60: "Deep representation scaling (Byra, BSPC 2021)",
    61: "Fractal features, and a network that locates (Pourasad et al., Diagnostics 2021)",
    62: "HMB-DLGAHA, transfer tuned by a genetic algorithm (Balaha et al., NCAA 2022)",
    63: "DarkNet53, two optimisers, fused probabilities (Jabeen et al., Sensors 2022)",
}
#: Figure 2's two ways from image to result, by what the ids of their recipes begin with.
PIPELINES = {
    "figure2_classic": "Figure 2, the classic way: segment, extract, classify",
    "figure2_deep": "Figure 2, the deep way: a network segments, another classifies",
}
#: The review's data sets by the name of their importer, with its reference; WDBC is named without one.
DATASETS = {
    "bioimaging2015": 15, "bach": 16, "breakhis": 17, "camelyon17": 18, "tmi2015": 19, "mini_mias": 46,
    "ddsm": 47, "cbis_ddsm": 48, "inbreast": 49, "busi": 59, "wdbc": None,
}  # fmt: skip
#: Where the records of `python -m inference prove` are committed, and what was run.
PROOFS = Path(__file__).parent / "proofs"
REPRODUCTIONS = Path(__file__).parents[2] / "docs" / "reproductions"


def committed(recipe: str, folder: Path = REPRODUCTIONS) -> dict[str, Any] | None:
    """Our figure of a recipe as committed, with its interval and on which data; None where there is none.

    It is that of the recipe hash which it names, and of another protocol and less data than the paper's.
    """
    file = folder / f"{recipe}.json"
    if not file.is_file():
        return None
    page = json.loads(file.read_text(encoding="utf-8"))
    if page.get("honest_number") is None:
        return None
    kept = {key: page[key] for key in ("measure", "dataset", "protocol", "variants", "hash")}
    return {**page["honest_number"], **kept}
