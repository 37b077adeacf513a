"""`docs/reproductions/`: a table of what the review says and what was read here, with and without inflation, and a page
a method. All of it is written from the JSON files beside it; the same files give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.evaluation.plots import PLOTS, Plot, svg
from inference.recipes.protocol import LEAKY, drawn_of
from inference.recipes.reproduction import INDEX, INFLATED, PORT, either, in_seconds, stored, title_of
from inference.recipes.reproduction_plot import inflation
from inference.recipes.review import PROOFS
from inference.recipes.taking_over import changed_since, review_measure

Pair = tuple[dict[str, Any] | None, dict[str, Any] | None]
_MADE = "Made by `python -m inference reproductions` from the JSON files in this folder; not to be edited by hand."


def write(folder: Path) -> list[Path]:
    """Write all pages and plots anew, and remove those of what is gone.

    Returns
    -------
    list of Path
        What was written.
    """
    made = rendered(folder)
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.md"), *(folder / PLOTS).glob("*.svg")):
        if old.relative_to(folder).as_posix() not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in made]


def rendered(folder: Path) -> dict[str, str]:
    """Every file's text by its name in the folder."""
    pairs, quick = stored(folder), in_seconds(folder)
    made = {"README.md": _index(pairs, quick), f"{INDEX}.json": _table_json(pairs)}
    made[f"{PLOTS}/inflation.svg"] = inflation([row(pair) for pair in pairs])
    for pair in pairs:
        name = title_of(either(pair))
        made[f"{name}.md"] = _page(pair)
        for run, ending in zip(pair, ("", INFLATED), strict=True):
            if run is not None and "roc" in run:
                made[f"{PLOTS}/{name}{ending}.svg"] = svg(_roc(run))
    return made


def row(pair: Pair) -> dict[str, Any]:
    """A method's line of the table."""
    patients, images = pair
    page = either(pair)
    ours, inflated = (None if run is None else run["honest_number"] for run in pair)
    same = patients is not None and images is not None and patients["measure"] == images["measure"]
    difference = round(inflated["value"] - ours["value"], 4) if same and ours and inflated else None
    return {
        "reference": page["reference"],
        "id": page["id"],
        "variants": page["variants"],
        "measure": page["measure"],
        "review_number": page["review_number"],
        "review_measure": review_measure(page),
        "image_level_leaky": inflated,
        "patient_level": ours,
        "difference": difference,
        "auc_added_by_the_split": None if images is None else images.get("added_by_the_split"),
        "dataset": page["dataset"],
        "images": page["images"],
        "drawn_of": drawn_of(page["declared"]),
        "groups": None if patients is None else patients["groups"],
        "substitutions": page["substitutions"],
        "hash": page["hash"],
        "hash_inflated": None if images is None else images["hash"],
        "seconds": None if patients is None else patients.get("seconds"),
    }


