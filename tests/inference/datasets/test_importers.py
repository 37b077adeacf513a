"""Every importer on a generated tree in its own grammar, traps included."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.datasets import bach, breakhis, busi, camelyon17, cbis_ddsm, ddsm, inbreast, mini_mias, wdbc
from inference.datasets.catalogue import DATASETS, official_splits, recognise
from inference.datasets.generated import TREES, histopathology, mammography, write
from inference.datasets.notes import Trouble
from inference.datasets.sample import DatasetError, Manifest, assert_disjoint, grouped_folds


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(name, tmp_path_factory.mktemp("trees") / name) for name in TREES}


def read(trees: dict[str, Path], name: str) -> Manifest:
    return DATASETS[name].read(trees[name])


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in sentence for word in words) for sentence in manifest.warnings)


@pytest.mark.parametrize("name", sorted(TREES))
def test_a_tree_is_recognised_and_its_files_exist(trees: dict[str, Path], name: str) -> None:
    manifest = dict(recognise(trees[name]))[name]
    assert manifest.samples
    assert all(sample.path.is_file() and sample.dataset == name for sample in manifest.samples)
    assert len({sample.id for sample in manifest.samples}) == len(manifest.samples)


@pytest.mark.parametrize("name", sorted(TREES))
def test_folds_keep_groups_whole_and_cover_everything(trees: dict[str, Path], name: str) -> None:
    manifest = read(trees, name)
    for train, held_out in grouped_folds(manifest.samples, folds=2, seed=0):
        inside, outside = ({manifest.samples[i].group_id for i in part} for part in (train, held_out))
        assert not inside & outside
        assert sorted((*train, *held_out)) == list(range(len(manifest.samples)))


@pytest.mark.parametrize("name", sorted(TREES))
def test_an_empty_folder_none_and_a_file_are_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    for place in ("empty", "none", "file"):
        with pytest.raises(DatasetError) as refusal:
            DATASETS[name].read(tmp_path / place)
        assert place in str(refusal.value)


def test_busi_joins_masks_groups_duplicates_and_names_defects(trees: dict[str, Path]) -> None:
    manifest = read(trees, "busi")
    by_id = {sample.id: sample for sample in manifest.samples}
    assert len(by_id["benign (4)"].masks) == 2
    assert by_id["benign (1)"].group_id == by_id["benign (2)"].group_id
    assert warned(manifest, "malignant (6)", "no mask")
    assert warned(manifest, "normal (99)", "no image")
    assert warned(manifest, "Thumbs.db")
    assert warned(manifest, "437 are published")


def test_mini_mias_counts_y_from_the_bottom_and_keeps_the_worst_of_several_lines(
    trees: dict[str, Path],
) -> None:
    manifest = read(trees, "mini_mias")
    by_id = {sample.id: sample for sample in manifest.samples}
    x0, y0, x1, y1 = by_id["mdb001"].boxes[0]
    assert (x0 + x1 - 1) / 2 == 535
    assert (y0 + y1 - 1) / 2 == 598
    assert by_id["mdb005"].label == "malignant" and len(by_id["mdb005"].boxes) == 2
    assert by_id["mdb059"].label == "benign" and by_id["mdb059"].boxes == ()
    assert by_id["mdb216"].label == "malignant" and by_id["mdb216"].boxes == ()
    assert by_id["mdb001"].laterality == "R" and by_id["mdb002"].laterality == "L"
    assert by_id["mdb059"].group_id == by_id["mdb060"].group_id
    assert warned(manifest, "line not understood", "mdb218")
    assert warned(manifest, "mdb300", "no file") and warned(manifest, "mdb322", "not in Info.txt")
    assert mini_mias.SPACING_UM == 200.0


def test_breakhis_groups_by_woman_and_names_who_straddles_the_official_fold(trees: dict[str, Path]) -> None:
    manifest = read(trees, "breakhis")
    groups = {sample.group_id for sample in manifest.samples if sample.label == "adenosis"}
    assert groups == {"14-22549"}
    assert warned(manifest, "14-13412", "DC", "LC") and warned(manifest, "14-21998", "F", "PT")
    (fold,) = official_splits("breakhis", trees["breakhis"], manifest)
    assert fold.straddling == ("14-13412", "14-22549")
    rate = breakhis.patient_recognition_rate(
        list(manifest.samples), [s.label_binary is True for s in manifest.samples]
    )
    assert rate == pytest.approx(3 / 9)  # slides: DC and LC of one woman are one slide number


def test_bach_follows_the_patient_aware_split_and_reads_regions(trees: dict[str, Path]) -> None:
    manifest = read(trees, "bach")
    (split,) = official_splits("bach", trees["bach"], manifest)
    held_out = {manifest.samples[i].id for i in split.held_out}
    # Benign 42 and 70 are positions 41 and 69, in-situ 42 is 141, invasive 42 is 241, normal 42 is 341.
    assert {"b042", "b070", "is042", "iv042"} <= held_out
    assert {"b001", "b095", "is001", "n042"}.isdisjoint(held_out)
    labels = {outline.label for sample in manifest.samples for outline in sample.outlines}
    assert labels == {"benign", "in_situ", "invasive"}
    assert warned(manifest, "n095.tif", "Benign") and warned(manifest, "copy of b001.tif")
    assert warned(manifest, "A02.xml", "unreadable")
    assert bach.LICENCE.startswith("CC BY-NC-ND")


def test_the_eva_split_of_bach_has_the_published_sizes() -> None:
    ranges = bach._EVA_VALIDATION
    assert sum(end - start for start, end in ranges) == 132


def test_bioimaging_takes_the_class_from_folder_or_prefix(trees: dict[str, Path]) -> None:
    manifest = read(trees, "bioimaging2015")
    by_id = {sample.id: sample.label for sample in manifest.samples}
    assert by_id["test/is100"] == "InSitu" and by_id["train/iv009"] == "Benign"
    assert warned(manifest, "specimen7") and warned(manifest, "iv009", "folder")
    initial, overall = official_splits("bioimaging2015", trees["bioimaging2015"], manifest)
    assert len(overall.held_out) > len(initial.held_out)


def test_camelyon17_splits_by_centre_and_reads_holes(trees: dict[str, Path]) -> None:
    manifest = read(trees, "camelyon17")
    by_id = {sample.id: sample for sample in manifest.samples}
    assert {s.centre for s in manifest.samples} == {"0", "1", "4"}
    outlines = by_id["patient_099_node_0"].outlines
    assert [(o.label, o.hole) for o in outlines] == [("metastases", False), ("normal", True)]
    assert warned(manifest, "patient_020_node_0.xml") and warned(
        manifest, "patient_050_node_0.tif", "no slide"
    )
    splits = official_splits("camelyon17", trees["camelyon17"], manifest)
    assert len(splits) == 3 and all(split.straddling == () for split in splits)


@pytest.mark.parametrize(
    ("slides", "stage"),
    [
        (["negative"] * 5, "pn0"),
        (["itc", "negative", "negative", "negative", "negative"], "pn0(i+)"),
        (["micro", "itc", "negative", "negative", "negative"], "pn1mi"),
        (["micro"] * 5, "pn1mi"),
        (["macro", "micro", "micro", "negative", "itc"], "pn1"),
        (["macro", "micro", "micro", "micro", "itc"], "pn2"),
    ],
)
def test_the_stage_of_a_patient_follows_the_rules_of_the_challenge(slides: list[str], stage: str) -> None:
    assert camelyon17.pn_stage(slides) == stage


def test_camelyon16_leaves_the_duplicate_out(trees: dict[str, Path]) -> None:
    manifest = read(trees, "camelyon16")
    labels = {sample.id.lower(): sample.label for sample in manifest.samples}
    assert "test_114" not in labels and warned(manifest, "Test_114", "duplicate")
    assert labels["test_001"] == "normal" and labels["test_002"] == "tumor"
    assert warned(manifest, "tumor_002", "without outlines")


def test_tmi2015_finds_masks_and_points_by_any_of_its_conventions(trees: dict[str, Path]) -> None:
    by_id = {sample.id: sample for sample in read(trees, "tmi2015").samples}
    assert len(by_id["1001_a"].masks) == 1 and len(by_id["1001_b"].masks) == 1
    assert [outline.points[0] for outline in by_id["1002_a"].outlines] == [(10.0, 12.0), (40.5, 33.0)]
    assert warned(read(trees, "tmi2015"), "1003_a", "neither mask nor points")


def test_ddsm_draws_chain_codes_and_survives_missing_fields(trees: dict[str, Path]) -> None:
    manifest = read(trees, "ddsm")
    by_id = {sample.id: sample for sample in manifest.samples}
    left = by_id["A_0001_1.LEFT_CC"]
    assert (
        left.label == "malignant" and left.birads == "5|2" and left.density == "3" and left.spacing_um == 50
    )
    boundary = left.outlines[0]
    assert boundary.label == "boundary" and boundary.points[0] == boundary.points[-1] == (20.0, 30.0)
    assert boundary.points[10] == (30.0, 30.0) and boundary.points[20] == (30.0, 40.0)
    assert max(x for x, _ in left.outlines[2].points) == 63  # clamped to the film
    assert by_id["A_0001_1.RIGHT_CC"].label == "normal" and by_id["A_0001_1.RIGHT_CC"].label_binary is False
    assert by_id["D_0002_1.LEFT_CC"].spacing_um is None and by_id["D_0002_1.LEFT_CC"].centre == "ISMD"
    assert warned(manifest, "RIGHT_MLO", "no converted") and warned(manifest, "LEFT_MLO", "no direction")


def test_a_chain_code_turns_clockwise_from_north() -> None:
    assert ddsm.chain("5 5 0 2 4 6 #", 10, 10) == ((5, 5), (5, 4), (6, 4), (6, 5), (5, 5))


def test_cbis_ddsm_reads_both_spellings_and_tells_masks_by_content(trees: dict[str, Path]) -> None:
    manifest = read(trees, "cbis_ddsm")
    by_id = {sample.id: sample for sample in manifest.samples}
    both = by_id["Mass-Training_P_00001_LEFT_CC"]
    assert both.label == "malignant" and both.extra["pathology"] == "BENIGN|MALIGNANT"
    assert len(both.masks) == 2 and all(cbis_ddsm.is_mask(mask) for mask in both.masks)
    assert by_id["Calc-Training_P_00005_RIGHT_CC"].density == "3"
    assert by_id["Mass-Training_P_00002_RIGHT_CC"].label == "benign"
    # The woman of mass-train and calc-test is a test patient when both are used together.
    assert by_id["Mass-Training_P_00002_RIGHT_CC"].split == "test"
    assert warned(manifest, "Mass-Training_P_00003", "no file") and warned(manifest, "1318 are published")
    both_split = official_splits("cbis_ddsm", trees["cbis_ddsm"], manifest)[-1]
    assert both_split.straddling == ()


def test_inbreast_ignores_totals_and_reads_floats_and_spellings(trees: dict[str, Path]) -> None:
    manifest = read(trees, "inbreast")
    by_id = {sample.id: sample for sample in manifest.samples}
    assert len(by_id) == 6 and by_id["20586934"].birads == "5" and by_id["20586934"].label_binary is True
    assert by_id["22427705"].label_binary is True and by_id["20586908"].label_binary is False
    assert by_id["20586908"].view == "CC" and by_id["20586960"].view == "MLO"
    assert by_id["20586908"].group_id == by_id["20586934"].group_id
    assert {o.label for o in by_id["22427705"].outlines} == {"asymmetry", "calcification"}
    assert warned(manifest, "20586960.xml", "unreadable") and warned(manifest, "99999999", "no file")
    assert inbreast.SPACING_UM == 70.0


def test_idc_and_cbis_masses_name_what_contradicts_or_is_missing(trees: dict[str, Path]) -> None:
    assert warned(read(trees, "idc"), "class1", "contradict")
    masses = read(trees, "cbis_mass_256")
    assert warned(masses, "P_00006", "missing")
    assert_disjoint({"train": masses.part("train"), "val": masses.part("val")})


def test_clean_busi_leaves_groups_of_two_classes_out(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    table = root / "split.csv"
    table.write_text(
        table.read_text().replace(
            "malignant (1).png,malignant,malignant-1", "malignant (1).png,malignant,benign-1"
        )
    )
    raw = busi.read(root)
    kept = busi.clean(raw)
    assert {s.id for s in raw.samples} - {s.id for s in kept.samples} == {
        "benign (1)",
        "benign (2)",
        "malignant (1)",
    }
    assert warned(kept, "3 images", "contradictory")


@pytest.mark.parametrize("layout", ["tcia", "nbia"])
def test_cbis_ddsm_finds_files_by_series_in_every_download(
    tmp_path: Path, layout: mammography.Layout
) -> None:
    mammography.cbis_ddsm(tmp_path, layout)
    by_id = {sample.id: sample for sample in cbis_ddsm.read(tmp_path).samples}
    both = by_id["Mass-Training_P_00001_LEFT_CC"]
    assert both.path.is_file() and len(both.masks) == 2
    assert all(cbis_ddsm.is_mask(mask) for mask in both.masks) and not cbis_ddsm.is_mask(both.path)


def test_cbis_ddsm_takes_the_film_that_the_mirror_describes_as_one(trees: dict[str, Path]) -> None:
    assert {sample.path.name for sample in read(trees, "cbis_ddsm").samples} == {"1-001.jpg"}


def test_camelyon17_reads_the_newer_layout_too(tmp_path: Path) -> None:
    histopathology.camelyon17_mirror(tmp_path)
    manifest = camelyon17.read(tmp_path)
    by_id = {sample.id: sample for sample in manifest.samples}
    assert by_id["patient_017_node_1"].label == "macro" and len(by_id["patient_017_node_1"].masks) == 1
    # Points stand in the file's own order, whatever the order of its lines.
    assert by_id["patient_017_node_1"].outlines[0].points == ((0, 9), (9, 9), (9, 0), (0, 0))
    assert warned(manifest, "patient_018.zip", "packed") and manifest.unreadable == ()


def test_camelyon16_exclusions_are_holes_and_come_last(trees: dict[str, Path]) -> None:
    by_id = {sample.id: sample for sample in read(trees, "camelyon16").samples}
    assert [outline.hole for outline in by_id["Tumor_001"].outlines] == [False, False, True]


def test_tmi2015_reads_points_as_matlab_writes_them(trees: dict[str, Path]) -> None:
    manifest = read(trees, "tmi2015")
    by_id = {sample.id: sample for sample in manifest.samples}
    assert [o.points[0] for o in by_id["1004_a"].outlines] == [(7.0, 9.0), (30.0, 41.0)]
    assert warned(manifest, "1009_a", "without an image") and warned(manifest, "1005_a.txt", "line 2")


def test_ddsm_reads_gzipped_files_and_calls_no_view_normal_whose_lesions_are_unread(
    trees: dict[str, Path],
) -> None:
    manifest = read(trees, "ddsm")
    by_id = {sample.id: sample for sample in manifest.samples}
    assert by_id["B_0003_1.LEFT_CC"].label == "benign" and len(by_id["B_0003_1.LEFT_CC"].outlines) == 2
    assert by_id["B_0003_1.LEFT_CC"].spacing_um is None and by_id["B_0003_1.LEFT_MLO"].spacing_um == 42
    for unread in ("A_0001_1.LEFT_MLO", "A_0001_1.RIGHT_MLO", "B_0003_1.RIGHT_CC"):
        assert by_id[unread].label == "unproven" and by_id[unread].label_binary is None
    assert warned(manifest, "A_0001_1.RIGHT_MLO.OVERLAY", "2 announced")
    assert warned(manifest, "B_0003_1.RIGHT_CC.OVERLAY", "missing")


def test_a_chain_code_on_a_film_of_unknown_size_is_not_clamped() -> None:
    assert ddsm.chain("500 900 2 #", -1, -1) == ((500, 900), (501, 900))


def test_inbreast_without_birads_has_no_label(trees: dict[str, Path]) -> None:
    manifest = read(trees, "inbreast")
    by_id = {sample.id: sample for sample in manifest.samples}
    assert by_id["22427751"].label == "unknown" and by_id["22427751"].label_binary is None
    assert by_id["22427705"].label == "4a"  # its first row counts
    assert warned(manifest, "22427728", "no XML") and warned(manifest, "11111111.xml", "without a film")


def test_bach_keeps_unlabelled_test_images_out_of_its_classes(trees: dict[str, Path]) -> None:
    manifest = read(trees, "bach")
    (test,) = [sample for sample in manifest.samples if sample.id == "test7"]
    assert test.label == "unlabelled" and test.label_binary is None
    assert all(s.label_binary is not None for s in manifest.samples if s.id in {"b001", "n001"})


def test_wdbc_comes_from_the_package() -> None:
    manifest = wdbc.read()
    table, names = wdbc.features()
    assert manifest.counts == {"benign": 357, "malignant": 212} and manifest.warnings == ()
    assert table.shape == (569, 30) and len(names) == 30
    assert manifest.of_table and [sample.numbers for sample in manifest.samples] == [
        tuple(row) for row in table
    ]
    assert len({sample.path for sample in manifest.samples}) == 569


def test_the_real_description_tables_have_the_published_rows(shared_data: Path) -> None:
    manifest = cbis_ddsm.read(shared_data / "cbis_ddsm_csv")
    assert not any("are published" in warning for warning in manifest.warnings)
    assert any("more than one table" in warning for warning in manifest.warnings)
    assert all(sample.density for sample in manifest.samples)
    assert any("women stand in train and test" in warning for warning in manifest.warnings)


def test_the_real_breakhis_names_are_read(shared_data: Path) -> None:
    manifest = breakhis.read(shared_data / "breakhis")
    assert len(manifest.samples) == 12 and len(manifest.counts) == 8


@pytest.mark.parametrize("name", ["busi", "mini_mias", "cbis_mass_256", "idc", "breakhis"])
def test_real_files_are_read_without_a_defect_but_their_number(name: str, shared_data: Path) -> None:
    manifest = DATASETS[name].read(shared_data / name)
    assert manifest.samples and manifest.unreadable == ()
    assert {defect.trouble for defect in manifest.defects} <= {Trouble.COUNT}
