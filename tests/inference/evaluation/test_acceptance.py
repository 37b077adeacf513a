"""A hospital's own cases: the table is read strictly, the verdict follows the stated rules, nothing is applied."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.cli.acceptance import _sample
from inference.cli.main import main
from inference.contract import Flag
from inference.datasets import busbra
from inference.datasets.generated import write as write_tree
from inference.evaluation import acceptance_report
from inference.evaluation.acceptance import Acceptance, Verdict, accept
from inference.evaluation.cases import CasesError, labels_of, read_cases
from inference.evaluation.figures import Figure
from inference.evaluation.measuring import measure_samples
from inference.evaluation.records import Record
from inference.evaluation.shift import Seen
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, verified_weights
from tests.whole_slides import WholeSlide, section

MANIFEST = read_manifest("ultrasound", version="2.2.0")
DATA = Path(os.environ.get("CAD_DATA_DIR", "../shared/data"))
HIGH, BALANCED, SPECIFIC = (
    MANIFEST.thresholds[name] for name in ("high_sensitivity", "balanced", "high_specificity")
)


def at_home(name: str, value: float, low: float) -> Figure:
    return Figure(name, value, low, min(1.0, value + 0.03), 600, 400, name, "busi", "oof")


HOME = [
    at_home("auc_malignant_rest", 0.94, 0.91),
    *(at_home(f"sensitivity_{name}", 0.9, 0.85) for name in MANIFEST.thresholds if "sens" in name),
    *(at_home(f"specificity_{name}", 0.75, 0.7) for name in MANIFEST.thresholds if "sens" in name),
    at_home("sensitivity_balanced", 0.85, 0.8), at_home("specificity_balanced", 0.85, 0.8),
    at_home("sensitivity_high_specificity", 0.75, 0.65), at_home("specificity_high_specificity", 0.93, 0.9),
]  # fmt: skip


def cases(
    number: int = 200, *, apart: float = 2.2, moved: float = 0.0, seed: int = 1, held: float = 0.0, each: int = 1,
    devices: Sequence[str] = (),
) -> list[Record]:  # fmt: skip
    """A third malignant; calibrated where `apart` is 2.2: log-odds of −2.2 and 2.2 around, moved by `moved`."""
    generator = np.random.default_rng(seed)
    made = []
    for index in range(number):
        positive = index // each % 3 == 0
        odds = generator.normal(apart if positive else -apart, 2.0) - 0.7 + moved
        chance = float(1 / (1 + np.exp(-odds)))
        facts = {"positive": "yes" if positive else "no"}
        if devices:
            facts["device"] = devices[index % len(devices)]
        flags = (Flag.OUT_OF_DISTRIBUTION.value,) if generator.random() < held else ()
        told = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
        label = "malignant" if positive else "benign"
        made.append(Record("local", f"{index}.png", f"p{index // each}", label, told, flags=flags, split="external",
                           facts=facts))  # fmt: skip
    return made


def judged(
    records: list[Record], not_read: Sequence[str] = (), reference: list[Seen] | None = None
) -> Acceptance:
    features = [
        {"score": np.log(r.probabilities["malignant"] / (1 - r.probabilities["malignant"]))} for r in records
    ]
    return accept(MANIFEST, records, features, not_read, HOME, reference)


# --- the verdict ---------------------------------------------------------------------------------------------


def test_a_model_that_reads_as_its_card_says_is_switched_on() -> None:
    found = judged(cases(400))
    assert found.verdict is Verdict.ON, (found.reasons, found.conditions)
    assert all(point.holds for point in found.points) and not found.conditions


def test_a_model_that_reads_far_below_its_card_is_not() -> None:
    found = judged(cases(200, apart=0.6))
    assert found.verdict is Verdict.DO_NOT
    assert "the card promises 0.860" in found.reasons[0]


@pytest.mark.parametrize("number", [10, 49])
def test_fewer_than_fifty_images_decide_nothing(number: int) -> None:
    found = judged(cases(number))
    assert found.verdict is Verdict.TOO_FEW and "50 are needed" in found.reasons[0]


def test_few_patients_of_a_class_are_too_few_to_trust_but_enough_to_fail() -> None:
    good, bad = cases(51, seed=3), cases(60, apart=0.2, seed=3)
    trusted = judged(good)
    assert (
        trusted.verdict is Verdict.TOO_FEW
        and "17 patients with the disease, 20 are needed" in trusted.reasons
    )
    assert judged([replace(r, group="one") for r in good]).verdict is Verdict.TOO_FEW
    assert judged(bad).verdict is Verdict.DO_NOT


def test_cases_of_one_class_alone_are_too_few() -> None:
    found = judged([record for record in cases(300) if record.label == "benign"])
    assert found.verdict is Verdict.TOO_FEW and "0 patients with the disease" in found.reasons[0]
    assert found.proposal is None


def test_no_cases_at_all_are_too_few() -> None:
    assert judged([], ["a.png: cannot be decoded"]).verdict is Verdict.TOO_FEW


def test_images_without_a_verdict_count_against_it() -> None:
    found = judged(cases(400, held=0.5))
    assert found.verdict is Verdict.DO_NOT and "get no verdict" in found.reasons[0]
    some = judged(cases(400, held=0.2))
    assert some.verdict is Verdict.WITH and any("without the model" in one for one in some.conditions)
    unread = judged(cases(200), [f"{k}.png: cannot be decoded" for k in range(100)])
    assert unread.verdict is Verdict.DO_NOT and any(
        "100 images gave no result" in one for one in unread.notes
    )


def test_thresholds_that_do_not_hold_are_named_and_local_ones_proposed() -> None:
    found = judged(cases(400, moved=2.5))
    assert found.verdict is Verdict.WITH
    assert any("high sensitivity point does not hold" in one for one in found.conditions)
    assert any("local recalibration" in one for one in found.conditions)
    assert found.calibration is not None and found.proposal is not None
    assert found.calibration.is_off and not found.proposal.calibration.is_off
    assert found.proposal.offset < -1
    sensitivity, specificity = found.proposal.expected["high_sensitivity"]
    assert sensitivity > 0.9 and specificity > found.points[0].specificity.value


def test_a_scanner_that_falls_behind_is_excluded() -> None:
    good = cases(300, devices=("A",))
    bad = [
        replace(r, image=f"b{r.image}", group=f"b{r.group}")
        for r in cases(48, apart=0.1, devices=("B",), seed=9)
    ]
    found = judged([*good, *bad])
    assert found.verdict is Verdict.WITH and any(
        one.startswith("not for device B") for one in found.conditions
    )


def test_a_shift_is_a_condition_and_its_absence_none() -> None:
    def seen(records: list[Record], moved: float = 0.0) -> list[Seen]:
        odds = [
            np.log(r.probabilities["malignant"] / (1 - r.probabilities["malignant"])) + moved for r in records
        ]
        return [Seen(r.group, r.label, {"score": float(o)}) for r, o in zip(records, odds, strict=True)]

    same = judged(cases(400), reference=seen(cases(400, seed=7)))
    assert same.verdict is Verdict.ON and same.shift is not None and not same.shift.named
    other = judged(cases(400), reference=seen(cases(400, seed=7), moved=3.0))
    assert other.verdict is Verdict.WITH and any(
        "differ from the model's own" in one for one in other.conditions
    )
    none = judged(cases(400))
    assert none.shift is None and any("no shift test" in one for one in none.notes)


def test_patients_are_the_unit_of_intervals_and_folds() -> None:
    alone, repeated = judged(cases(240)), judged(cases(240, each=8))
    width = {one.name: one.high - one.low for one in alone.figures}["auc_malignant"]
    wider = {one.name: one.high - one.low for one in repeated.figures}["auc_malignant"]
    assert repeated.patients == 30 and wider > 0 and width > 0


def test_the_readers_own_level_is_told_beside_the_models() -> None:
    read = [
        replace(r, facts={**r.facts, "birads": "5" if r.label == "malignant" else "2"})
        for r in cases(200, apart=0.8)
    ]
    assert any("readers' BI-RADS alone" in one and "is below that" in one for one in judged(read).notes)


def test_a_number_column_is_cut_in_thirds_and_free_text_is_no_subgroup() -> None:
    told = [
        replace(r, facts={**r.facts, "age": str(30 + k % 50), "note": f"text {k}", "site": "one"})
        for k, r in enumerate(cases(200))
    ]
    columns = [one.column for one in judged(told).subgroups]
    assert columns == ["age"] * 3


def test_nothing_is_applied_and_the_report_says_so(tmp_path: Path) -> None:
    found = judged(cases(400, moved=2.5, devices=("A|B", "<i>C</i>")))
    written = acceptance_report.write(found, MANIFEST, tmp_path / "out")
    assert read_manifest("ultrasound", version="2.2.0") == MANIFEST
    report = (tmp_path / "out" / "report.md").read_text()
    assert "**Verdict: switch on with conditions.**" in report and "Proposed, not applied" in report
    assert "<i>" not in report and "A/B" in report and "## The rules" in report
    for block in report.split("\n\n"):
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1
    content = json.loads((tmp_path / "out" / "acceptance.json").read_text())
    assert content["verdict"] == "switch_on_with" and content["proposal"]["thresholds"]
    pictures = [path for path in written if path.suffix == ".png"]
    assert {path.name.split("_")[0] for path in pictures} == {"roc", "pr", "reliability"}
    for path in pictures:
        before = path.read_bytes()
        with Image.open(path) as picture:
            assert picture.size == (592, 604) and len(set(picture.convert("L").tobytes())) > 10
        acceptance_report.write(found, MANIFEST, tmp_path / "out")
        assert path.read_bytes() == before


# --- the table -----------------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("L", (60, 60), 90).save(folder / f"{name}.png")
    (folder / "loop.png").symlink_to("loop.png")
    return folder


def table(images: Path, text: str, encoding: str = "utf-8") -> Path:
    path = images.parent / "cases.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("image,patient\na.png,1\n", "line 1", "no column label"),
        ("image,label,label\na.png,benign,benign\n", "line 1", "label stands there twice"),
        ("image,label,\na.png,benign,x\n", "line 1", "column 3 has no name"),
        ("image,label\na.png,beningn\n", "line 2, column label", "'beningn' is none of"),
        ("image,label\na.png,\n", "line 2, column label", "is empty"),
        ("image,label\na.png,benign\nd.png,benign\n", "line 3, column image", "no file d.png"),
        ("image,label\n,benign\n", "line 2, column image", "is empty"),
        ("image,label\na.png,benign\na.png,malignant\n", "line 3, column image", "stands in line 2 already"),
        ("image,label\n../cases.csv,benign\n", "line 2, column image", "lies outside images"),
        ("image,label\nx/../../cases.csv,benign\n", "line 2, column image", "lies outside images"),
        ("image,label\n/etc/hostname,benign\n", "line 2, column image", "lies outside images"),
        ("image,label\na.png\n", "line 2", "1 values under 2 columns"),
        ("image,label\na.png,benign,3\n", "line 2", "3 values under 2 columns"),
        ("image,label,patient\na.png,benign,\n", "line 2, column patient", "is empty"),
        ("image,label,um_per_px\na.png,benign,wide\n", "line 2, column um_per_px", "'wide'"),
        ("image,label,um_per_px\na.png,benign,-1\n", "line 2, column um_per_px", "'-1'"),
        ("image,label,um_per_px\na.png,benign,nan\n", "line 2, column um_per_px", "'nan'"),
        ('image,label\n"a.png,benign\n', "line", "unexpected end of data"),
        ("image,label\na\0.png,benign\n", "line 2, column image", "is no name of a file"),
        (f"image,label\n{'a' * 300}.png,benign\n", "line 2, column image", "is no name of a file"),
        ("image,label\nloop.png,benign\n", "line 2, column image", "is no name of a file"),
        ("image,label\n.,benign\n", "line 2, column image", "no file . in images"),
        ("image;label\na.png;0,5\n", "line 2, column label", "'0,5' is none of"),
        ("image,label\n", "cases.csv", "no case"),
        ("", "line 1", "no column image"),
    ],
)
def test_each_mistake_is_told_with_line_and_column(images: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(CasesError) as refusal:
        read_cases(table(images, text), images, MANIFEST)
    assert where in str(refusal.value) and what in str(refusal.value)


def test_all_mistakes_are_told_at_once(images: Path) -> None:
    with pytest.raises(CasesError) as refusal:
        read_cases(table(images, "image,label\nx.png,odd\ny.png,odd\n"), images, MANIFEST)
    assert len(refusal.value.mistakes) == 4


def test_what_spreadsheets_write_is_read(images: Path) -> None:
    """A byte order mark, semicolons, capitals, blank lines and a table in another encoding, which is refused."""
    text = "\ufeffImage;Label;Patient;Scanner\r\na.png;Benign;1;X\r\n\r\nb.png;MALIGNANT;2;Y\r\n;;;\r\n"
    found = read_cases(table(images, text), images, MANIFEST)
    assert [(case.line, case.label, case.positive, case.patient) for case in found] == [
        (2, "benign", False, "1"), (4, "malignant", True, "2"),
    ]  # fmt: skip
    assert found[0].facts == {"scanner": "X"}
    with pytest.raises(CasesError, match="line 2: not UTF-8"):
        read_cases(table(images, "image,label,ort\na.png,benign,Köln\n", "latin-1"), images, MANIFEST)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_names_of_any_script_and_any_of_three_delimiters(images: Path, delimiter: str) -> None:
    (images / "病人 一").mkdir()
    (images / "a.png").rename(images / "病人 一" / "乳腺,左.png")
    cell = '"病人 一/乳腺,左.png"'
    text = "\n".join(delimiter.join(row) for row in (("image", "label", "医院"), (cell, "benign", "北京")))
    (found,) = read_cases(table(images, text, "utf-8-sig"), images, MANIFEST)
    assert found.path.is_file() and found.facts == {"医院": "北京"}


def test_without_patients_an_image_is_its_own(images: Path) -> None:
    found = read_cases(table(images, "image,label\na.png,benign\nb.png,positive\n"), images, MANIFEST)
    assert [case.patient for case in found] == ["a.png", "b.png"] and found[1].positive


def test_labels_are_those_of_the_models_own_question() -> None:
    assert labels_of(MANIFEST) == {
        "normal": False,
        "positive": True,
        "negative": False,
        "benign": False,
        "malignant": True,
    }
    films = labels_of(read_manifest("mammography"))
    assert films["benign"] and films["malignant"] and films["abnormal"] and not films["normal"]
    tissue = labels_of(read_manifest("histopathology"))
    assert tissue["idc"] and not tissue["not_idc"]


# --- the command ---------------------------------------------------------------------------------------------


def as_cases(tree: Path, out: Path, every: int = 1) -> tuple[Path, Path]:
    """A BUS-BRA tree as a hospital would hand it over: a table and a folder of images."""
    samples = busbra.read(tree).samples[::every]
    path = out / "cases.csv"
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("image", "label", "patient", "device", "birads"))
        for sample in samples:
            writer.writerow(
                (sample.path.name, sample.label, sample.patient_id, sample.extra["device"], sample.birads)
            )
    return path, tree / "Images"


def test_the_command_on_a_generated_tree_finds_too_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table_, folder = as_cases(write_tree("busbra", tmp_path / "busbra"), tmp_path)
    asked = [
        "acceptance",
        "ultrasound",
        "--version",
        "2.2.0",
        "--cases",
        str(table_),
        "--images",
        str(folder),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(asked) == 2
    said = capsys.readouterr().out
    assert "ultrasound 2.2.0: too few cases\n" in said and "21 images were read, 50 are needed" in said
    content = json.loads((tmp_path / "out" / "acceptance.json").read_text())
    assert content["verdict"] == "too_few_cases" and content["images"] == 21
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) == 22
    table_.write_text("image,label\nnone.png,benign\n")
    assert main(asked) == 1
    assert "cases.csv, line 2, column image: no file none.png" in capsys.readouterr().err


@pytest.mark.skipif(not (DATA / "busi").is_dir(), reason=f"{DATA / 'busi'} is not here")
def test_cases_that_the_model_was_trained_on_are_refused_by_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    source = DATA / "busi" / "Dataset_BUSI_with_GT" / "benign" / "benign (1).png"
    if not source.is_file():
        source = sorted(source.parent.glob("benign (*).png"))[0]
    with Image.open(source) as picture:
        picture.convert("L").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "renamed.png")
    Image.effect_noise((100, 100), 60).save(folder / "new.png")
    table_ = tmp_path / "cases.csv"
    table_.write_text("image,label\nnew.png,benign\nrenamed.png,benign\n")
    asked = [
        "acceptance",
        "ultrasound",
        "--version",
        "2.2.0",
        "--cases",
        str(table_),
        "--images",
        str(folder),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(asked) == 1
    assert "trained on 1 of these cases (lines 3 of the table)" in capsys.readouterr().err


@pytest.mark.skipif(not (DATA / "busbra").is_dir(), reason=f"{DATA / 'busbra'} is not here")
@pytest.mark.long
def test_2_2_0_is_not_switched_on_for_busbra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table_, folder = as_cases(DATA / "busbra", tmp_path, every=23)
    out = tmp_path / "out"
    assert (
        main(
            [
                "acceptance",
                "ultrasound",
                "--version",
                "2.2.0",
                "--cases",
                str(table_),
                "--images",
                str(folder),
                "--out",
                str(out),
            ]
        )
        == 2
    )
    assert capsys.readouterr().out.startswith("ultrasound 2.2.0: do not switch on\n")
    content = json.loads((out / "acceptance.json").read_text())
    assert content["verdict"] == "do_not_switch_on" and content["shift"]["shifted"]
    assert {one["column"] for one in content["subgroups"]} == {"device", "birads"}


def test_a_folder_is_one_slide_and_reads_as_its_files_in_one(tmp_path: Path) -> None:
    """A scanner's series: two files of one level and the label, which no case is."""
    images, made = tmp_path / "images", WholeSlide()
    tissue = section()
    files = {
        "case/2.dcm": made.concatenation(tissue, 2)[1], "alone.dcm": WholeSlide().file(tissue),
        "case/label.dcm": made.file(section(64, 64), None, "LABEL"),
    }  # fmt: skip
    files |= dict(zip(("case/1.dcm", "case/2.dcm"), made.concatenation(tissue, 2), strict=True))
    for name, content in files.items():
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(content)
    (images / "empty").mkdir()
    manifest = read_manifest("histopathology")
    found = read_cases(table(images, "image,label\ncase,idc\nalone.dcm,not_idc\n"), images, manifest)
    assert [(each.path.name, [part.name for part in each.parts]) for each in found] == [
        ("1.dcm", ["2.dcm", "label.dcm"]), ("alone.dcm", []),
    ]  # fmt: skip
    with pytest.raises(CasesError, match="no file empty in images"):
        read_cases(table(images, "image,label\nempty,idc\n"), images, manifest)
    forward = OnnxForward(verified_weights(manifest))
    measured = measure_samples(manifest, forward, [_sample(each, manifest) for each in found])
    assert measured.failed == []
    several, alone = (record.probabilities for record in measured.records)
    assert several == pytest.approx(alone)