def _table_json(pairs: Sequence[Pair]) -> str:
    content = {"image_level": LEAKY, "methods": [row(pair) for pair in pairs]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _index(pairs: Sequence[Pair], quick: Sequence[dict[str, Any]]) -> str:
    both = [line for pair in pairs if (line := row(pair))["difference"] is not None]
    lines = [
        "# Methods of the review on the data at hand",
        "",
        _MADE,
        "",
        f"Every number is of the data named in its line, {_whole(pairs)}, and of minutes of one core: it shows that a "
        "method runs and what a protocol does to its figure, not what the method can do. The review's number was "
        "measured on other data, mostly with patients on both sides, so that it is no contest; of another measure than "
        "ours, it is named with that.",
        "",
        f"*Image level* is **{LEAKY}**: the same recipe on the same images, dealt one by one instead of patient by "
        "patient (`--inflated`). *Patient level*: groups whole, look-alikes joined, all that is fitted inside the "
        "training fold; 95 % intervals over groups. The difference is what the split alone adds; where a set knows no "
        "patients, or shows most of them once, there is little to add. *AUC, paired*: the same in AUC, both runs' "
        "answers to the same images, with the interval of the difference over the groups.",
        "",
        _what_it_adds(both, len(pairs)),
        "",
        f"![The review's number, image level ({LEAKY}) and patient level of each method]({PLOTS}/inflation.svg)",
        "",
        "| ref. | method | measure | the review | image level (leaky) | patient level | difference | AUC, paired | on "
        "| substituted | recipe | processor |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        line = row(pair)
        difference = "–" if line["difference"] is None else f"{line['difference']:+.3f}"
        groups = "" if line["groups"] is None else f" of {line['groups']} groups"
        title = title_of(either(pair))
        lines.append(
            f"| [{line['reference']}] | [`{title}`]({title}.md) | {line['measure']} | "
            f"{_theirs(line)} | {_interval(line['image_level_leaky'])} | "
            f"{_interval(line['patient_level'])} | {difference} | {_signed(line['auc_added_by_the_split'])} | "
            f"{line['dataset']}, {_count(line)} images{groups} | "
            f"{len(line['substitutions'])} | `{line['hash'][:12]}` | {_time(line['seconds'])} |"
        )
    return "\n".join((*lines, *_every_method(pairs, quick))) + "\n"


def _whole(pairs: Sequence[Pair]) -> str:
    parts = sum(row(pair)["drawn_of"] is not None for pair in pairs)
    if not parts:
        return "all images of a public set that bear the labels asked for"
    return (
        f"{len(pairs) - parts} of {len(pairs)} on all images of a public set that bear the labels asked for, the "
        "others on a part, which they say"
    )


def _count(line: dict[str, Any]) -> str:
    return str(line["images"]) if line["drawn_of"] is None else f"{line['images']} of {line['drawn_of']}"


def _every_method(pairs: Sequence[Pair], quick: Sequence[dict[str, Any]]) -> list[str]:
    """A line a recipe: what it came to in seconds, and on real images where it was run on some."""
    if not quick:
        return []
    real = {title_of(page): page for pair in pairs if (page := either(pair)).get("leaky") != LEAKY}
    lines = [
        "",
        "## Every method: time and figure",
        "",
        f"All {len(quick)} recipes of the review's 38 methods and of its figure 2. *Made up*: `train NAME --quick "
        "--generated`, on a tree of the set's grammar, of a few images in which there is **hardly anything to learn**: "
        "the figure shows that the method runs from end to end, not what it can do, and its time is that of all folds "
        "on one processor. *Proof*: on other made-up images, which show their class, the figure that it reaches in its "
        "`quick` variant with epochs enough (AUC, of outlines Dice), where shuffled labels destroy that and its own "
        "block is on the path (`python -m inference prove NAME`, `inference/recipes/proofs/`). *Real*: `train NAME "
        "--port`, from the table above. What a recipe does otherwise than its paper stands below.",
        "",
        "| ref. | recipe | measure | made up: figure | processor | proof | real: figure | on | processor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for page in quick:
        port = real.get(page["id"])
        where = "–" if port is None else f"{port['dataset']}, {port['images']} images"
        took = "–" if port is None else _time(port.get("seconds"))
        ours = "not run" if port is None else _interval(port["honest_number"])
        lines.append(
            f"| [{page['reference']}] | `{page['id']}` | {page['measure']} | {_value(page['honest_number'])} | "
            f"{page['seconds']:.1f} s | {_proof(page['id'])} | {ours} | {where} | {took} |"
        )
    lines += ["", "### What differs from the paper", ""]
    for page in quick:
        told = "; ".join(page["substitutions"]) or "nothing that is known of"
        lines.append(f"- [{page['reference']}] `{page['id']}`: {told}.")
    return lines


def _proof(name: str) -> str:
    """What the recipe reached where it was proved; else what is wrong."""
    file = PROOFS / f"{name}.json"
    if not file.is_file():
        return "not yet"
    page = json.loads(file.read_text(encoding="utf-8"))
    wrong = [question.replace("_", " ") for question, answer in page["verdict"].items() if not answer]
    return f"{_interval(page['learned'])}{''.join(f'; not: {question}' for question in wrong)}"


def _value(figure: dict[str, float] | None) -> str:
    return "not computable" if figure is None else f"{figure['value']:.3f}"


def _what_it_adds(both: Sequence[dict[str, Any]], lines: int) -> str:
    if not both:
        return "No method was run both ways yet."
    differences = [line["difference"] for line in both]
    ups, mean = sum(value > 0 for value in differences), sum(differences) / len(both)
    return (
        f"Of the {lines} lines below {len(both)} were run both ways, and {ups} of these read higher where images are "
        f"dealt one by one; the mean difference, whatever the measure, is {mean:+.3f}, from {min(differences):+.3f} to "
        f"{max(differences):+.3f}. {_what_is_shown(both)}"
    )


def _what_is_shown(both: Sequence[dict[str, Any]]) -> str:
    """Whose difference is told from chance, on the same images."""
    paired = [(title_of(line), added) for line in both if (added := line["auc_added_by_the_split"])]
    shown = [f"`{title}` {_signed(added)}" for title, added in paired if added["low"] > 0]
    if not paired:
        return "Of none both runs' predictions were kept."
    return f"On the same images the AUC is higher beyond chance in {len(shown)} of {len(paired)}: " + (
        f"{'; '.join(shown)}." if shown else "in none."
    )


def _page(pair: Pair) -> str:
    page, line = either(pair), row(pair)
    lines = [
        f"# [{page['reference']}] {page['title']}",
        "",
        _MADE,
        "",
        _the_review_says(line),
    ]
    if page["caveat_of_the_review"]:
        of = "Of that number" if page["review_number"] is not None else "To know"
        lines.append(f"{of}: {page['caveat_of_the_review']}.")
    for run, title in zip(pair, ("Patient level", f"Image level ({LEAKY})"), strict=True):
        if run is not None:
            lines += ["", f"## {title}", "", *_run(run)]
    if line["difference"] is not None:
        lines += ["", f"The image-level split alone adds {line['difference']:+.3f} to {line['measure']}."]
    if line["auc_added_by_the_split"] is not None:
        lines.append(f"On the same images it adds {_signed(line['auc_added_by_the_split'])} to the AUC.")
    if page["substitutions"]:
        lines += ["", "## Substitutions", "", *(f"- {text}" for text in page["substitutions"])]
    return "\n".join(lines) + "\n"


def _run(run: dict[str, Any]) -> list[str]:
    leaky = run.get("leaky") == LEAKY
    variants = "".join(f" --variant {name}" for name in run["variants"] if name != PORT)
    port = " --port" if PORT in run["variants"] else ""
    flag = " --inflated" if leaky else ""
    took = "" if run.get("seconds") is None else f"; {_time(run['seconds'])} of one processor"
    lines = [
        f"`python -m inference train {run['id']}{variants}{port}{flag} --data ../shared/data --seed {run['seed']}`",
        "",
        f"{run['dataset']}, {run['images']} images of {run['groups']} "
        f"{'images, each a group of its own' if leaky else 'groups'}, {run['folds']} folds{took}. Recipe "
        f"`{run['hash']}`{', which has changed since' if changed_since(run) else ''}.",
        *(["", *(f"- {text}" for text in run["declared"])] if run["declared"] else ()),
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *(f"| {f['name']} | {f['value']:.3f} | {f['low']:.3f}–{f['high']:.3f} |" for f in run["figures"]),
    ]
    if "roc" in run:
        picture = f"{PLOTS}/{title_of(run)}{INFLATED if leaky else ''}.svg"
        lines += ["", f"![ROC{', ' + LEAKY if leaky else ''}]({picture})", "", *_confusion(run["confusion"])]
    elif "dice_of_tenths" in run:
        counts = ", ".join(str(count) for count in run["dice_of_tenths"])
        lines += ["", f"Images by Dice, in tenths from 0 to 1: {counts}."]
    else:
        lines += ["", "Of this run no curve and no table of confusions were kept."]
    return lines


def _confusion(table: dict[str, Any]) -> list[str]:
    classes = table["classes"]
    return [
        "Images by what is true (lines) and the likeliest class (columns):",
        "",
        f"| true | {' | '.join(classes)} |",
        f"|---|{'---|' * len(classes)}",
        *(f"| {name} | {' | '.join(map(str, counts))} |" for name, counts in zip(classes, table["rows"], strict=True)),
    ]  # fmt: skip


def _roc(run: dict[str, Any]) -> Plot:
    leaky = run.get("leaky") == LEAKY
    return Plot(
        title_of(run), LEAKY if leaky else f"ROC of {run['positive']}, patient level", "1 − specificity", "sensitivity",
        tuple((x, y) for x, y in run["roc"]), ((0.0, 0.0), (1.0, 1.0)),
    )  # fmt: skip


def _theirs(line: dict[str, Any]) -> str:
    """The review's number, with its measure where ours is another."""
    if line["review_number"] is None:
        return "not stated"
    other = "" if line["review_measure"] == line["measure"] else f" ({line['review_measure']})"
    return f"{line['review_number']:.3f}{other}"


def _the_review_says(line: dict[str, Any]) -> str:
    if line["review_number"] is None:
        return "The review gives no number."
    ours = "" if line["review_measure"] == line["measure"] else f" Ours below is in {line['measure']}."
    return f"The review says {line['review_number']:.3f} ({line['review_measure']}).{ours}"


def _interval(figure: dict[str, float] | None) -> str:
    return "–" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def _signed(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "–"
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not kept"
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
