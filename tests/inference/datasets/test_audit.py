"""`python -m inference audit`: what it finds in a data set, how grave it is, and how it says so."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.cli.audit import locate, run
from inference.cli.main import main
from inference.datasets.generated import duplicates, pictures, write
from inference.datasets.generated.duplicates import Planted
from inference.datasets.sample import DatasetError


@dataclass(frozen=True)
class Audited:
    root: Path
    planted: list[Planted]
    document: dict[str, Any]

    def pairs(self, *codes: str) -> set[frozenset[str]]:
        return {
            frozenset(finding["files"])
            for finding in self.findings
            if finding["agreement"] is not None and (not codes or finding["code"] in codes)
        }

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [finding for one in self.document["datasets"] for finding in one["findings"]]


def audited(root: Path) -> list[dict[str, Any]]:
    """The findings of the one set at `root`."""
    (one,) = json.loads(run(root, json=True)[1])["datasets"]
    return list(one["findings"])


def codes_of(findings: list[dict[str, Any]], name: str) -> set[str]:
    """The codes of the findings that name a file that ends in `name`."""
    return {f["code"] for f in findings if any(file.endswith(name) for file in f["files"])}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    root = tmp_path_factory.mktemp("planted")
    truth = duplicates.busi(root)
    return Audited(root, truth, json.loads(run(root, json=True)[1]))


def test_every_planted_exact_copy_is_found(planted: Audited) -> None:
    exact = {frozenset((p.original, p.duplicate)) for p in planted.planted if p.change == "copy"}
    assert exact and exact <= planted.pairs()


def test_at_least_95_of_100_planted_near_duplicates_are_found(planted: Audited) -> None:
    near = {frozenset((p.original, p.duplicate)) for p in planted.planted if p.change != "copy"}
    assert len(near & planted.pairs()) >= 0.95 * len(near)


def test_distinct_pictures_are_never_reported(planted: Audited) -> None:
    assert planted.pairs() <= {frozenset((p.original, p.duplicate)) for p in planted.planted}


def test_every_planted_contradiction_of_benign_and_malignant_is_an_error(planted: Audited) -> None:
    contradictions = {
        frozenset((p.original, p.duplicate)) for p in planted.planted if p.place == "other class"
    }
    assert planted.pairs("conflicting_labels") == contradictions


def test_a_duplicate_across_the_split_is_an_error_and_one_within_it_a_warning(planted: Audited) -> None:
    severities = {finding["code"]: finding["severity"] for finding in planted.findings}
    assert severities["duplicates_across_splits"] == "error"
    assert severities["duplicates_within_group"] == "warning"
    apart = {frozenset((p.original, p.duplicate)) for p in planted.planted if p.place == "other split"}
    assert planted.pairs("duplicates_across_splits") == apart


def test_relations_say_what_a_pair_crosses(planted: Audited) -> None:
    crossing = next(f for f in planted.findings if f["code"] == "duplicates_across_splits")
    assert crossing["relations"] == {"class": "within", "group": "across", "split": "across"}


def test_duplicates_within_a_split_alone_leave_the_exit_status_0(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        pictures.gray(tmp_path / "benign" / f"benign ({number}).png", 120, 90)
        pictures.mask(tmp_path / "benign" / f"benign ({number})_mask.png", 120, 90, (40, 40, 9))
    shutil.copy(tmp_path / "benign" / "benign (1).png", tmp_path / "benign" / "benign (2).png")
    status, printed = run(tmp_path)
    assert status == 0
    assert "benign (1).png and benign (2).png: the same pixels" in printed


def test_files_that_cannot_be_read_are_named_with_the_reason(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    benign = root / "Dataset_BUSI_with_GT" / "benign"
    (benign / "benign (1).png").write_bytes((benign / "benign (1).png").read_bytes()[:-30])
    (benign / "benign (2)_mask.png").write_bytes(b"")
    (benign / "benign (3).png").write_text("not a picture")
    damaged = bytearray((benign / "benign (5).png").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (benign / "benign (5).png").write_bytes(damaged)
    # A photograph under the ending of another format is read, and said.
    Image.open(benign / "benign (6).png").convert("RGB").save(benign / "benign (6).png", format="JPEG")
    status, _ = run(root)
    findings = audited(root)
    unreadable = {f["files"][0].split("/")[-1]: f["message"] for f in findings if f["code"] == "unreadable"}
    assert set(unreadable) == {
        "benign (1).png",
        "benign (2)_mask.png",
        "benign (3).png",
        "benign (5).png",
    }
    assert "cut off" in unreadable["benign (1).png"] and "empty" in unreadable["benign (2)_mask.png"]
    assert codes_of(findings, "benign (6).png") == {"wrong_content"}
    assert status == 1


def test_images_without_a_mask_and_masks_without_an_image_are_warnings(tmp_path: Path) -> None:
    findings = audited(write("busi", tmp_path / "busi"))
    assert codes_of(findings, "malignant/malignant (6).png") == {"image_without_mask"}
    assert codes_of(findings, "normal (99)_mask.png") == {"mask_without_image"}
    assert {f["severity"] for f in findings if "mask" in f["code"]} == {"warning"}


def test_a_lesion_drawn_in_a_normal_image_contradicts_its_label(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    pictures.mask(root / "Dataset_BUSI_with_GT/normal/normal (1)_mask.png", 120, 90, (30, 30, 9))
    assert codes_of(audited(root), "normal (1).png") == {"conflicting_labels"}


def test_a_mask_of_another_size_and_an_empty_one_are_said(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    folder = root / "Dataset_BUSI_with_GT" / "benign"
    pictures.mask(folder / "benign (5)_mask.png", 60, 45, (20, 20, 5))
    pictures.mask(folder / "benign (6)_mask.png", 120, 90, None)
    findings = audited(root)
    assert "mask_size_differs" in codes_of(findings, "benign (5).png")
    assert "empty_mask" in codes_of(findings, "benign (6).png")


def test_a_table_that_contradicts_the_folders_is_an_error(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    table = root / "split.csv"
    table.write_text(table.read_text().replace("benign (4).png,benign", "benign (4).png,malignant"))
    assert run(root)[0] == 1
    assert "conflicting_labels" in codes_of(audited(root), "split.csv")


def test_a_group_on_both_sides_of_the_split_is_an_error(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    table = root / "split.csv"
    table.write_text(
        table.read_text().replace(
            "benign (2).png,benign,benign-1,train", "benign (2).png,benign,benign-1,val"
        )
    )
    assert run(root)[0] == 1
    assert any(f["code"] == "group_across_splits" and "benign-1" in f["message"] for f in audited(root))


def test_restricted_licences_are_warned_of_and_open_ones_not(tmp_path: Path) -> None:
    restricted = {
        name: [
            f["message"] for f in audited(write(name, tmp_path / name)) if f["code"] == "restricted_licence"
        ]
        for name in ("bach", "mini_mias", "busi")
    }
    assert len(restricted["bach"]) == 2 and "research use only" in restricted["mini_mias"][0]
    assert restricted["busi"] == []


def test_counts_are_compared_with_the_published_ones(tmp_path: Path) -> None:
    findings = audited(write("busi", tmp_path / "busi"))
    assert "busi: 6 benign images, 437 are published" in {
        f["message"] for f in findings if f["code"] == "unexpected_count"
    }


def test_a_folder_of_several_sets_is_audited_set_by_set_and_the_rest_is_named(tmp_path: Path) -> None:
    write("busi", tmp_path / "ultrasound")
    write("idc", tmp_path / "patches")
    (tmp_path / "papers").mkdir()
    found, others = locate(tmp_path)
    assert [(name, root.name) for name, root, _ in found] == [("idc", "patches"), ("busi", "ultrasound")]
    assert list(others) == ["papers"]


def test_the_root_of_one_set_is_that_set(tmp_path: Path) -> None:
    for name in ("breakhis", "busi", "camelyon16", "bach"):
        found, _ = locate(write(name, tmp_path / name))
        assert [(dataset, root) for dataset, root, _ in found] == [(name, tmp_path / name)]


def test_loose_pictures_are_no_data_set(tmp_path: Path) -> None:
    pictures.gray(tmp_path / "holiday.png", 64, 64)
    with pytest.raises(DatasetError, match=tmp_path.name):
        locate(tmp_path)


def test_no_data_set_ends_with_2_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path)]) == 2
    assert main(["audit", str(tmp_path / "nowhere")]) == 2
    assert main(["audit", str(tmp_path), "--dataset", "imagenet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "is no folder" in printed.err and "imagenet is none of" in printed.err


def test_the_command_prints_json_of_a_stable_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write("idc", tmp_path / "idc")
    assert main(["audit", str(root), "--json", "--dataset", "idc"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"version", "path", "errors", "warnings", "datasets", "not_datasets"}
    (one,) = document["datasets"]
    assert one["dataset"] == "idc" and one["images"] == 20 and one["patients"] == 5
    assert set(one["findings"][0]) == {"code", "severity", "files", "message", "relations", "agreement"}
    assert document["errors"] == sum(f["severity"] == "error" for f in one["findings"]) == 1


def test_blank_pictures_are_nobodys_duplicates(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / "normal" / f"normal ({number}).png"
        pictures.save(path, np.full((90, 120), 40, np.uint8))
    assert not any(f["agreement"] for f in audited(tmp_path))


@pytest.mark.long
def test_on_busi_every_group_of_the_split_file_is_found_and_the_contradictions_are_named(
    shared_data: Path,
) -> None:
    (one,) = json.loads(run(shared_data / "busi", json=True)[1])["datasets"]
    pairs = [[Path(file).name for file in f["files"]] for f in one["findings"] if f["agreement"] is not None]
    with (shared_data / "busi" / "split.csv").open(newline="") as lines:
        group_of = {row["image"]: row["group"] for row in csv.DictReader(lines)}
    # Images that the pairs join, step by step, are one cluster.
    cluster = {name: name for name in group_of}
    for first, second in pairs:
        joined, other = cluster[first], cluster[second]
        cluster = {name: joined if root == other else root for name, root in cluster.items()}
    apart = defaultdict(set)
    for name, group in group_of.items():
        apart[group].add(cluster[name])
    assert all(len(clusters) == 1 for clusters in apart.values())
    conflicts = {tuple(sorted(f["files"])) for f in one["findings"] if f["code"] == "conflicting_labels"}
    assert {tuple(Path(file).name for file in files) for files in conflicts} == {
        ("benign (333).png", "malignant (77).png"),
        ("benign (406).png", "malignant (94).png"),
    }
    assert not any(f["code"] == "duplicates_across_splits" for f in one["findings"])


@pytest.mark.long
def test_films_of_different_women_are_never_taken_for_one_picture(shared_data: Path) -> None:
    assert not any(finding["agreement"] is not None for finding in audited(shared_data / "mini_mias"))
